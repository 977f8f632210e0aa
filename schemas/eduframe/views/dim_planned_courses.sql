-- One row for each planned course: a course as it is given once, from a start date on. Facts lead to
-- it by planned_course_id. How many take part is in occupancy.
--
-- unique: planned_course_id
--
-- columns
-- course: The course's name.
-- category: The category that the course is in.
-- form: In which form it is given, such as evening or online (course variant).
-- location: Where it is given.
-- status: planned, active (it runs), completed or canceled.
-- is_flexible: Whether students start at any time, without fixed dates.
-- start_date: Its first day.
-- end_date: Its last day.
-- needed: How many participants it needs.
-- places: How many participants it has room for; empty where no maximum is set.
-- sign_up: Whether one can sign up: open or closed.
-- price: What it costs without VAT.
-- currency: The currency of the price.
-- meetings: How many meetings it has.
-- teachers: The teachers of the planned course, which need not be those of its meetings.
-- planned_course_id: → planned_courses.id
-- course_id: → courses.id
-- course_location_id: → course_locations.id
WITH met AS (
    SELECT planned_course_id, COUNT(*) AS meetings
    FROM meetings
    GROUP BY planned_course_id
),
taught AS (
    SELECT
        e.planned_course_id,
        STRING_AGG(
            CONCAT_WS(' ', t.first_name, t.middle_name, t.last_name), ', ' ORDER BY t.id
        ) AS teachers
    FROM (SELECT DISTINCT planned_course_id, teacher_id FROM teacher_enrollments) AS e
    JOIN teachers AS t ON t.id = e.teacher_id
    GROUP BY e.planned_course_id
)
SELECT
    c.name AS course,
    k.name AS category,
    v.name AS form,
    l.name AS location,
    p.status,
    p.type = 'FlexiblePlannedCourse' AS is_flexible,
    p.start_date,
    p.end_date,
    p.min_participants AS needed,
    p.max_participants AS places,
    p.availability_state AS sign_up,
    p.cost AS price,
    p.currency,
    COALESCE(met.meetings, 0) AS meetings,
    taught.teachers,
    p.id AS planned_course_id,
    p.course_id,
    p.course_location_id
FROM planned_courses AS p
LEFT JOIN courses AS c ON c.id = p.course_id
LEFT JOIN categories AS k ON k.id = c.category_id
LEFT JOIN course_variants AS v ON v.id = p.course_variant_id
LEFT JOIN course_locations AS l ON l.id = p.course_location_id
LEFT JOIN met ON met.planned_course_id = p.id
LEFT JOIN taught ON taught.planned_course_id = p.id
