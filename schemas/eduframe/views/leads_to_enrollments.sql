-- What became of each lead: one row for each, with the order that it most likely led to. Eduframe has
-- no link between the two, so it is inferred: an order that is active or requested, made within 365
-- days after the lead, by the lead's account, or by or for its person (the lead's user, or the user
-- with its email address). An order of what the lead was interested in goes before others, then the
-- earliest. Several leads may lead to one order, which counts once only: see first_for_order.
--
-- unique: lead_id
--
-- columns
-- lead: The lead's title.
-- status: prospect, waiting_list, won, lost or archive.
-- customer: The lead's account or company.
-- created_on: The day that it came in, in the customer's time zone.
-- certainty: high (same person or account, and what the lead was interested in), medium (same person
--   or account, within 30 days), low (the same, later), or none (no such order).
-- matched_by: account, person or both; empty without an order.
-- order_number: The order's number.
-- ordered_on: The day of the order, in the customer's time zone.
-- days_to_order: How many days that is after the lead.
-- amount_excl: The order's total without VAT.
-- first_for_order: Whether this is the earliest of the leads with this order: add up these only.
-- enrollments: The enrollments by that order that are not canceled.
-- enrolled_on: The day of the first of these, in the customer's time zone.
-- days_to_enrollment: How many days that is after the lead.
-- lead_id: → leads.id
-- order_id: → orders.id
WITH persons AS (
    SELECT id AS lead_id, user_id
    FROM leads
    WHERE user_id IS NOT NULL
    UNION
    SELECT l.id, u.id
    FROM leads AS l
    JOIN users AS u ON LOWER(u.email) = LOWER(l.email)
),
wanted AS (
    SELECT lp.lead_id, v.id AS catalog_variant_id
    FROM lead_products AS lp
    JOIN catalog_variants AS v ON v.product_id = lp.catalog_product_id
    UNION
    SELECT lc.lead_id, v.id
    FROM lead_courses AS lc
    JOIN planned_courses AS p ON p.course_id = lc.course_id
    JOIN catalog_variants AS v ON v.variantable_type = 'PlannedCourse' AND v.variantable_id = p.id
),
found AS (
    SELECT l.id AS lead_id, o.id AS order_id, 'account' AS matched_by
    FROM leads AS l
    JOIN orders AS o ON o.account_id = l.account_id
    UNION
    SELECT n.lead_id, o.id, 'person'
    FROM persons AS n
    JOIN orders AS o ON o.creator_id = n.user_id
    UNION
    SELECT n.lead_id, i.order_id, 'person'
    FROM persons AS n
    JOIN order_items AS i ON i.student_id = n.user_id
),
matched AS (
    SELECT
        lead_id,
        order_id,
        CASE WHEN COUNT(*) > 1 THEN 'both' ELSE MIN(matched_by) END AS matched_by
    FROM found
    GROUP BY lead_id, order_id
),
judged AS (
    SELECT
        m.lead_id,
        m.order_id,
        m.matched_by,
        o.created_at,
        CASE WHEN w.lead_id IS NOT NULL THEN 1 ELSE 0 END AS is_wanted,
        EPOCH(o.created_at) - EPOCH(l.created_at) AS seconds
    FROM matched AS m
    JOIN leads AS l ON l.id = m.lead_id
    JOIN orders AS o ON o.id = m.order_id
    LEFT JOIN wanted AS w
        ON w.lead_id = m.lead_id AND w.catalog_variant_id = o.catalog_variant_id
    WHERE o.status IN ('active', 'requested')
),
ranked AS (
    SELECT
        lead_id,
        order_id,
        matched_by,
        is_wanted,
        seconds,
        ROW_NUMBER() OVER (
            PARTITION BY lead_id ORDER BY is_wanted DESC, created_at, order_id
        ) AS nth
    FROM judged
    WHERE seconds >= 0 AND seconds <= 31536000
),
enrolled AS (
    SELECT order_id, COUNT(*) AS enrollments, MIN(created_at) AS first_at
    FROM enrollments
    WHERE status <> 'canceled' AND order_id IS NOT NULL
    GROUP BY order_id
)
SELECT
    f.lead,
    f.status,
    f.customer,
    f.created_on,
    CASE
        WHEN r.order_id IS NULL THEN 'none'
        WHEN r.is_wanted = 1 THEN 'high'
        WHEN r.seconds <= 2592000 THEN 'medium'
        ELSE 'low'
    END AS certainty,
    r.matched_by,
    o.number AS order_number,
    CAST(o.created_at AT TIME ZONE '{time_zone}' AS DATE) AS ordered_on,
    CAST(o.created_at AT TIME ZONE '{time_zone}' AS DATE) - f.created_on AS days_to_order,
    o.total_cost_excl AS amount_excl,
    r.order_id IS NOT NULL
        AND ROW_NUMBER() OVER (PARTITION BY r.order_id ORDER BY f.created_on, f.lead_id) = 1
        AS first_for_order,
    CASE WHEN r.order_id IS NOT NULL THEN COALESCE(e.enrollments, 0) END AS enrollments,
    CAST(e.first_at AT TIME ZONE '{time_zone}' AS DATE) AS enrolled_on,
    CAST(e.first_at AT TIME ZONE '{time_zone}' AS DATE) - f.created_on AS days_to_enrollment,
    f.lead_id,
    r.order_id
FROM fact_leads AS f
LEFT JOIN ranked AS r ON r.lead_id = f.lead_id AND r.nth = 1
LEFT JOIN orders AS o ON o.id = r.order_id
LEFT JOIN enrolled AS e ON e.order_id = r.order_id
