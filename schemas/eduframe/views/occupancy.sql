-- How full each planned course is: one row for each, of any status. Places are taken by enrollments
-- that are not canceled, counted one by one: the counts that Eduframe gives may lag.
--
-- unique: planned_course_id
--
-- columns
-- course: The course's name.
-- category: The category that the course is in.
-- location: Where it is given.
-- status: planned, active, completed or canceled.
-- start_date: Its first day.
-- end_date: Its last day.
-- needed: How many participants it needs.
-- places: How many it has room for; empty where no maximum is set.
-- taken: How many places are taken.
-- free: How many are left, 0 where it is overbooked; empty where no maximum is set.
-- occupied_percent: The share of the places that is taken; empty where no maximum is set.
-- has_enough: Whether it has the participants that it needs.
-- planned_course_id: → planned_courses.id
-- course_id: → courses.id
WITH enrolled AS (
    SELECT planned_course_id, COUNT(*) AS taken
    FROM enrollments
    WHERE status <> 'canceled'
    GROUP BY planned_course_id
)
SELECT
    c.name AS course,
    k.name AS category,
    l.name AS location,
    p.status,
    p.start_date,
    p.end_date,
    p.min_participants AS needed,
    p.max_participants AS places,
    COALESCE(e.taken, 0) AS taken,
    CASE
        WHEN p.max_participants > COALESCE(e.taken, 0)
            THEN p.max_participants - COALESCE(e.taken, 0)
        WHEN p.max_participants IS NOT NULL THEN 0
    END AS free,
    CAST(100.0 * COALESCE(e.taken, 0) / NULLIF(p.max_participants, 0) AS DECIMAL(9, 1))
        AS occupied_percent,
    COALESCE(e.taken, 0) >= COALESCE(p.min_participants, 0) AS has_enough,
    p.id AS planned_course_id,
    p.course_id
FROM planned_courses AS p
LEFT JOIN enrolled AS e ON e.planned_course_id = p.id
LEFT JOIN courses AS c ON c.id = p.course_id
LEFT JOIN categories AS k ON k.id = c.category_id
LEFT JOIN course_locations AS l ON l.id = p.course_location_id
