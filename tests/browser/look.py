"""The pages of ``eduframe report`` and ``eduframe docs`` in a real browser, by what a user does.

Not for pytest: it wants Chromium and Playwright, for which ``.ci/browser`` makes an environment.
``python tests/browser/look.py FOLDER`` looks at ``report.html`` and ``docs.html`` there, and leaves
pictures beside them. Fails with an ``AssertionError`` that says what is wrong.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
TOLD_BY_AXE = ("critical", "serious")


@contextmanager
def opened(browser: Browser, file: Path, size: dict[str, int], scheme: str) -> Iterator[Page]:
    """A page, of which nothing is fetched, and which has nothing to complain of."""
    context = browser.new_context(viewport=size, color_scheme=scheme, timezone_id="America/Lima")
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text)
            if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url)
            if request.url != file.as_uri() else None)
    page.goto(file.as_uri())
    yield page
    assert not wrong, wrong
    context.close()


def drawn(page: Page) -> None:
    page.wait_for_selector("html[data-drawn]", timeout=60_000)


def fits(page: Page) -> None:
    """Nothing makes the page itself scroll sideways."""
    wide, room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= room, f"{page.url} is {wide} pixels wide on {room}"


def accessible(page: Page) -> None:
    """axe finds nothing serious, where it is installed; of long tables it sees the first rows."""
    found = find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        return
    [script] = Path(found.origin).parent.rglob("axe.min.js")
    page.evaluate(script.read_text(encoding="utf-8"))
    results = page.evaluate(
        "axe.run({exclude: [['tbody tr:nth-child(n+4)']]}, {resultTypes: ['violations']})"
    )
    told = [
        f"{one['id']}: {one['help']}: {node['html'][:160]}"
        for one in results["violations"] if one["impact"] in TOLD_BY_AXE
        for node in one["nodes"][:3]
    ]
    assert not told, "\n".join(told)


def cells(page: Page, table: str, column: int) -> list[str]:
    return page.locator(f"#{table} tbody tr > :nth-child({column})").all_inner_texts()


def bars(page: Page, table: str) -> int:
    return page.locator(f"#{table} .chart .mark-rect path").count()


def report(page: Page) -> None:
    """All that a user does, with a mouse and with keys alone."""
    drawn(page)
    assert page.locator("#answers svg").count() >= 10

    # a column is sorted by its button, with the keyboard alone, and the chart follows
    button = page.locator("#completion thead button").nth(2)
    button.focus()
    page.keyboard.press("Enter")
    head = page.locator("#completion thead th").nth(2)
    expect(head).to_have_attribute("aria-sort", "descending")
    numbers = [int(text) for text in cells(page, "completion", 3)]
    assert numbers == sorted(numbers, reverse=True)
    page.keyboard.press("Space")
    expect(head).to_have_attribute("aria-sort", "ascending")
    numbers = [int(text) for text in cells(page, "completion", 3)]
    assert numbers == sorted(numbers)

    # a filter leaves rows of that table alone, and bars of its chart
    everything = len(cells(page, "completion", 1))
    course = cells(page, "completion", 1)[-1]  # that most have taken, some of whom are lost
    page.get_by_label("Filter this table: Which courses lose people?").fill(course.lower())
    kept = cells(page, "completion", 1)
    assert course in kept
    assert 0 < len(kept) < everything
    expect(page.locator("#completion .chart .mark-rect path")).to_have_count(min(len(kept), 15))
    assert len(cells(page, "attendance", 1)) > len(kept)
    page.get_by_label("Filter this table: Which courses lose people?").fill("")

    # a search goes through all tables
    customer = cells(page, "open-invoices", 1)[0]
    page.keyboard.press("Escape")
    page.locator("h2").first.click()
    page.keyboard.press("/")
    page.keyboard.type(customer)
    expect(page.locator("#told")).to_contain_text("row")
    expect(page.locator("#completion")).to_be_hidden()
    assert set(cells(page, "open-invoices", 1)) == {customer}
    page.locator("#search").fill("there is no such thing")
    expect(page.locator("#told")).to_have_text("nothing found")
    page.locator("#search").fill("")
    expect(page.locator("#completion")).to_be_visible()

    # numbers and days in Dutch and back
    before = cells(page, "open-invoices", 4), cells(page, "open-invoices", 6)
    page.locator("#language").select_option("nl")
    page.wait_for_selector("html[data-drawn=nl]")
    dutch = cells(page, "open-invoices", 4)
    swapped = [text.translate(str.maketrans(",.", ".,")) for text in before[0]]
    assert dutch == swapped, (dutch[:3], swapped[:3])
    axes = " ".join(page.locator("#open-invoices svg .role-axis-label text").all_text_contents())
    assert "000" not in axes or ".000" in axes, axes
    page.locator("#language").select_option("en")
    page.wait_for_selector("html[data-drawn=en]")
    assert (cells(page, "open-invoices", 4), cells(page, "open-invoices", 6)) == before

    # the chart's words for those who do not see it
    said = page.locator("#open-invoices .drawn").first.get_attribute("aria-label")
    assert "the table below has the numbers" in (said or ""), said

    both_pages(page)
    page.go_back()
    expect(page.locator("#answers")).to_be_visible()


def both_pages(page: Page) -> None:
    """Each fits, and is accessible."""
    drawn(page)
    fits(page)
    accessible(page)
    page.get_by_role("link", name="The sync", exact=True).click()
    expect(page.locator("#sync")).to_be_visible()
    expect(page.locator("#answers")).to_be_hidden()
    expect(page.locator("#freshness table").first).to_be_visible()  # no bars, if all is new
    expect(page.locator("#runs svg").first).to_be_visible()
    fits(page)
    accessible(page)


def colours(page: Page) -> list[str]:
    """Of the paper, of its text, and of a chart's text and bars."""
    found: Any = page.evaluate("""() => ['body', '#completion svg .mark-rect path']
      .map((one) => document.querySelector(one)).map(getComputedStyle)
      .flatMap((style) => [style.backgroundColor, style.color, style.fill])""")
    return [*found]


