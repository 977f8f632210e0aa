"""What a check prints."""

from collections.abc import Iterator
from dataclasses import asdict

import orjson

from pipelines.eduframe.commands.check.api import Tried
from pipelines.eduframe.commands.check.files import FileFound
from pipelines.eduframe.commands.check.findings import Findings
from pipelines.eduframe.commands.check.report import differences, limits
from pipelines.eduframe.commands.output import Column, Row, print_line, print_table

SETTINGS = (Column("setting"), Column("value", wraps=True), Column("from", wraps=True))
RESOURCES = (
    Column("resource"),
    Column("sync", spare=1),
    Column("try"),
    Column("rows", right=True, spare=2),
    Column("paging", spare=4, wraps=True),
    Column("keys", spare=3),
    Column("", wraps=True),
)


def as_json(findings: Findings) -> str:
    """All findings, for a machine."""
    shown = {"ok": findings.ok, "same_customer": findings.same_customer, **asdict(findings)}
    return orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode()


def print_findings(findings: Findings, *, wide: bool) -> None:
    """All findings, for people."""
    settings = [Row((found.name, found.value, found.source)) for found in findings.settings]
    print_table(SETTINGS, settings, wide=wide)
    print_table(RESOURCES, [_row(tried) for tried in findings.resources], wide=wide)
    for tried in findings.resources:
        for line in differences(tried.resource, tried.fit) if tried.fit else ():
            print_line(line)
    for line in _verdict(findings):
        print_line(line)


def _row(tried: Tried) -> Row:
    fit = tried.fit
    cells = (
        tried.resource,
        "on" if tried.on else tried.why_off or "off",
        tried.state,
        str(fit.rows.get(tried.resource, 0)) if fit else "",
        fit.paging if fit else "",
        fit.order if fit and fit.order != "unknown" else "",
        tried.message or "",
    )
    return Row(cells, "" if tried.state == "readable" else "yellow" if tried.on else "dim")


def _verdict(findings: Findings) -> Iterator[str]:
    api, target = findings.api, findings.destination
    yield f"API          {api.base_url}"
    if api.token_accepted and api.educator_id is not None:
        yield f"token        accepted, of educator {api.educator_id} ({api.educator})"
    else:
        yield f"token        {'accepted' if api.token_accepted else 'NOT USABLE'}: {api.message}"
    place = f"{target.name} {target.place}".strip()
    yield f"destination  {place}: {'' if target.usable else 'NOT USABLE: '}{target.message}"
    if target.holds is None:
        yield f"dataset      {target.dataset}: {'empty' if target.usable else 'unknown'}"
    else:
        whose = f"educator {target.holds.get('educator_id')} at {target.holds.get('host')}"
        other = findings.same_customer is False
        advice = "; ANOTHER than the token's: use another --dataset, or the other token"
        yield f"dataset      {target.dataset}: of {whose}{advice if other else ''}"
    for file in findings.files:
        yield f"{file.what:<12} {file.path}: {_who_reads(file)}"
    if api.token_accepted:
        yield f"limit        {limits(api) or 'no header says how much of it is left'}"
    on = [tried for tried in findings.resources if tried.on]
    readable = sum(tried.state == "readable" for tried in on)
    yield f"resources    {readable} of the {len(on)} that are on can be read"


def _who_reads(file: FileFound) -> str:
    who = {
        "its owner": f"only {file.owner} can read it",
        "its group": f"{file.owner} and the group {file.group} can read it",
        "everybody": "EVERYBODY on this machine can read it",
    }[file.readers]
    advice = f"; if nobody else is to: {file.closing}" if file.is_open else ""
    return f"{who} ({file.mode}){advice}"
