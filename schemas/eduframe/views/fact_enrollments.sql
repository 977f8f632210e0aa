-- One row for each enrollment: a student's place in a planned course. Canceled ones are there, and
-- rarely to be counted: see is_canceled.
--
-- unique: enrollment_id
--
-- columns
-- student: The student's name.
-- course: The course's name.
-- category: The category that the course is in.
-- status: confirmed (it is to begin), active, completed or canceled.
-- is_canceled: Whether it is canceled.
-- result: passed, failed or awaiting_judgement.
-- grade: The grade as it was given; may be a letter.
-- grade_number: The grade as a number, where it is one (8,5 and 8.5 alike).
-- enrolled_on: The day that the enrollment was made, in the customer's time zone.
-- start_date: The first day of the student.
-- end_date: The last day of the student.
-- customer: The account that ordered the place; empty without an order.
-- order_number: The order's number.
-- enrollment_id: → enrollments.id
-- student_id: → users.id
-- planned_course_id: → planned_courses.id
-- course_id: → courses.id
-- order_id: → orders.id
-- account_id: → accounts.id
SELECT
    NULLIF(CONCAT_WS(' ', s.first_name, s.middle_name, s.last_name), '') AS student,
    c.name AS course,
    k.name AS category,
    e.status,
    e.status = 'canceled' AS is_canceled,
    e.graduation_state AS result,
    g.grade,
    CASE
        WHEN REGEXP_MATCHES(TRIM(g.grade), '^[0-9]{1,4}([.,][0-9]{1,4})?$')
            THEN CAST(REPLACE(TRIM(g.grade), ',', '.') AS DECIMAL(9, 4))
    END AS grade_number,
    CAST(e.created_at AT TIME ZONE '{time_zone}' AS DATE) AS enrolled_on,
    e.start_date,
    e.end_date,
    a.name AS customer,
    o.number AS order_number,
    e.id AS enrollment_id,
    e.student_id,
    e.planned_course_id,
    p.course_id,
    o.id AS order_id,
    o.account_id
FROM enrollments AS e
LEFT JOIN users AS s ON s.id = e.student_id
LEFT JOIN planned_courses AS p ON p.id = e.planned_course_id
LEFT JOIN courses AS c ON c.id = p.course_id
LEFT JOIN categories AS k ON k.id = c.category_id
LEFT JOIN grades AS g ON g.owner_table = 'enrollments' AND g.owner_id = e.id
LEFT JOIN orders AS o ON o.id = e.order_id
LEFT JOIN accounts AS a ON a.id = o.account_id
