"""The exit codes of every command."""

DONE = 0
"""All is well."""
FAILED = 1
"""Nothing could be done."""
WRONG_USE = 2
"""The command or the configuration is wrong."""
PARTLY = 3
"""Something was left undone, and is named."""
LOCKED = 4
"""Another run holds the lock."""
