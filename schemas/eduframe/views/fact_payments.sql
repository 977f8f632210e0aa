-- One row for each payment of an invoice, also those that failed or are not done yet: see is_paid.
-- An invoice may be paid in parts. Payments of deleted invoices are left out. Amounts are of several
-- currencies: add them up by currency only. Do not join lines of the invoice to it: the amount would
-- count once a line; revenue_by_course shares it out.
--
-- unique: payment_id
--
-- columns
-- paid_on: The day of the payment.
-- month: The first day of that month.
-- amount: What was paid, with VAT.
-- currency: The currency of the amount.
-- status: new, open, paid, failed or internal_server_error.
-- is_paid: Whether the money has come.
-- method: The way of paying, such as iDEAL.
-- customer: The account that the invoice is to.
-- invoice_number: The invoice's number.
-- payment_id: → payments.id
-- invoice_id: → invoices.id
-- account_id: → accounts.id
SELECT
    p.date AS paid_on,
    CAST(DATE_TRUNC('month', p.date) AS DATE) AS month,
    p.amount,
    p.currency,
    p.status,
    p.status = 'paid' AS is_paid,
    m.name AS method,
    COALESCE(a.name, n.account_name) AS customer,
    n.number AS invoice_number,
    p.id AS payment_id,
    p.invoice_id,
    n.account_id
FROM payments AS p
JOIN invoices AS n ON n.id = p.invoice_id
LEFT JOIN accounts AS a ON a.id = n.account_id
LEFT JOIN payment_methods AS m ON m.id = p.payment_method_id
