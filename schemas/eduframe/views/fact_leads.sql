-- One row for each lead: a sale that may come about, whatever number of products it is about.
--
-- unique: lead_id
--
-- columns
-- lead: The lead's title.
-- status: prospect, waiting_list, won, lost or archive.
-- is_won: Whether it is won.
-- created_on: The day that it came in, in the customer's time zone.
-- value: What the sale is expected to be worth.
-- currency: The educator's currency, as Eduframe gives none with a lead.
-- quality: How promising it is.
-- came_in_by: How it came in.
-- heard_of_us: How the lead says to have heard of the educator.
-- customer: The account that it is about; the company's name as written, where there is none.
-- person: The name of the person.
-- email: The person's email address.
-- products: The catalog products that the lead is interested in, with commas.
-- followed_by: The user who follows it up.
-- lead_id: → leads.id
-- account_id: → accounts.id
-- user_id: → users.id
-- administrator_id: → users.id
WITH wanted AS (
    SELECT lp.lead_id, STRING_AGG(p.name, ', ' ORDER BY p.id) AS products
    FROM (SELECT DISTINCT lead_id, catalog_product_id FROM lead_products) AS lp
    JOIN catalog_products AS p ON p.id = lp.catalog_product_id
    GROUP BY lp.lead_id
)
SELECT
    l.title AS lead,
    l.status,
    l.status = 'won' AS is_won,
    CAST(l.created_at AT TIME ZONE '{time_zone}' AS DATE) AS created_on,
    l.value,
    '{currency}' AS currency,
    l.quality,
    l.creation_method AS came_in_by,
    l.referral_text AS heard_of_us,
    COALESCE(a.name, l.company_name) AS customer,
    COALESCE(
        NULLIF(CONCAT_WS(' ', l.first_name, l.middle_name, l.last_name), ''),
        CONCAT_WS(' ', u.first_name, u.middle_name, u.last_name)
    ) AS person,
    l.email,
    wanted.products,
    NULLIF(CONCAT_WS(' ', f.first_name, f.middle_name, f.last_name), '') AS followed_by,
    l.id AS lead_id,
    l.account_id,
    l.user_id,
    l.administrator_id
FROM leads AS l
LEFT JOIN accounts AS a ON a.id = l.account_id
LEFT JOIN users AS u ON u.id = l.user_id
LEFT JOIN users AS f ON f.id = l.administrator_id
LEFT JOIN wanted ON wanted.lead_id = l.id
