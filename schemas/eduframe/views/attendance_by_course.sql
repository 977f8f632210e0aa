-- Attendance and no-show by course: one row for each course with attendances that somebody has filled
-- in. Enrollments that are canceled do not count. A no-show is who stayed away without leave; see
-- fact_attendances for the same by meeting, day or student.
--
-- unique: course_id
--
-- columns
-- course: The course's name.
-- registered: How many attendances were filled in.
-- present: How many of them were there, late or not.
-- late: How many of them came late.
-- absent_with_leave: How many of them had leave to be absent.
-- no_shows: How many of them stayed away without leave.
-- attendance_percent: The share of those registered that was there.
-- no_show_percent: The share of those registered that stayed away without leave.
-- course_id: → courses.id
SELECT
    course,
    COUNT(*) AS registered,
    COUNT(CASE WHEN is_present THEN 1 END) AS present,
    COUNT(CASE WHEN state = 'late' THEN 1 END) AS late,
    COUNT(CASE WHEN state = 'absent_with_leave' THEN 1 END) AS absent_with_leave,
    COUNT(CASE WHEN is_no_show THEN 1 END) AS no_shows,
    CAST(100.0 * COUNT(CASE WHEN is_present THEN 1 END) / COUNT(*) AS DECIMAL(9, 1))
        AS attendance_percent,
    CAST(100.0 * COUNT(CASE WHEN is_no_show THEN 1 END) / COUNT(*) AS DECIMAL(9, 1))
        AS no_show_percent,
    course_id
FROM fact_attendances
WHERE is_registered AND NOT is_canceled
GROUP BY course, course_id
