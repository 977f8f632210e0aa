"""The command line: a module per command, and what they print. Imports every other room."""
