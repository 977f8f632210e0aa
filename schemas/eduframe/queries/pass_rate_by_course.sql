-- Pass rate by course: how many of those who were judged have passed, and with which average grade.
SELECT course, judged, passed, pass_percent, average_grade
FROM results_by_course
WHERE judged > 0
ORDER BY pass_percent, course;
