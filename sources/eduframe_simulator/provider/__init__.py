"""The made-up training provider: its rows, and what they are made of. Imports no other room."""
