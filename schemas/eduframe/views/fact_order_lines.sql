-- One row for each student in an order; an order that names no student is one row. Eduframe gives
-- amounts for whole orders: here each line has its equal share, to the cent, and the lines of an
-- order add up to its total. Orders that are requested, denied or canceled are there: see counts.
-- Eduframe gives no currency with an order; it is that of what was ordered, or else the educator's.
--
-- unique: order_id, order_item_id
--
-- columns
-- order_number: The order's number.
-- ordered_on: The day of the order, in the customer's time zone.
-- status: active, requested (awaits approval), denied or canceled.
-- counts: Whether the order is active, so that it counts as sold.
-- customer: The account that ordered.
-- student: The student's name.
-- product: What was ordered, as the catalog calls it: a course or a program.
-- category: The category of that product.
-- start_date: When what was ordered begins.
-- amount_excl: The line's share of the order, without VAT.
-- amount_incl: The line's share of the order, with VAT.
-- currency: The currency of the amounts.
-- discount_code: The code that lowered the price.
-- origin: Where the order was placed.
-- heard_of_us: How the customer has heard of the educator.
-- order_id: → orders.id
-- order_item_id: → order_items.id
-- account_id: → accounts.id
-- student_id: → users.id
-- catalog_product_id: → catalog_products.id
-- catalog_variant_id: → catalog_variants.id
WITH lines AS (
    SELECT
        o.id AS order_id,
        i.id AS order_item_id,
        i.student_id,
        ROW_NUMBER() OVER (PARTITION BY o.id ORDER BY i.id) AS nth,
        COUNT(*) OVER (PARTITION BY o.id) AS of_all
    FROM orders AS o
    LEFT JOIN order_items AS i ON i.order_id = o.id
)
SELECT
    o.number AS order_number,
    CAST(o.created_at AT TIME ZONE '{time_zone}' AS DATE) AS ordered_on,
    o.status,
    o.status = 'active' AS counts,
    a.name AS customer,
    NULLIF(CONCAT_WS(' ', s.first_name, s.middle_name, s.last_name), '') AS student,
    p.name AS product,
    k.name AS category,
    v.properties__start_date AS start_date,
    CAST(o.total_cost_excl * l.nth / l.of_all AS DECIMAL(31, 2))
        - CAST(o.total_cost_excl * (l.nth - 1) / l.of_all AS DECIMAL(31, 2)) AS amount_excl,
    CAST(o.total_cost_incl * l.nth / l.of_all AS DECIMAL(31, 2))
        - CAST(o.total_cost_incl * (l.nth - 1) / l.of_all AS DECIMAL(31, 2)) AS amount_incl,
    COALESCE(v.currency, '{currency}') AS currency,
    o.discount_code,
    o.origin,
    h.name AS heard_of_us,
    o.id AS order_id,
    l.order_item_id,
    o.account_id,
    l.student_id,
    v.product_id AS catalog_product_id,
    o.catalog_variant_id
FROM lines AS l
JOIN orders AS o ON o.id = l.order_id
LEFT JOIN accounts AS a ON a.id = o.account_id
LEFT JOIN users AS s ON s.id = l.student_id
LEFT JOIN catalog_variants AS v ON v.id = o.catalog_variant_id
LEFT JOIN catalog_products AS p ON p.id = v.product_id
LEFT JOIN categories AS k ON k.id = p.category_id
LEFT JOIN referrals AS h ON h.id = o.referral_id
