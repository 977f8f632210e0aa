"""“Counting correctly”: what returns a wrong number without an error, and what to write instead.

The SQL runs as it is on DuckDB and Postgres; tests bind it to the tables of this release, and
compare what it counts.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Trap:
    """A way to a wrong number, and the way round it."""

    name: str
    """In an anchor."""
    title: str
    wrong: str
    """What happens, to whom."""
    cure: str
    sql: str


TRAPS = (
    Trap(
        "deleted",
        "Deleted rows are still there",
        "What is gone from Eduframe is marked, not removed, so that history can be told. Each "
        "table of a list has _deleted_at; tables of nested parts (order_items, addresses, "
        "order_labels) have no such mark, and keep the rows of owners that are deleted.",
        "Ask every table of a list that you join for _deleted_at IS NULL. Join a nested table to "
        "its owner, even if you need nothing else of the owner.",
        """\
-- Students in orders that live and count.
SELECT COUNT(*) AS students
FROM order_items
JOIN orders ON orders.id = order_items.order_id
WHERE orders._deleted_at IS NULL
  AND orders.status = 'active'""",
    ),
    Trap(
        "references",
        "An id may lead elsewhere than its name says",
        "personal_program_elements.enrollment_id is a program enrollment, yet most of its numbers "
        "are also ids of enrollments, of other people. Where a second column names the kind "
        "(certifiable_type, owner_table), an id alone is worth nothing.",
        "Follow the links of this page, or ask the table _relations, and take its condition along.",
        """\
-- Certificates by what they were awarded for.
SELECT
    certificates.id,
    COALESCE(enrollments.student_id, program_enrollments.student_id) AS student_id,
    certificates.certifiable_type
FROM certificates
LEFT JOIN enrollments
       ON certificates.certifiable_type = 'course_enrollment'
      AND enrollments.id = certificates.certifiable_id
LEFT JOIN program_enrollments
       ON certificates.certifiable_type = 'program_enrollment'
      AND program_enrollments.id = certificates.certifiable_id
WHERE certificates._deleted_at IS NULL
ORDER BY certificates.id""",
    ),
    Trap(
        "status",
        "Not every row with an amount counts",
        "Orders that were denied, called off or never approved keep their amounts. Enrollments "
        "that were canceled stay, invoices that are drafts have totals, payments that failed have "
        "amounts. An attendance that nobody has filled in ('blanco') is neither there nor absent.",
        "Read the values of each status here, and name those that count: orders that are active, "
        "enrollments that are not canceled, invoices that are no concept, payments that are paid.",
        """\
-- No-shows: of those whose attendance was filled in, who was absent without leave.
SELECT
    COUNT(*) AS registered,
    COUNT(*) FILTER (WHERE attendances.state = 'absent') AS no_shows,
    ROUND(100.0 * COUNT(*) FILTER (WHERE attendances.state = 'absent') / NULLIF(COUNT(*), 0), 1)
        AS no_show_percent
FROM attendances
JOIN enrollments ON enrollments.id = attendances.enrollment_id
WHERE attendances._deleted_at IS NULL
  AND enrollments._deleted_at IS NULL
  AND enrollments.status <> 'canceled'
  AND attendances.state <> 'blanco'""",
    ),
    Trap(
        "overdue",
        "Overdue is a matter of dates",
        "Eduframe sets an invoice's status to expired at some moment after its day has passed, so "
        "the status misses what fell due since, and may be behind in the mirror as well.",
        "Compare expiration_date with the day, among all invoices that are still open.",
        """\
-- What is overdue today, by currency.
SELECT
    currency,
    COUNT(*) AS invoices,
    ROUND(SUM(total_open), 2) AS overdue
FROM invoices
WHERE _deleted_at IS NULL
  AND status IN ('open', 'expired')
  AND total_open > 0
  AND expiration_date < CURRENT_DATE
GROUP BY currency
ORDER BY currency""",
    ),
    Trap(
        "fan-out",
        "A join can count a row several times",
        "An order has several labels, a planned course several teachers, an account may be in "
        "several organizations, a lead asks for several products. Each such join repeats the row "
        "on the left, and its money with it.",
        "Where you only ask whether there is such a row, write EXISTS. Where you need its columns, "
        "bring the other side to one row each first, or count DISTINCT ids; never add up amounts "
        "after such a join.",
        """\
-- Orders that bear a label, each of them once.
SELECT
    catalog_variants.currency,
    COUNT(*) AS orders,
    ROUND(SUM(orders.total_cost_excl), 2) AS value_excl_vat
FROM orders
JOIN catalog_variants ON catalog_variants.id = orders.catalog_variant_id
WHERE orders._deleted_at IS NULL
  AND orders.status = 'active'
  AND EXISTS (SELECT 1 FROM order_labels WHERE order_labels.order_id = orders.id)
GROUP BY catalog_variants.currency
ORDER BY catalog_variants.currency""",
    ),
    Trap(
        "two-truths",
        "Two tables may answer one question, differently",
        "Teachers belong to a planned course (teacher_enrollments) and to a meeting "
        "(planning_attendees). A meeting and its planning event hold the same hours and the same "
        "teachers. Orders say what was sold, invoices what was charged. A course, its meetings and "
        "the rooms that are booked each have a location.",
        "Say which one you mean, and stay with it. For hours: the meetings, each teacher once, and "
        "no planning event. For revenue: the invoices; for sales: the orders.",
        """\
