-- What was invoiced and what was paid, one row for each month and currency. Invoices count in the
-- month in which they were made final, payments in that in which they came. Concepts do not count; a
-- credit note lowers the month in which it was made final. Orders are no revenue here.
--
-- unique: month, currency
--
-- columns
-- month: The first day of the month.
-- currency: The currency of the amounts.
-- invoices: How many invoices were made final.
-- invoiced_excl: What was invoiced, without VAT.
-- invoiced_incl: What was invoiced, with VAT.
-- still_open: What of these invoices is not paid yet, with VAT.
-- paid: What was paid in the month, with VAT, whenever it was invoiced.
WITH money AS (
    SELECT
        CAST(DATE_TRUNC('month', opened_at) AS DATE) AS month,
        currency,
        1 AS invoices,
        total_excl AS invoiced_excl,
        total_incl AS invoiced_incl,
        total_open AS still_open,
        0.00 AS paid
    FROM invoices
    WHERE status <> 'concept'
    UNION ALL
    SELECT month, currency, 0, 0.00, 0.00, 0.00, amount
    FROM fact_payments
    WHERE is_paid
)
SELECT
    month,
    currency,
    CAST(SUM(invoices) AS BIGINT) AS invoices,
    CAST(SUM(invoiced_excl) AS DECIMAL(31, 2)) AS invoiced_excl,
    CAST(SUM(invoiced_incl) AS DECIMAL(31, 2)) AS invoiced_incl,
    CAST(SUM(still_open) AS DECIMAL(31, 2)) AS still_open,
    CAST(SUM(paid) AS DECIMAL(31, 2)) AS paid
FROM money
GROUP BY month, currency
