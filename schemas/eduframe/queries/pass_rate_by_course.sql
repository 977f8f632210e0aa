-- Pass rate by course: how many of those who were judged have passed.
-- Enrollments that await judgement, and canceled ones, do not count.
SELECT
    courses.name AS course,
    COUNT(*) AS judged,
    COUNT(*) FILTER (WHERE enrollments.graduation_state = 'passed') AS passed,
    ROUND(100.0 * COUNT(*) FILTER (WHERE enrollments.graduation_state = 'passed') / COUNT(*), 1)
        AS pass_percent
FROM enrollments
JOIN planned_courses ON planned_courses.id = enrollments.planned_course_id
JOIN courses ON courses.id = planned_courses.course_id
WHERE enrollments._deleted_at IS NULL
  AND enrollments.status <> 'canceled'
  AND enrollments.graduation_state IN ('passed', 'failed')
GROUP BY courses.id, courses.name
ORDER BY pass_percent, course;
