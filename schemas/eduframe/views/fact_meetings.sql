-- One row for each meeting of a planned course. A meeting counts on the day on which it begins.
--
-- unique: meeting_id
--
-- columns
-- meeting: The meeting's name.
-- course: The course's name.
-- status: That of the planned course: planned, active, completed or canceled.
-- day: The day on which it begins, in the customer's time zone.
-- starts_at: When it begins, in the customer's time zone.
-- ends_at: When it ends, in the customer's time zone.
-- hours: How long it lasts, breaks included: real hours, also where the clock is changed meanwhile.
-- room: The first of its meeting locations.
-- location: The course location of that room.
-- capacity: How many people that room holds.
-- participants: The enrollments in its planned course that are not canceled.
-- teachers: The teachers that are planned for it or its planning events, with commas.
-- teacher_count: How many they are.
-- meeting_id: → meetings.id
-- planned_course_id: → planned_courses.id
-- course_id: → courses.id
-- meeting_location_id: → meeting_locations.id
WITH taught AS (
    SELECT
        meeting_id,
        STRING_AGG(teacher, ', ' ORDER BY teacher_id) AS teachers,
        COUNT(*) AS teacher_count
    FROM fact_teacher_hours
    WHERE meeting_id IS NOT NULL
    GROUP BY meeting_id
),
enrolled AS (
    SELECT planned_course_id, COUNT(*) AS participants
    FROM enrollments
    WHERE status <> 'canceled'
    GROUP BY planned_course_id
)
SELECT
    m.name AS meeting,
    c.name AS course,
    p.status,
    CAST(m.start_date_time AT TIME ZONE '{time_zone}' AS DATE) AS day,
    m.start_date_time AT TIME ZONE '{time_zone}' AS starts_at,
    m.end_date_time AT TIME ZONE '{time_zone}' AS ends_at,
    CAST((EPOCH(m.end_date_time) - EPOCH(m.start_date_time)) / 3600 AS DECIMAL(9, 2)) AS hours,
    r.name AS room,
    l.name AS location,
    r.capacity,
    COALESCE(enrolled.participants, 0) AS participants,
    taught.teachers,
    COALESCE(taught.teacher_count, 0) AS teacher_count,
    m.id AS meeting_id,
    m.planned_course_id,
    p.course_id,
    m.meeting_location_id
FROM meetings AS m
LEFT JOIN planned_courses AS p ON p.id = m.planned_course_id
LEFT JOIN courses AS c ON c.id = p.course_id
LEFT JOIN meeting_locations AS r ON r.id = m.meeting_location_id
LEFT JOIN course_locations AS l ON l.id = r.course_location_id
LEFT JOIN enrolled ON enrolled.planned_course_id = m.planned_course_id
LEFT JOIN taught ON taught.meeting_id = m.id
