-- Who comes back: one row for each year in which accounts ordered. Only orders that are active count.
-- An account returns when it orders on a later day than its first order, of whatever year that was;
-- so it may be new and return within one year.
--
-- unique: year
--
-- columns
-- year: The year of the orders, in the customer's time zone.
-- customers: How many accounts ordered.
-- new_customers: How many of them ordered for the first time ever.
-- returning_customers: How many of them had ordered on an earlier day.
-- returning_percent: The share of customers that had.
-- orders: How many orders there were.
WITH placed AS (
    SELECT
        id,
        account_id,
        CAST(created_at AT TIME ZONE '{time_zone}' AS DATE) AS ordered_on
    FROM orders
    WHERE status = 'active' AND account_id IS NOT NULL
),
firsts AS (
    SELECT account_id, MIN(ordered_on) AS first_on
    FROM placed
    GROUP BY account_id
)
SELECT
    CAST(EXTRACT(year FROM p.ordered_on) AS INTEGER) AS year,
    COUNT(DISTINCT p.account_id) AS customers,
    COUNT(DISTINCT CASE WHEN p.ordered_on = f.first_on THEN p.account_id END) AS new_customers,
    COUNT(DISTINCT CASE WHEN p.ordered_on > f.first_on THEN p.account_id END)
        AS returning_customers,
    CAST(
        100.0 * COUNT(DISTINCT CASE WHEN p.ordered_on > f.first_on THEN p.account_id END)
        / COUNT(DISTINCT p.account_id) AS DECIMAL(9, 1)
    ) AS returning_percent,
    COUNT(*) AS orders
FROM placed AS p
JOIN firsts AS f ON f.account_id = p.account_id
GROUP BY CAST(EXTRACT(year FROM p.ordered_on) AS INTEGER)
