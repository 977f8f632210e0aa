"""The questions of the first page, answered by the views. Currencies are never added up."""

from pipelines.eduframe.commands.report.section import Chart, Section

_AGES = (
    "overdue_1_to_30_days", "overdue_31_to_60_days", "overdue_61_to_90_days",
    "overdue_over_90_days",
)

QUESTIONS = (
    Section(
        "next-month",
        "How full are next month's courses?",
        ("occupancy",),
        """\
SELECT course, start_date, location, taken, places, free, occupied_percent, needed,
    CASE WHEN has_enough THEN 'yes' ELSE 'no' END AS has_enough, planned_course_id
FROM occupancy
WHERE status IN ('planned', 'active')
    AND start_date >= {next_month} AND start_date < {month_after}""",
        "start_date, course, planned_course_id",
        "No planned course begins next month.",
        Chart("bars", ("course", "start_date"), ("taken", "free"), "places"),
        totals=("taken", "free"),
    ),
    Section(
        "occupancy-by-month",
        "How full are courses, month by month?",
        ("occupancy",),
        """\
SELECT CAST(DATE_TRUNC('month', start_date) AS DATE) AS month,
    COUNT(*) AS courses,
    COUNT(CASE WHEN NOT has_enough THEN 1 END) AS with_too_few,
    CAST(SUM(taken) AS BIGINT) AS taken,
    CAST(SUM(CASE WHEN places > 0 THEN taken END) AS BIGINT) AS taken_of_places,
    CAST(SUM(places) AS BIGINT) AS places,
    CAST(100.0 * SUM(CASE WHEN places > 0 THEN taken END)
        / NULLIF(SUM(CASE WHEN places > 0 THEN places END), 0) AS DECIMAL(9, 1))
        AS occupied_percent
FROM occupancy
WHERE status <> 'canceled' AND start_date >= {year_ago} AND start_date < {year_ahead}
GROUP BY CAST(DATE_TRUNC('month', start_date) AS DATE)""",
        "month",
        "No planned course begins in the year before or after this month.",
        Chart("months", ("month",), ("occupied_percent",), "% of the places taken"),
        note="By the month in which courses begin, from twelve months ago to twelve months ahead. "
        "Places, those taken of them, and the share are of the courses for which a maximum is set.",
        totals=("courses", "taken"),
    ),
    Section(
        "free-places",
        "Where are places left in the coming quarter?",
        ("free_places",),
        """\
SELECT course, start_date, location, free, taken, places, needed, days_until_start,
    planned_course_id
FROM free_places""",
        "start_date, course, planned_course_id",
        "No course that people can sign up for begins in the coming 92 days.",
        Chart("bars", ("course", "start_date"), ("free",), "places left"),
        note="Where no maximum is set, any number is left: the chart leaves these out.",
        totals=("free", "taken"),
    ),
    Section(
        "open-invoices",
        "Who owes what, and since when?",
        ("open_invoices",),
        """\
SELECT customer, currency, invoices, still_open, overdue, first_due_on, not_due,
    overdue_1_to_30_days, overdue_31_to_60_days, overdue_61_to_90_days, overdue_over_90_days,
    account_id
FROM open_invoices""",
        "overdue DESC, still_open DESC, customer, account_id",
        "Nobody owes anything.",
        Chart("bars", ("customer",), ("not_due", *_AGES), "open, with VAT"),
        totals=("invoices", "still_open", "overdue"),
    ),
    Section(
        "open-by-age",
        "How old is what is owed?",
        ("open_invoices",),
        """\
WITH sums AS (
    SELECT currency, SUM(not_due) AS not_due, SUM(overdue_1_to_30_days) AS to_30,
        SUM(overdue_31_to_60_days) AS to_60, SUM(overdue_61_to_90_days) AS to_90,
        SUM(overdue_over_90_days) AS over_90
    FROM open_invoices
    GROUP BY currency
)
SELECT currency, 'not due yet' AS past_due, not_due AS still_open, 1 AS age_id FROM sums
UNION ALL SELECT currency, '1 to 30 days', to_30, 2 FROM sums
UNION ALL SELECT currency, '31 to 60 days', to_60, 3 FROM sums
UNION ALL SELECT currency, '61 to 90 days', to_90, 4 FROM sums
UNION ALL SELECT currency, 'over 90 days', over_90, 5 FROM sums""",
        "currency, age_id",
        "Nobody owes anything.",
        Chart("bars", ("past_due",), ("still_open",), "open, with VAT"),
        note="By how long the due date is past today.",
    ),
    Section(
        "revenue-by-month",
        "What was invoiced and paid, month by month?",
        ("revenue_by_month",),
        """\
SELECT month, currency, invoices, invoiced_excl, invoiced_incl, paid, still_open
FROM revenue_by_month
WHERE month >= {two_years_ago}""",
        "month DESC, currency",
        "Nothing was invoiced or paid in two years.",
        Chart("months", ("month",), ("invoiced_incl", "paid"), "with VAT", stacked=False),
        totals=("invoices", "invoiced_excl", "invoiced_incl", "paid"),
        note="The last two years.",
    ),
    Section(
        "revenue-by-course",
        "Which courses bring in the money?",
        ("revenue_by_course",),
        """\
SELECT COALESCE(course, '(no product known)') AS course, category, currency,
    SUM(invoiced_excl) AS invoiced_excl, SUM(invoiced_incl) AS invoiced_incl, SUM(paid) AS paid,
    catalog_product_id
FROM revenue_by_course
WHERE month >= {year_ago}
GROUP BY COALESCE(course, '(no product known)'), category, currency, catalog_product_id""",
        "invoiced_excl DESC, course, category, catalog_product_id, currency",
        "Nothing was invoiced or paid in a year.",
        Chart("bars", ("course",), ("invoiced_excl",), "invoiced, without VAT"),
        totals=("invoiced_excl", "invoiced_incl", "paid"),
        note="The last twelve months and this one.",
    ),
    Section(
        "completion",
        "Which courses lose people?",
        ("results_by_course",),
        """\
SELECT course, category, ended, completed, ended - completed AS lost, completion_percent,
    100 - completion_percent AS lost_percent, course_id
FROM results_by_course
WHERE ended > 0""",
        "completion_percent, ended DESC, course, course_id",
        "No planned course with enrollments is completed yet.",
        Chart("bars", ("course",), ("lost_percent",), "% who do not complete it"),
        note="Those that lose most come first. Canceled enrollments count as lost.",
        totals=("ended", "completed", "lost"),
    ),
    Section(
        "results",
        "Who passes, and with which grade?",
        ("results_by_course",),
        """\
SELECT course, category, judged, passed, pass_percent, average_grade, grades_as_numbers,
    other_grades, course_id
FROM results_by_course
WHERE judged > 0""",
        "pass_percent, judged DESC, course, course_id",
        "Nobody has passed or failed yet.",
        Chart("bars", ("course",), ("pass_percent",), "% of those judged who passed"),
        totals=("judged", "passed"),
    ),
    Section(
        "attendance",
        "Who is there, and who stays away?",
        ("attendance_by_course",),
        """\
SELECT course, registered, present, late, absent_with_leave, no_shows, attendance_percent,
    no_show_percent, course_id
FROM attendance_by_course""",
        "no_show_percent DESC, registered DESC, course, course_id",
        "No attendance has been filled in yet.",
        Chart("bars", ("course",), ("no_show_percent",), "% who stayed away without leave"),
        totals=("registered", "present", "no_shows"),
    ),
    Section(
        "cancellations",
        "How much is canceled, and why?",
        ("cancellations",),
        """\
SELECT month, reason, canceled, of_all, canceled_percent
FROM cancellations
WHERE month >= {two_years_ago}""",
        "month DESC, reason",
        "No enrollment was canceled in two years.",
        Chart("months", ("month",), ("canceled",), "enrollments canceled", colour="reason"),
        totals=("canceled",),
        note="The last two years, by the month in which the enrollments were to begin.",
    ),
    Section(
        "teacher-hours",
        "How many hours does each teacher give?",
        ("teacher_hours_by_month",),
        """\
SELECT teacher, CAST(SUM(meetings) AS BIGINT) AS meetings, SUM(hours_given) AS hours_given,
    SUM(hours) - SUM(hours_given) AS hours_to_come, CAST(SUM(days) AS BIGINT) AS days, teacher_id
FROM teacher_hours_by_month
WHERE month >= {year_ago}
GROUP BY teacher, teacher_id""",
        "hours_given DESC, hours_to_come DESC, teacher, teacher_id",
        "No teacher was planned in a year.",
        Chart("bars", ("teacher",), ("hours_given", "hours_to_come"), "hours"),
        note="The last twelve months, this one, and what is planned after it.",
        totals=("meetings", "hours_given", "hours_to_come"),
    ),
    Section(
        "teacher-use",
        "When are teachers busy?",
        ("teacher_hours_by_month",),
        """\
WITH busy AS (
    SELECT teacher_id, SUM(hours) AS all_hours
    FROM teacher_hours_by_month
    WHERE month >= {half_year_ago} AND month < {half_year_ahead}
    GROUP BY teacher_id
    ORDER BY all_hours DESC, teacher_id
    LIMIT 20
)
SELECT h.teacher, h.month, h.hours, h.days, h.weekdays, h.use_percent, h.teacher_id
FROM teacher_hours_by_month AS h
JOIN busy ON busy.teacher_id = h.teacher_id
WHERE h.month >= {half_year_ago} AND h.month < {half_year_ahead}""",
        "teacher, teacher_id, month",
        "No teacher was planned in half a year.",
        Chart("heat", ("teacher", "month"), ("use_percent",), "% of weekdays"),
        note="The 20 teachers with most hours, from six months ago to six months ahead.",
        rows=300,
    ),
    Section(
        "leads",
        "What turns a lead into an enrollment?",
        ("leads_to_enrollments", "fact_leads"),
        """\
SELECT COALESCE(f.came_in_by, '(not told)') AS came_in_by,
    COUNT(*) AS leads,
    COUNT(CASE WHEN f.is_won THEN 1 END) AS won,
    COUNT(o.order_id) AS led_to_an_order,
    COUNT(CASE WHEN o.certainty = 'high' THEN 1 END) AS of_these_surely,
    COUNT(CASE WHEN o.enrollments > 0 THEN 1 END) AS led_to_an_enrollment,
    CAST(100.0 * COUNT(CASE WHEN o.enrollments > 0 THEN 1 END) / COUNT(*) AS DECIMAL(9, 1))
        AS enrolled_percent,
    CAST(AVG(o.days_to_enrollment) AS DECIMAL(9, 1)) AS days_to_enrollment_on_average
FROM leads_to_enrollments AS o
JOIN fact_leads AS f ON f.lead_id = o.lead_id
GROUP BY COALESCE(f.came_in_by, '(not told)')""",
        "leads DESC, came_in_by",
        "There are no leads yet.",
        Chart("bars", ("came_in_by",), ("enrolled_percent",), "% that led to an enrollment"),
        note="By how leads came in. Which order a lead led to is inferred.",
        totals=("leads", "won", "led_to_an_order", "led_to_an_enrollment"),
    ),
    Section(
        "leads-by-month",
        "How many leads come in, and what becomes of them?",
        ("leads_to_enrollments",),
        """\
SELECT CAST(DATE_TRUNC('month', created_on) AS DATE) AS month,
    COUNT(*) AS leads,
    COUNT(order_id) AS led_to_an_order,
    COUNT(CASE WHEN enrollments > 0 THEN 1 END) AS led_to_an_enrollment
FROM leads_to_enrollments
WHERE created_on >= {two_years_ago}
GROUP BY CAST(DATE_TRUNC('month', created_on) AS DATE)""",
        "month DESC",
        "No leads came in in two years.",
        Chart("months", ("month",), ("leads", "led_to_an_order", "led_to_an_enrollment"), "leads",
              stacked=False),
        note="The last two years, by the month in which leads came in: the latest had less time.",
        totals=("leads", "led_to_an_order", "led_to_an_enrollment"),
    ),
    Section(
        "returning",
        "Who comes back?",
        ("returning_customers",),
        """\
SELECT year, customers, new_customers, returning_customers, returning_percent, orders
FROM returning_customers""",
        "year DESC",
        "No account has ordered yet.",
        Chart("years", ("year",), ("new_customers", "returning_customers"), "customers",
              stacked=False),
        note="A customer may be new and come back within one year, and then counts as both.",
    ),
    Section(
        "certificates",
        "How many certificates and credits were awarded?",
        ("certificates_and_credits",),
        """\
SELECT month, CAST(SUM(certificates) AS BIGINT) AS certificates, SUM(credits) AS credits
FROM certificates_and_credits
WHERE month >= {two_years_ago}
GROUP BY month""",
        "month DESC",
        "No certificates or credits were awarded in two years.",
        Chart("months", ("month",), ("certificates",), "certificates"),
        note="The last two years.",
        totals=("certificates", "credits"),
    ),
    Section(
        "certificates-by-course",
        "Which courses give certificates and credits?",
        ("certificates_and_credits",),
        """\
SELECT COALESCE(course, '(no course)') AS course,
    CAST(SUM(certificates) AS BIGINT) AS certificates, SUM(credits) AS credits, course_id
FROM certificates_and_credits
WHERE month >= {two_years_ago}
GROUP BY COALESCE(course, '(no course)'), course_id""",
        "certificates DESC, credits DESC, course, course_id",
        "No certificates or credits were awarded in two years.",
        Chart("bars", ("course",), ("certificates",), "certificates"),
        note="The last two years.",
        totals=("certificates", "credits"),
    ),
)
