-- One row for each edition of a program: a program as it is given once.
--
-- unique: program_edition_id
--
-- columns
-- program: The program's name.
-- edition: The edition's name.
-- category: The category that the program is in.
-- start_date: Its first day.
-- end_date: Its last day.
-- needed: How many participants it needs.
-- places: How many participants it has room for; empty where no maximum is set.
-- participants: Its enrollments that are not canceled, counted one by one.
-- price: What it costs without VAT, in the educator's currency.
-- is_published: Whether the website shows it.
-- program_edition_id: → program_editions.id
-- program_id: → programs.id
WITH enrolled AS (
    SELECT edition_id, COUNT(*) AS participants
    FROM program_enrollments
    WHERE state <> 'canceled'
    GROUP BY edition_id
)
SELECT
    p.name AS program,
    e.name AS edition,
    k.name AS category,
    e.start_date,
    e.end_date,
    e.min_participants AS needed,
    e.max_participants AS places,
    COALESCE(enrolled.participants, 0) AS participants,
    e.cost AS price,
    e.is_published,
    e.id AS program_edition_id,
    e.program_id
FROM program_editions AS e
LEFT JOIN programs AS p ON p.id = e.program_id
LEFT JOIN categories AS k ON k.id = p.category_id
LEFT JOIN enrolled ON enrolled.edition_id = e.id
