-- What was invoiced and paid for what was sold: one row for each month, currency and catalog product
-- (a course or a program). It counts lines of invoices as revenue_by_month counts invoices; what is
-- known of no product is in a row without one. A payment is of a whole invoice: here it is shared out
-- over the invoice's lines by their amounts.
--
-- unique: month, currency, catalog_product_id
--
-- columns
-- month: The first day of the month.
-- currency: The currency of the amounts.
-- course: The product: a course or a program, as the catalog calls it.
-- category: The category of that product.
-- invoiced_excl: What was invoiced in the month, without VAT.
-- invoiced_incl: What was invoiced in the month, with VAT.
-- paid: What was paid in the month, with VAT.
-- catalog_product_id: → catalog_products.id
WITH totals AS (
    SELECT invoice_id, SUM(amount_incl) AS amount_incl, COUNT(*) AS of_all
    FROM fact_invoice_lines
    GROUP BY invoice_id
),
money AS (
    SELECT
        month,
        currency,
        catalog_product_id,
        amount_excl AS invoiced_excl,
        amount_incl AS invoiced_incl,
        CAST(0 AS DOUBLE) AS paid
    FROM fact_invoice_lines
    WHERE counts
    UNION ALL
    SELECT
        p.month,
        p.currency,
        l.catalog_product_id,
        0.00,
        0.00,
        CASE
            WHEN t.amount_incl <> 0 THEN p.amount * l.amount_incl / t.amount_incl
            WHEN t.of_all > 0 THEN p.amount * 1.0 / t.of_all
            ELSE CAST(p.amount AS DOUBLE)
        END
    FROM fact_payments AS p
    LEFT JOIN fact_invoice_lines AS l ON l.invoice_id = p.invoice_id
    LEFT JOIN totals AS t ON t.invoice_id = p.invoice_id
    WHERE p.is_paid
)
SELECT
    m.month,
    m.currency,
    p.name AS course,
    k.name AS category,
    CAST(SUM(m.invoiced_excl) AS DECIMAL(31, 2)) AS invoiced_excl,
    CAST(SUM(m.invoiced_incl) AS DECIMAL(31, 2)) AS invoiced_incl,
    CAST(SUM(m.paid) AS DECIMAL(31, 2)) AS paid,
    m.catalog_product_id
FROM money AS m
LEFT JOIN catalog_products AS p ON p.id = m.catalog_product_id
LEFT JOIN categories AS k ON k.id = p.category_id
GROUP BY m.month, m.currency, p.name, k.name, m.catalog_product_id