-- Hours that each teacher gives, by the meetings where they are planned.
WITH gives AS (
    SELECT DISTINCT planning_attendees.teacher_id, meetings.id,
        meetings.start_date_time, meetings.end_date_time
    FROM planning_attendees
    JOIN meetings ON meetings.id = planning_attendees.owner_id
    WHERE planning_attendees.owner_table = 'meetings'
      AND meetings._deleted_at IS NULL
)
SELECT
    teacher_id,
    COUNT(*) AS meetings,
    ROUND(SUM(EXTRACT(EPOCH FROM end_date_time - start_date_time)) / 3600.0, 1) AS hours
FROM gives
GROUP BY teacher_id
ORDER BY teacher_id""",
    ),
    Trap(
        "no-way",
        "Some things are not connected",
        "No column leads from a lead to the order that came of it. Many lines of "
        "invoices name no product, and an invoice need not have an order. An inner join leaves "
        "such rows out without a word.",
        "Join with LEFT JOIN, take the next best way, and show how much is left that has none.",
        """\
-- Lines of invoices by category: by the line's own product, else by that of the order, else none.
SELECT
    COALESCE(categories.name, 'no category') AS category,
    invoices.currency,
    COUNT(*) AS lines,
    SUM(ROUND(invoice_items.units * CAST(invoice_items.unit_price AS DECIMAL(18, 4)), 2))
        AS amount_excl_vat
FROM invoice_items
JOIN invoices ON invoices.id = invoice_items.invoice_id
LEFT JOIN orders ON orders.id = invoices.order_id
LEFT JOIN catalog_variants
       ON catalog_variants.id
        = COALESCE(invoice_items.catalog_variant_id, orders.catalog_variant_id)
LEFT JOIN catalog_products ON catalog_products.id = catalog_variants.product_id
LEFT JOIN categories ON categories.id = catalog_products.category_id
WHERE invoices._deleted_at IS NULL
  AND invoices.status <> 'concept'
GROUP BY 1, 2
ORDER BY 1, 2""",
    ),
    Trap(
        "types",
        "Not every number is a number",
        "Grades are text: '8.5', but also 'B+'. Numbers of orders and invoices come with nine "
        "decimals, as do all amounts, and amounts that are multiplied with each other may "
        "overflow. planned_courses.available_places is yes or no, while the column of that name in "
        "catalog_variants is a number.",
        "Cast: numbers of orders to whole numbers, amounts to two decimals, grades where they are "
        "numbers, and count those that are not beside the average.",
        """\
-- The average grade of enrollments, and how many grades are no numbers.
WITH given AS (
    SELECT CASE WHEN grades.grade ~ '^[0-9]+([.,][0-9]+)?$'
                THEN CAST(REPLACE(grades.grade, ',', '.') AS DECIMAL(9, 3)) END AS number
    FROM grades
    JOIN enrollments ON enrollments.id = grades.owner_id
    WHERE grades.owner_table = 'enrollments'
      AND grades.grade IS NOT NULL
      AND enrollments._deleted_at IS NULL
)
SELECT
    ROUND(AVG(number), 2) AS average,
    COUNT(number) AS counted,
    COUNT(*) - COUNT(number) AS no_numbers
FROM given""",
    ),
    Trap(
        "days",
        "A day begins where the provider is",
        "All times are UTC. An order placed at half past midnight in Amsterdam has the day before "
        "in the database. educators.time_zone says 'Amsterdam', as Ruby on Rails calls the zone: "
        "databases know it as Europe/Amsterdam.",
        "Turn times into local ones before you take their day, week or month. Columns that are "
        "dates already stay as they are.",
        """\
-- Orders by the day on which they were placed, in Amsterdam.
SELECT
    CAST(created_at AT TIME ZONE 'Europe/Amsterdam' AS DATE) AS day,
    COUNT(*) AS orders
FROM orders
WHERE _deleted_at IS NULL
  AND status = 'active'
GROUP BY 1
ORDER BY 1""",
    ),
    Trap(
        "currencies",
        "Money of several currencies does not add up",
        "Invoices, payments and planned courses have a currency of their own, orders that of their "
        "catalog variant. One sum over all of them is in no currency.",
        "Group by the currency, or ask for one. Say whether amounts are with VAT.",
        """\
-- What was invoiced by month, without VAT.
SELECT
    CAST(date_trunc('month', opened_at) AS DATE) AS month,
    currency,
    ROUND(SUM(total_excl), 2) AS revenue_excl_vat
FROM invoices
WHERE _deleted_at IS NULL
  AND status <> 'concept'
GROUP BY 1, 2
ORDER BY 1, 2""",
    ),
    Trap(
        "computed",
        "What Eduframe computes may be behind",
        "Columns that Eduframe computes, such as planned_courses.current_participants, may change "
        "without a trace in updated_at, and then wait here for the next time that the list is "
        "compared by content.",
        "Count the rows themselves. Here, such columns are marked “computed”.",
        """\
-- Places taken in planned courses, counted from the enrollments.
SELECT
    planned_courses.id,
    planned_courses.max_participants AS places,
    COUNT(enrollments.id) AS taken
FROM planned_courses
LEFT JOIN enrollments
       ON enrollments.planned_course_id = planned_courses.id
      AND enrollments._deleted_at IS NULL
      AND enrollments.status <> 'canceled'
WHERE planned_courses._deleted_at IS NULL
GROUP BY planned_courses.id, planned_courses.max_participants
ORDER BY planned_courses.id""",
    ),
)
