-- How many complete a course, and how many pass: one row for each course with enrollments. Completion
-- is a share of all enrollments in planned courses that are completed, the canceled ones included:
-- so it tells which courses lose people. Passing is a share of those that were judged and are not
-- canceled. The average is of grades that are numbers.
--
-- unique: course_id
--
-- columns
-- course: The course's name.
-- category: The category that the course is in.
-- enrollments: All enrollments that are not canceled.
-- ended: The enrollments in planned courses that are completed, canceled ones included.
-- completed: How many of these are completed.
-- completion_percent: Their share.
-- judged: The enrollments that passed or failed.
-- passed: How many of these passed.
-- pass_percent: Their share.
-- average_grade: The average of the grades that are numbers, of enrollments that are not canceled.
-- grades_as_numbers: How many grades that is of.
-- other_grades: How many grades are none, such as B+.
-- course_id: → courses.id
SELECT
    e.course,
    e.category,
    COUNT(CASE WHEN NOT e.is_canceled THEN 1 END) AS enrollments,
    COUNT(CASE WHEN p.status = 'completed' THEN 1 END) AS ended,
    COUNT(CASE WHEN p.status = 'completed' AND e.status = 'completed' THEN 1 END) AS completed,
    CAST(
        100.0 * COUNT(CASE WHEN p.status = 'completed' AND e.status = 'completed' THEN 1 END)
        / NULLIF(COUNT(CASE WHEN p.status = 'completed' THEN 1 END), 0) AS DECIMAL(9, 1)
    ) AS completion_percent,
    COUNT(CASE WHEN e.result IN ('passed', 'failed') AND NOT e.is_canceled THEN 1 END) AS judged,
    COUNT(CASE WHEN e.result = 'passed' AND NOT e.is_canceled THEN 1 END) AS passed,
    CAST(
        100.0 * COUNT(CASE WHEN e.result = 'passed' AND NOT e.is_canceled THEN 1 END)
        / NULLIF(
            COUNT(CASE WHEN e.result IN ('passed', 'failed') AND NOT e.is_canceled THEN 1 END), 0
        ) AS DECIMAL(9, 1)
    ) AS pass_percent,
    CAST(AVG(CASE WHEN NOT e.is_canceled THEN e.grade_number END) AS DECIMAL(9, 2))
        AS average_grade,
    COUNT(CASE WHEN NOT e.is_canceled THEN e.grade_number END) AS grades_as_numbers,
    COUNT(CASE WHEN NOT e.is_canceled AND e.grade_number IS NULL THEN e.grade END)
        AS other_grades,
    e.course_id
FROM fact_enrollments AS e
JOIN planned_courses AS p ON p.id = e.planned_course_id
GROUP BY e.course, e.category, e.course_id
