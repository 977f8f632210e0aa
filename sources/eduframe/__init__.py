"""The Eduframe source for dlt: ``from sources.eduframe import eduframe_source``."""

from sources.eduframe.source import eduframe_source

__all__ = ["eduframe_source"]
