"""The installed version of the project."""

import importlib.metadata


def version() -> str:
    """The version as installed, or 0 where the project runs without being installed."""
    try:
        return importlib.metadata.version("eduframe-sync")
    except importlib.metadata.PackageNotFoundError:
        return "0"
