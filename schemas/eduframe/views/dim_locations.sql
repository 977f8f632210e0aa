-- One row for each meeting location: a room, or another spot of a course location. Meetings lead to
-- it by meeting_location_id, planned courses by course_location_id, which several rooms share.
--
-- unique: meeting_location_id
--
-- columns
-- room: The meeting location's name.
-- location: The course location that it is at.
-- city: The city of the room's address, or of the course location's where it has none.
-- country: The country of that address (ISO 3166-1 alpha-2).
-- capacity: How many people it holds.
-- meeting_location_id: → meeting_locations.id
-- course_location_id: → course_locations.id
SELECT
    m.name AS room,
    c.name AS location,
    COALESCE(own.city, whole.city) AS city,
    COALESCE(own.country, whole.country) AS country,
    m.capacity,
    m.id AS meeting_location_id,
    m.course_location_id
FROM meeting_locations AS m
LEFT JOIN course_locations AS c ON c.id = m.course_location_id
LEFT JOIN addresses AS own ON own.owner_table = 'meeting_locations' AND own.owner_id = m.id
LEFT JOIN addresses AS whole ON whole.owner_table = 'course_locations' AND whole.owner_id = c.id
