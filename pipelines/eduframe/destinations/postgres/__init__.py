"""Postgres: rows by COPY, its locks, rights and connections, and views on our tables."""
