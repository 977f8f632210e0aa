-- One row for each account: a customer, which is a company or the personal account of one user. An
-- account in several organizations is still one row. Facts lead to it by account_id.
--
-- unique: account_id
--
-- columns
-- customer: The account's name.
-- customer_type: business or personal.
-- email: Its email address.
-- phone: Its phone number.
-- city: The city of its address.
-- country: The country of its address (ISO 3166-1 alpha-2).
-- organizations: The organizations that it belongs to, with commas.
-- key_contacts: The users that are its main contacts, with commas.
-- labels: Its labels, with commas.
-- customer_since: The day that it was made, in the customer's time zone.
-- account_id: → accounts.id
WITH grouped AS (
    SELECT oa.account_id, STRING_AGG(o.name, ', ' ORDER BY o.id) AS organizations
    FROM organization_accounts AS oa
    JOIN organizations AS o ON o.id = oa.organization_id
    GROUP BY oa.account_id
),
contacts AS (
    SELECT
        a.account_id,
        STRING_AGG(
            CONCAT_WS(' ', u.first_name, u.middle_name, u.last_name), ', ' ORDER BY u.id
        ) AS names
    FROM (SELECT DISTINCT account_id, user_id FROM affiliations WHERE key_contact) AS a
    JOIN users AS u ON u.id = a.user_id
    GROUP BY a.account_id
),
tagged AS (
    SELECT al.account_id, STRING_AGG(l.name, ', ' ORDER BY l.id) AS labels
    FROM account_labels AS al
    JOIN labels AS l ON l.id = al.label_id
    GROUP BY al.account_id
)
SELECT
    a.name AS customer,
    a.account_type AS customer_type,
    a.email,
    a.phone,
    d.city,
    d.country,
    grouped.organizations,
    contacts.names AS key_contacts,
    tagged.labels,
    CAST(a.created_at AT TIME ZONE '{time_zone}' AS DATE) AS customer_since,
    a.id AS account_id
FROM accounts AS a
LEFT JOIN addresses AS d ON d.owner_table = 'accounts' AND d.owner_id = a.id
LEFT JOIN grouped ON grouped.account_id = a.id
LEFT JOIN contacts ON contacts.account_id = a.id
LEFT JOIN tagged ON tagged.account_id = a.id
