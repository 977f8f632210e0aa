-- Occupancy of planned courses: places taken of the courses that run or are to come.
SELECT course, start_date, needed, places, taken, occupied_percent
FROM occupancy
WHERE status IN ('planned', 'active')
ORDER BY start_date, course, planned_course_id;
