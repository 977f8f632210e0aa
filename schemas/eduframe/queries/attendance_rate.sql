-- Attendance rate by course: how many of the registered attendances were present, late or not.
SELECT course, registered, late, no_shows, attendance_percent
FROM attendance_by_course
ORDER BY attendance_percent, course;
