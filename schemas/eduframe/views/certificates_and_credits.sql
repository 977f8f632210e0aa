-- Certificates and credits that were awarded: one row for each month and course; those that are for
-- no course, such as certificates of programs, are in a row without one. Credits are those that
-- students have earned, not those that the elements of a program are worth.
--
-- unique: month, course_id
--
-- columns
-- month: The first day of the month in which they were awarded, in the customer's time zone.
-- course: The course.
-- certificates: How many certificates.
-- credits: How many credits.
-- students_with_credits: How many students earned these.
-- course_id: → courses.id
WITH awarded AS (
    SELECT month, course_id, 1 AS certificates, 0.00 AS credits, CAST(NULL AS BIGINT) AS student_id
    FROM fact_certificates
    UNION ALL
    SELECT
        CAST(DATE_TRUNC('month', r.created_at AT TIME ZONE '{time_zone}') AS DATE),
        COALESCE(r.course_id, p.course_id),
        0,
        CAST(r.credits AS DECIMAL(31, 2)),
        r.student_id
    FROM credits AS r
    LEFT JOIN enrollments AS e ON e.id = r.enrollment_id
    LEFT JOIN planned_courses AS p ON p.id = e.planned_course_id
)
SELECT
    w.month,
    c.name AS course,
    CAST(SUM(w.certificates) AS BIGINT) AS certificates,
    CAST(SUM(w.credits) AS DECIMAL(31, 2)) AS credits,
    COUNT(DISTINCT w.student_id) AS students_with_credits,
    w.course_id
FROM awarded AS w
LEFT JOIN courses AS c ON c.id = w.course_id
GROUP BY w.month, c.name, w.course_id
