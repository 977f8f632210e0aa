"""``eduframe docs``: the dictionary as one HTML file, for people without a database client."""
