"""What is read of a list, page after page, and where it goes on. Imports `rows` and `http`."""
