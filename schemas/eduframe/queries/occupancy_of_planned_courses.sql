-- Occupancy of planned courses: places taken of the courses that run or are to come.
-- Counted from the enrollments themselves; where no maximum is set, the percentage is empty.
SELECT
    courses.name AS course,
    planned_courses.start_date,
    planned_courses.min_participants AS needed,
    planned_courses.max_participants AS places,
    COUNT(enrollments.id) AS taken,
    ROUND(100.0 * COUNT(enrollments.id) / NULLIF(planned_courses.max_participants, 0), 0)
        AS occupied_percent
FROM planned_courses
JOIN courses ON courses.id = planned_courses.course_id
LEFT JOIN enrollments
       ON enrollments.planned_course_id = planned_courses.id
      AND enrollments._deleted_at IS NULL
      AND enrollments.status <> 'canceled'
WHERE planned_courses._deleted_at IS NULL
  AND planned_courses.status IN ('planned', 'active')
GROUP BY planned_courses.id, courses.name, planned_courses.start_date,
         planned_courses.min_participants, planned_courses.max_participants
ORDER BY planned_courses.start_date, course, planned_courses.id;
