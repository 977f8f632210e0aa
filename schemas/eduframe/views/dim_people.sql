-- One row for each person who can sign in: students, customers, teachers and administrators. The
-- student_id of facts is its user_id. What people answered to custom fields is in users_custom.
--
-- unique: user_id
--
-- columns
-- person: First, middle and last name.
-- first_name: The first name.
-- last_name: The last name, without what stands before it.
-- email: The email address.
-- city: The city of the address.
-- country: The country of the address (ISO 3166-1 alpha-2).
-- language: The language in which the person is addressed.
-- roles: admin, teacher, customer and student, with commas, as far as they apply.
-- customers: The accounts that the person belongs to, with commas.
-- labels: The person's labels, with commas.
-- known_since: The day that the person was added, in the customer's time zone.
-- user_id: → users.id
WITH played AS (
    SELECT user_id, STRING_AGG(value, ', ' ORDER BY position) AS roles
    FROM user_roles
    GROUP BY user_id
),
belonging AS (
    SELECT f.user_id, STRING_AGG(a.name, ', ' ORDER BY a.id) AS customers
    FROM (SELECT DISTINCT account_id, user_id FROM affiliations) AS f
    JOIN accounts AS a ON a.id = f.account_id
    GROUP BY f.user_id
),
tagged AS (
    SELECT ul.user_id, STRING_AGG(l.name, ', ' ORDER BY l.id) AS labels
    FROM user_labels AS ul
    JOIN labels AS l ON l.id = ul.label_id
    GROUP BY ul.user_id
)
SELECT
    NULLIF(CONCAT_WS(' ', u.first_name, u.middle_name, u.last_name), '') AS person,
    u.first_name,
    u.last_name,
    u.email,
    d.city,
    d.country,
    u.locale AS language,
    played.roles,
    belonging.customers,
    tagged.labels,
    CAST(u.created_at AT TIME ZONE '{time_zone}' AS DATE) AS known_since,
    u.id AS user_id
FROM users AS u
LEFT JOIN addresses AS d ON d.owner_table = 'users' AND d.owner_id = u.id
LEFT JOIN played ON played.user_id = u.id
LEFT JOIN belonging ON belonging.user_id = u.id
LEFT JOIN tagged ON tagged.user_id = u.id
