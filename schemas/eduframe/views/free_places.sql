-- The places that are free in the coming quarter: one row for each planned course that begins within
-- 92 days from today (in the customer's time zone), is not canceled, and lets people sign up. Where
-- no maximum is set, how many are free is not known.
--
-- unique: planned_course_id
--
-- columns
-- course: The course's name.
-- category: The category that the course is in.
-- location: Where it is given.
-- start_date: Its first day.
-- days_until_start: How many days that is from today.
-- needed: How many participants it needs.
-- places: How many it has room for; empty where no maximum is set.
-- taken: How many places are taken.
-- free: How many are left; empty where no maximum is set.
-- planned_course_id: → planned_courses.id
-- course_id: → courses.id
SELECT
    o.course,
    o.category,
    o.location,
    o.start_date,
    o.start_date - CAST(CURRENT_TIMESTAMP AT TIME ZONE '{time_zone}' AS DATE) AS days_until_start,
    o.needed,
    o.places,
    o.taken,
    o.free,
    o.planned_course_id,
    o.course_id
FROM occupancy AS o
JOIN planned_courses AS p ON p.id = o.planned_course_id
WHERE o.status IN ('planned', 'active')
    AND p.availability_state = 'open'
    AND o.start_date >= CAST(CURRENT_TIMESTAMP AT TIME ZONE '{time_zone}' AS DATE)
    AND o.start_date - CAST(CURRENT_TIMESTAMP AT TIME ZONE '{time_zone}' AS DATE) < 92
