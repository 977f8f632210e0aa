"""``eduframe report``: the answers as charts and tables in one HTML file, and one on the sync."""
