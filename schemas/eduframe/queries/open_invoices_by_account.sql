-- Open invoices by account: who owes how much, and since when.
-- An invoice that is past its expiration date has the status 'expired'.
SELECT
    accounts.name AS account,
    invoices.currency,
    COUNT(*) AS invoices,
    ROUND(SUM(invoices.total_open), 2) AS still_open,
    ROUND(SUM(CASE WHEN invoices.status = 'expired' THEN invoices.total_open ELSE 0 END), 2)
        AS overdue,
    MIN(invoices.expiration_date) AS first_due
FROM invoices
JOIN accounts ON accounts.id = invoices.account_id
WHERE invoices._deleted_at IS NULL
  AND invoices.status IN ('open', 'expired')
  AND invoices.total_open > 0
GROUP BY accounts.id, accounts.name, invoices.currency
ORDER BY still_open DESC, account;