def docs(page: Page) -> None:
    fits(page)
    page.keyboard.press("/")
    page.keyboard.type("no show")
    hits = page.locator("#hits a")
    expect(hits.first).to_be_visible()
    for said, name in (("turnover", "revenue_by_month"), ("facturen", "invoices"),
                       ("pass rate", "results_by_course.pass_percent")):
        page.locator("#search").fill(said)
        expect(hits.filter(has_text=name).first).to_be_visible()
    page.locator("#search").fill("no show")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert "#" in page.url
    target = page.evaluate("document.getElementById(decodeURIComponent(location.hash.slice(1))).id")
    expect(page.locator(f"[id='{target}']")).to_be_in_viewport()
    fits(page)


def main(folder: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    began, seen = time.monotonic(), {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", chromium), args=["--no-sandbox"]
        )
        for size, scheme in ((DESKTOP, "light"), (PHONE, "dark")):
            name = f"{size['width']}-{scheme}"
            with opened(browser, folder / "report.html", size, scheme) as page:
                if size is DESKTOP:
                    report(page)
                else:
                    both_pages(page)
                seen[scheme] = colours(page)
                for part in ("answers", "sync"):
                    page.goto(f"{page.url.split('#')[0]}#{part}")
                    page.wait_for_timeout(500)
                    page.screenshot(path=folder / f"report-{part}-{name}.png")
            with opened(browser, folder / "docs.html", size, scheme) as page:
                docs(page)
                page.screenshot(path=folder / f"docs-{name}.png")
            print(f"looked at {name} by {time.monotonic() - began:.0f} s", flush=True)
        browser.close()
    light, dark = seen["light"], seen["dark"]
    assert light[:2] != dark[:2], "light and dark have the same colours"
    assert light[-1] != dark[-1], "charts have the same colours, light or dark"


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
