"""The Eduframe source for dlt: ``from sources.eduframe import eduframe_source``."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sources.eduframe.source import eduframe_source

__all__ = ["eduframe_source"]


def __getattr__(name: str) -> Any:
    """Import dlt only when the source is asked for, so that ``eduframe --help`` is quick."""
    if name == "eduframe_source":
        from sources.eduframe.source import eduframe_source

        return eduframe_source
    raise AttributeError(name)
