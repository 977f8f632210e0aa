-- How much each teacher teaches: one row for each teacher and month in which the teacher is planned.
-- Each teacher counts once a meeting; meetings of canceled planned courses do not count. Eduframe
-- does not know how much teachers are available: use is the share of the month's weekdays on which
-- the teacher teaches.
--
-- unique: teacher_id, month
--
-- columns
-- teacher: The teacher's name.
-- month: The first day of the month, in the customer's time zone.
-- meetings: How many meetings and events.
-- hours: Their hours, given and to come, breaks included.
-- hours_given: The hours of those that are over.
-- days: On how many days that is.
-- weekdays: How many days from Monday to Friday the month has.
-- use_percent: Days as a share of weekdays; teaching at weekends may bring it above 100.
-- teacher_id: → teachers.id
WITH weeks AS (
    SELECT month_begins, COUNT(*) AS weekdays
    FROM dim_dates
    WHERE NOT is_weekend
    GROUP BY month_begins
)
SELECT
    h.teacher,
    h.month,
    COUNT(*) AS meetings,
    SUM(h.hours) AS hours,
    SUM(CASE WHEN h.is_given THEN h.hours ELSE 0.00 END) AS hours_given,
    COUNT(DISTINCT h.day) AS days,
    w.weekdays,
    CAST(100.0 * COUNT(DISTINCT h.day) / w.weekdays AS DECIMAL(9, 1)) AS use_percent,
    h.teacher_id
FROM fact_teacher_hours AS h
LEFT JOIN weeks AS w ON w.month_begins = h.month
WHERE NOT h.is_canceled
GROUP BY h.teacher, h.month, w.weekdays, h.teacher_id
