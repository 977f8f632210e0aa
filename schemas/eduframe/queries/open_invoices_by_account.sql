-- Open invoices by account: who owes how much, since when, and what of it is past its due date today.
SELECT customer, currency, still_open, overdue, overdue_over_90_days, first_due_on
FROM open_invoices
ORDER BY overdue DESC, still_open DESC, customer;
