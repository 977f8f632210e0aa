"""What to read, what of it is new, what is proven gone. Imports `rows` and `http`."""
