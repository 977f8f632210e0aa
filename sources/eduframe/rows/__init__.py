"""Raw rows to typed tables: columns, nested parts, hashes. Imports the declarations alone."""
