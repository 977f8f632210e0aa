-- One row for each teacher at each meeting, once, whether the teacher is planned for the meeting, for
-- one of its planning events, or for several; and one for each teacher at a planning event that
-- belongs to no meeting. Who teaches a course by its teacher enrollments, and is planned for no
-- meeting, has no hours here. A meeting counts on the day on which it begins.
--
-- unique: teacher_id, meeting_id, planning_event_id
--
-- columns
-- teacher: The teacher's name.
-- role: What the teacher is there, such as instructor.
-- kind: meeting or planning event.
-- course: The course of the meeting.
-- name: The name of the meeting or event.
-- day: The day on which it begins, in the customer's time zone.
-- month: The first day of that month.
-- starts_at: When it begins, in the customer's time zone.
-- ends_at: When it ends, in the customer's time zone.
-- hours: How long it lasts, breaks included: real hours, also where the clock is changed meanwhile.
-- is_canceled: Whether the planned course of the meeting is canceled.
-- is_given: Whether it is over, and not canceled.
-- teacher_id: → teachers.id
-- meeting_id: → meetings.id
-- planning_event_id: → planning_events.id
-- planned_course_id: → planned_courses.id
-- course_id: → courses.id
WITH at_meetings AS (
    SELECT a.teacher_id, a.teacher_role_id, a.owner_id AS meeting_id
    FROM planning_attendees AS a
    WHERE a.owner_table = 'meetings' AND a.teacher_id IS NOT NULL
    UNION ALL
    SELECT a.teacher_id, a.teacher_role_id, v.meeting_id
    FROM planning_attendees AS a
    JOIN planning_events AS v ON v.id = a.owner_id
    WHERE a.owner_table = 'planning_events' AND a.teacher_id IS NOT NULL
),
once AS (
    SELECT teacher_id, meeting_id, MIN(teacher_role_id) AS teacher_role_id
    FROM at_meetings
    GROUP BY teacher_id, meeting_id
),
booked AS (
    SELECT
        once.teacher_id,
        once.teacher_role_id,
        'meeting' AS kind,
        m.name,
        m.start_date_time,
        m.end_date_time,
        m.id AS meeting_id,
        CAST(NULL AS BIGINT) AS planning_event_id,
        m.planned_course_id
    FROM once
    JOIN meetings AS m ON m.id = once.meeting_id
    UNION ALL
    SELECT
        a.teacher_id,
        MIN(a.teacher_role_id),
        'planning event',
        v.name,
        v.start_date_time,
        v.end_date_time,
        CAST(NULL AS BIGINT),
        v.id,
        CAST(NULL AS BIGINT)
    FROM planning_attendees AS a
    JOIN planning_events AS v ON v.id = a.owner_id
    WHERE a.owner_table = 'planning_events' AND a.teacher_id IS NOT NULL AND v.meeting_id IS NULL
    GROUP BY a.teacher_id, v.name, v.start_date_time, v.end_date_time, v.id
)
SELECT
    NULLIF(CONCAT_WS(' ', t.first_name, t.middle_name, t.last_name), '') AS teacher,
    r.name AS role,
    b.kind,
    c.name AS course,
    b.name,
    CAST(b.start_date_time AT TIME ZONE '{time_zone}' AS DATE) AS day,
    CAST(DATE_TRUNC('month', b.start_date_time AT TIME ZONE '{time_zone}') AS DATE) AS month,
    b.start_date_time AT TIME ZONE '{time_zone}' AS starts_at,
    b.end_date_time AT TIME ZONE '{time_zone}' AS ends_at,
    CAST((EPOCH(b.end_date_time) - EPOCH(b.start_date_time)) / 3600 AS DECIMAL(9, 2)) AS hours,
    COALESCE(p.status = 'canceled', FALSE) AS is_canceled,
    b.end_date_time <= CURRENT_TIMESTAMP AND COALESCE(p.status <> 'canceled', TRUE) AS is_given,
    b.teacher_id,
    b.meeting_id,
    b.planning_event_id,
    b.planned_course_id,
    p.course_id
FROM booked AS b
LEFT JOIN teachers AS t ON t.id = b.teacher_id
LEFT JOIN teacher_roles AS r ON r.id = b.teacher_role_id
LEFT JOIN planned_courses AS p ON p.id = b.planned_course_id
LEFT JOIN courses AS c ON c.id = p.course_id
