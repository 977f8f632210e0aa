-- Attendance rate by course: how many of the registered attendances were present, late or not.
-- 'blanco' means that nobody has filled it in (yet); it does not count.
SELECT
    courses.name AS course,
    COUNT(*) AS registered,
    COUNT(*) FILTER (WHERE attendances.state = 'late') AS late,
    COUNT(*) FILTER (WHERE attendances.state IN ('absent', 'absent_with_leave')) AS absent,
    ROUND(100.0 * COUNT(*) FILTER (WHERE attendances.state IN ('attended', 'late')) / COUNT(*), 1)
        AS attendance_percent
FROM attendances
JOIN enrollments ON enrollments.id = attendances.enrollment_id
JOIN planned_courses ON planned_courses.id = enrollments.planned_course_id
JOIN courses ON courses.id = planned_courses.course_id
WHERE attendances._deleted_at IS NULL
  AND enrollments._deleted_at IS NULL
  AND attendances.state <> 'blanco'
GROUP BY courses.id, courses.name
ORDER BY attendance_percent, course;
