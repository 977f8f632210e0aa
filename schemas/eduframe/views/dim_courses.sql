-- One row for each course, apart from when it is given. Facts and planned courses lead to it by
-- course_id.
--
-- unique: course_id
--
-- columns
-- course: The course's name.
-- code: The educator's own code.
-- category: The category that it is in.
-- main_category: The category above that one; the category itself, where there is none.
-- level: Its level, as the educator wrote it.
-- duration: How long it takes, in words.
-- price: What it costs without VAT, in the educator's currency.
-- price_is_per: What the price is counted by: student, order, free, or tbd (not yet known).
-- is_published: Whether the website shows it.
-- course_id: → courses.id
-- category_id: → categories.id
SELECT
    c.name AS course,
    c.code,
    k.name AS category,
    COALESCE(above.name, k.name) AS main_category,
    c.level,
    c.duration,
    c.cost AS price,
    c.cost_scheme AS price_is_per,
    c.is_published,
    c.id AS course_id,
    c.category_id
FROM courses AS c
LEFT JOIN categories AS k ON k.id = c.category_id
LEFT JOIN categories AS above ON above.id = k.parent_id
