"""The sync for other programs: ``from pipelines.eduframe import make_pipeline, sync``."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.eduframe.pipeline import make_pipeline
    from pipelines.eduframe.run.report import Report
    from pipelines.eduframe.run.sync import sync

__all__ = ["Report", "make_pipeline", "sync"]

_PLACES = {
    "Report": "pipelines.eduframe.run.report",
    "make_pipeline": "pipelines.eduframe.pipeline",
    "sync": "pipelines.eduframe.run.sync",
}


def __getattr__(name: str) -> Any:
    """Import dlt only when something of it is asked for, so that ``eduframe --help`` is quick."""
    if name in _PLACES:
        from importlib import import_module

        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(name)
