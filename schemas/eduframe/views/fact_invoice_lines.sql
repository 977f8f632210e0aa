-- One row for each line of an invoice. A concept is no invoice yet: see counts. A credit note is an
-- invoice whose lines are negative (Eduframe does not mark it otherwise). Amounts are of several
-- currencies: add them up by currency only. The product is that of the line, or else, as lines often
-- have none, that of the invoice's order: product_from says which.
--
-- unique: invoice_id, invoice_item_id
--
-- columns
-- invoice_number: The invoice's number.
-- status: concept, open, expired (past its due date), or paid.
-- counts: Whether it is final, so no concept.
-- opened_on: The day on which it was made final.
-- month: The first day of that month.
-- due_on: The day by which it should be paid.
-- customer: The account that is to pay.
-- line: What the line says.
-- units: How many.
-- unit_price: The price of one, without VAT.
-- amount_excl: The line's amount without VAT: units times unit price, to the cent.
-- vat_percentage: The rate of VAT.
-- amount_incl: The line's amount with VAT, rounded by line.
-- currency: The currency of the amounts.
-- product: What was sold, as the catalog calls it: a course or a program.
-- category: The category of that product.
-- product_from: line or order, by which the product is known; neither where it is not.
-- invoice_id: → invoices.id
-- invoice_item_id: → invoice_items.id
-- account_id: → accounts.id
-- order_id: → orders.id
-- catalog_product_id: → catalog_products.id
-- category_id: → categories.id
WITH priced AS (
    SELECT
        i.id AS invoice_item_id,
        i.invoice_id,
        i.name AS line,
        i.units,
        i.unit_price,
        CAST(i.units * i.unit_price AS DECIMAL(31, 2)) AS amount_excl,
        CAST(COALESCE(v.percentage, 0) AS DECIMAL(9, 4)) AS vat_percentage,
        i.catalog_variant_id
    FROM invoice_items AS i
    LEFT JOIN invoice_vats AS v ON v.id = i.invoice_vat_id
)
SELECT
    n.number AS invoice_number,
    n.status,
    n.status <> 'concept' AS counts,
    n.opened_at AS opened_on,
    CAST(DATE_TRUNC('month', n.opened_at) AS DATE) AS month,
    n.expiration_date AS due_on,
    COALESCE(a.name, n.account_name) AS customer,
    l.line,
    l.units,
    l.unit_price,
    l.amount_excl,
    l.vat_percentage,
    l.amount_excl + CAST(l.amount_excl * l.vat_percentage * 0.01 AS DECIMAL(31, 2)) AS amount_incl,
    n.currency,
    p.name AS product,
    k.name AS category,
    CASE WHEN own.id IS NOT NULL THEN 'line' WHEN p.id IS NOT NULL THEN 'order' ELSE 'neither' END
        AS product_from,
    n.id AS invoice_id,
    l.invoice_item_id,
    n.account_id,
    n.order_id,
    p.id AS catalog_product_id,
    p.category_id
FROM priced AS l
JOIN invoices AS n ON n.id = l.invoice_id
LEFT JOIN accounts AS a ON a.id = n.account_id
LEFT JOIN orders AS o ON o.id = n.order_id
LEFT JOIN catalog_variants AS own ON own.id = l.catalog_variant_id
LEFT JOIN catalog_variants AS ordered ON ordered.id = o.catalog_variant_id
LEFT JOIN catalog_products AS p ON p.id = COALESCE(own.product_id, ordered.product_id)
LEFT JOIN categories AS k ON k.id = p.category_id
