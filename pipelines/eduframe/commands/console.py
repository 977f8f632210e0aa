"""Where results are printed."""

import sys

from rich.console import Console

WIDE = 150
"""Columns where there is no terminal to fit."""


def console(width: int = WIDE) -> Console:
    """A console for results: coloured on a terminal, plain and wide elsewhere."""
    if sys.stdout.isatty():
        return Console()
    return Console(width=width, no_color=True, highlight=False)
