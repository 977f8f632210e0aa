"""The dataset as the source meets it: how rows go in, and what is there already.

Imports `reading`, `rows` and `http`.
"""
