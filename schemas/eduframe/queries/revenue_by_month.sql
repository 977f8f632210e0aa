-- Revenue by month: what was invoiced, and what of it is still open.
-- Invoices count in the month in which they were made final; concepts do not count yet.
SELECT
    CAST(date_trunc('month', opened_at) AS DATE) AS month,
    currency,
    COUNT(*) AS invoices,
    ROUND(SUM(total_excl), 2) AS revenue_excl_vat,
    ROUND(SUM(total_incl), 2) AS revenue_incl_vat,
    ROUND(SUM(total_open), 2) AS still_open
FROM invoices
WHERE _deleted_at IS NULL
  AND status <> 'concept'
GROUP BY 1, 2
ORDER BY 1, 2;
