-- One row for each day from 2010 to the end of 2036: to group facts by, and to show days on which
-- nothing happened. Any column of facts that is a day leads to it.
--
-- unique: day
--
-- columns
-- day: The day.
-- year: Its year.
-- quarter: Its quarter of the year, from 1 to 4.
-- month: Its month, from 1 to 12.
-- month_begins: The first day of its month.
-- iso_year: The year that its week belongs to (ISO 8601).
-- iso_week: Its week (ISO 8601).
-- weekday: Its day of the week, from 1 (Monday) to 7 (Sunday).
-- is_weekend: Whether it is a Saturday or Sunday.
-- days_from_today: How many days it is from today, in the customer's time zone; negative before.
WITH digits AS (
    SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
    UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8
    UNION ALL SELECT 9
),
days AS (
    SELECT CAST('2010-01-01' AS DATE) + CAST(a.d + 10 * b.d + 100 * c.d + 1000 * e.d AS INTEGER)
        AS day
    FROM digits AS a
    CROSS JOIN digits AS b
    CROSS JOIN digits AS c
    CROSS JOIN digits AS e
)
SELECT
    day,
    CAST(EXTRACT(year FROM day) AS INTEGER) AS year,
    CAST(EXTRACT(quarter FROM day) AS INTEGER) AS quarter,
    CAST(EXTRACT(month FROM day) AS INTEGER) AS month,
    CAST(DATE_TRUNC('month', day) AS DATE) AS month_begins,
    CAST(EXTRACT(isoyear FROM day) AS INTEGER) AS iso_year,
    CAST(EXTRACT(week FROM day) AS INTEGER) AS iso_week,
    CAST(EXTRACT(isodow FROM day) AS INTEGER) AS weekday,
    EXTRACT(isodow FROM day) IN (6, 7) AS is_weekend,
    day - CAST(CURRENT_TIMESTAMP AT TIME ZONE '{time_zone}' AS DATE) AS days_from_today
FROM days
WHERE day < CAST('2037-01-01' AS DATE)
