"""What of a read is new, changed, or proven gone. Imports `reading`, `rows` and `http`."""
