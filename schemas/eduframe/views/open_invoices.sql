-- Who owes how much, and since when: one row for each account and currency with invoices that are
-- final and not wholly paid. Overdue is what is past its due date today (in the customer's time
-- zone): the status 'expired' follows later, and is not looked at. Without a due date nothing is
-- overdue. A credit note that is not settled lowers what is open.
--
-- unique: account_id, currency
--
-- columns
-- customer: The account that owes.
-- currency: The currency of the amounts.
-- invoices: How many invoices are open.
-- still_open: What is open of them, with VAT.
-- not_due: What of that is not past its due date.
-- overdue: What of that is past its due date: the four that follow together.
-- overdue_1_to_30_days: Past it by 1 to 30 days.
-- overdue_31_to_60_days: Past it by 31 to 60 days.
-- overdue_61_to_90_days: Past it by 61 to 90 days.
-- overdue_over_90_days: Past it by more than 90 days.
-- first_due_on: The earliest due date of these invoices.
-- account_id: → accounts.id
WITH owing AS (
    SELECT
        account_id,
        account_name,
        currency,
        total_open,
        expiration_date,
        COALESCE(
            CAST(CURRENT_TIMESTAMP AT TIME ZONE '{time_zone}' AS DATE) - expiration_date, 0
        ) AS late
    FROM invoices
    WHERE status IN ('open', 'expired') AND total_open <> 0
)
SELECT
    COALESCE(a.name, MIN(w.account_name)) AS customer,
    w.currency,
    COUNT(*) AS invoices,
    SUM(w.total_open) AS still_open,
    SUM(CASE WHEN w.late <= 0 THEN w.total_open ELSE 0.00 END) AS not_due,
    SUM(CASE WHEN w.late > 0 THEN w.total_open ELSE 0.00 END) AS overdue,
    SUM(CASE WHEN w.late BETWEEN 1 AND 30 THEN w.total_open ELSE 0.00 END) AS overdue_1_to_30_days,
    SUM(CASE WHEN w.late BETWEEN 31 AND 60 THEN w.total_open ELSE 0.00 END)
        AS overdue_31_to_60_days,
    SUM(CASE WHEN w.late BETWEEN 61 AND 90 THEN w.total_open ELSE 0.00 END)
        AS overdue_61_to_90_days,
    SUM(CASE WHEN w.late > 90 THEN w.total_open ELSE 0.00 END) AS overdue_over_90_days,
    MIN(w.expiration_date) AS first_due_on,
    w.account_id
FROM owing AS w
LEFT JOIN accounts AS a ON a.id = w.account_id
GROUP BY w.account_id, a.name, w.currency
