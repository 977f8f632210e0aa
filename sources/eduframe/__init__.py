"""The Eduframe source for dlt: ``from sources.eduframe import eduframe_source, raise_failed``."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sources.eduframe.dataset.dlt_classes import raise_failed
    from sources.eduframe.source import eduframe_source

__all__ = ["eduframe_source", "raise_failed"]


def __getattr__(name: str) -> Any:
    """Import dlt only when the source is asked for, so that ``eduframe --help`` is quick."""
    if name == "eduframe_source":
        from sources.eduframe.source import eduframe_source

        return eduframe_source
    if name == "raise_failed":
        from sources.eduframe.dataset.dlt_classes import raise_failed

        return raise_failed
    raise AttributeError(name)
