"""The frame of an HTML file that loads nothing: its style and its scripts stand in it."""

import os
from importlib.resources import files
from pathlib import Path

from pipelines.eduframe.commands.pages.html import Html, tag
from sources.eduframe.errors import SettingsError


def document(title: str, *body: Html, style: str, scripts: tuple[str, ...] = (),
             **attributes: str) -> str:
    """A whole document. ``style`` and ``scripts`` come after those that pages share;
    ``attributes`` are the root element's."""
    scripts = (asset(__package__, "base.js"), *scripts)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(asset(__package__, "base.css") + style)),
    )
    content = tag("body", *body, *(tag("script", Html(script)) for script in scripts))
    return f"<!doctype html>\n{tag('html', head, content, lang='en', **attributes)}\n"


def asset(package: str, name: str) -> str:
    """The text of a file in a package's ``assets``."""
    return files(package).joinpath("assets", name).read_text(encoding="utf-8")


def write_page(file: Path, text: str) -> None:
    """Write a page, which is there whole or as it was before.

    Raises:
        SettingsError: it cannot be written.
    """
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        try:
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(
            f"The page {file} cannot be written: {error.strerror}. Name another file."
        ) from error
