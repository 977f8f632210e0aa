-- Revenue by month: what was invoiced and what was paid; one currency at a time.
SELECT month, currency, invoices, invoiced_excl, paid, still_open
FROM revenue_by_month
ORDER BY month, currency;
