-- One row for each student at each meeting, as registered, or not yet; those of deleted enrollments
-- and meetings are left out. Eduframe does not say what a no-show is: here it is 'absent'. Who is
-- absent with leave has said so, and is no no-show.
--
-- unique: attendance_id
--
-- columns
-- student: The student's name.
-- course: The course's name.
-- meeting: The meeting's name.
-- day: The day on which the meeting begins, in the customer's time zone.
-- state: attended, late, absent, absent_with_leave, or blanco (nobody has filled it in).
-- is_registered: Whether somebody has filled it in; a rate is a share of these.
-- is_present: Whether the student was there, late or not.
-- is_no_show: Whether the student stayed away without leave.
-- is_canceled: Whether the enrollment is canceled; it counts in no rate then.
-- comment: What the teacher wrote with it.
-- attendance_id: → attendances.id
-- enrollment_id: → enrollments.id
-- meeting_id: → meetings.id
-- student_id: → users.id
-- planned_course_id: → planned_courses.id
-- course_id: → courses.id
SELECT
    NULLIF(CONCAT_WS(' ', s.first_name, s.middle_name, s.last_name), '') AS student,
    c.name AS course,
    m.name AS meeting,
    CAST(m.start_date_time AT TIME ZONE '{time_zone}' AS DATE) AS day,
    a.state,
    a.state <> 'blanco' AS is_registered,
    a.state IN ('attended', 'late') AS is_present,
    a.state = 'absent' AS is_no_show,
    e.status = 'canceled' AS is_canceled,
    a.comment,
    a.id AS attendance_id,
    a.enrollment_id,
    a.meeting_id,
    e.student_id,
    e.planned_course_id,
    p.course_id
FROM attendances AS a
JOIN enrollments AS e ON e.id = a.enrollment_id
JOIN meetings AS m ON m.id = a.meeting_id
LEFT JOIN users AS s ON s.id = e.student_id
LEFT JOIN planned_courses AS p ON p.id = e.planned_course_id
LEFT JOIN courses AS c ON c.id = p.course_id
