-- Canceled enrollments by reason: one row for each month and reason. Eduframe keeps neither when an
-- enrollment was canceled nor why: the month is that in which it was to begin, and the reason is
-- read from what else was canceled.
--
-- unique: month, reason
--
-- columns
-- month: The first day of the month in which the enrollments were to begin; empty where they have no
--   first day.
-- reason: course canceled (the whole planned course was), order canceled, order denied, or other:
--   then the student alone was, and nothing tells why.
-- canceled: How many enrollments were canceled for it.
-- of_all: All enrollments that were to begin in the month, canceled or not.
-- canceled_percent: The share of these that was canceled for this reason.
WITH every AS (
    SELECT
        CAST(DATE_TRUNC('month', e.start_date) AS DATE) AS month,
        e.status,
        CASE
            WHEN p.status = 'canceled' THEN 'course canceled'
            WHEN o.status = 'canceled' THEN 'order canceled'
            WHEN o.status = 'denied' THEN 'order denied'
            ELSE 'other'
        END AS reason
    FROM enrollments AS e
    LEFT JOIN planned_courses AS p ON p.id = e.planned_course_id
    LEFT JOIN orders AS o ON o.id = e.order_id
),
counted AS (
    SELECT month, status, reason, COUNT(*) OVER (PARTITION BY month) AS of_all
    FROM every
)
SELECT
    month,
    reason,
    COUNT(*) AS canceled,
    of_all,
    CAST(100.0 * COUNT(*) / of_all AS DECIMAL(9, 1)) AS canceled_percent
FROM counted
WHERE status = 'canceled'
GROUP BY month, reason, of_all
