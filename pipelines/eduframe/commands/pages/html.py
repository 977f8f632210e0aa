"""HTML from functions: text is escaped unless it was made here."""

from html import escape
from typing import Union

VOID = ("meta", "link", "input", "br", "hr")

Child = Union[str, "Html", None]


class Html(str):
    """Text that is HTML already."""


def tag(name: str, /, *children: Child, **attributes: str | int | bool | None) -> Html:
    """An element. What is no :class:`Html` among its children is escaped, None is left out.

    Attributes are named as in HTML, with ``_`` for ``-`` and at the end of Python's own words; True
    stands for one without a value, None and False for none.
    """
    shown = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Html(f"<{name}{shown}>")
    return Html(f"<{name}{shown}>{joined(*children)}</{name}>")


def joined(*children: Child, by: str = "") -> Html:
    """Several pieces as one."""
    return Html(by.join(_escaped(child) for child in children if child is not None))


def _escaped(child: str) -> str:
    return child if isinstance(child, Html) else escape(child, quote=False)


def _attribute(key: str, value: str | int | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
