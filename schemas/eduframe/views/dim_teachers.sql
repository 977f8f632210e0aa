-- One row for each teacher, by the teacher_id of facts. It is the user_id of the same person in
-- dim_people.
--
-- unique: teacher_id
--
-- columns
-- teacher: First, middle and last name.
-- email: The email address.
-- headline: The line under the teacher's name.
-- is_active: Whether the teacher can be planned.
-- labels: The teacher's labels, with commas.
-- teacher_id: → teachers.id
WITH tagged AS (
    SELECT tl.teacher_id, STRING_AGG(l.name, ', ' ORDER BY l.id) AS labels
    FROM teacher_labels AS tl
    JOIN labels AS l ON l.id = tl.label_id
    GROUP BY tl.teacher_id
)
SELECT
    NULLIF(CONCAT_WS(' ', t.first_name, t.middle_name, t.last_name), '') AS teacher,
    t.email,
    t.teacher_headline AS headline,
    t.active AS is_active,
    tagged.labels,
    t.id AS teacher_id
FROM teachers AS t
LEFT JOIN tagged ON tagged.teacher_id = t.id
