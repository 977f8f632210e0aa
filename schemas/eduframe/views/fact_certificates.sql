-- One row for each certificate that was awarded. What a certificate of an evaluation is for cannot be
-- followed: Eduframe serves no list of these.
--
-- unique: certificate_id
--
-- columns
-- awarded_on: The day that it was awarded, in the customer's time zone.
-- month: The first day of that month.
-- awarded_for: course, program or evaluation.
-- student: The student's name.
-- course: The course; empty where it is not for a course.
-- program: The program; empty where it is not for a program.
-- certificate_id: → certificates.id
-- student_id: → users.id
-- enrollment_id: → enrollments.id
-- program_enrollment_id: → program_enrollments.id
-- course_id: → courses.id
-- program_id: → programs.id
SELECT
    CAST(x.created_at AT TIME ZONE '{time_zone}' AS DATE) AS awarded_on,
    CAST(DATE_TRUNC('month', x.created_at AT TIME ZONE '{time_zone}') AS DATE) AS month,
    CASE x.certifiable_type
        WHEN 'course_enrollment' THEN 'course'
        WHEN 'program_enrollment' THEN 'program'
        WHEN 'evaluation_element' THEN 'evaluation'
        ELSE x.certifiable_type
    END AS awarded_for,
    NULLIF(CONCAT_WS(' ', s.first_name, s.middle_name, s.last_name), '') AS student,
    c.name AS course,
    g.name AS program,
    x.id AS certificate_id,
    COALESCE(e.student_id, q.student_id) AS student_id,
    e.id AS enrollment_id,
    q.id AS program_enrollment_id,
    c.id AS course_id,
    g.id AS program_id
FROM certificates AS x
LEFT JOIN enrollments AS e
    ON e.id = CASE WHEN x.certifiable_type = 'course_enrollment' THEN x.certifiable_id END
LEFT JOIN program_enrollments AS q
    ON q.id = CASE WHEN x.certifiable_type = 'program_enrollment' THEN x.certifiable_id END
LEFT JOIN users AS s ON s.id = COALESCE(e.student_id, q.student_id)
LEFT JOIN planned_courses AS p ON p.id = e.planned_course_id
LEFT JOIN courses AS c ON c.id = p.course_id
LEFT JOIN program_editions AS d ON d.id = q.edition_id
LEFT JOIN programs AS g ON g.id = d.program_id
