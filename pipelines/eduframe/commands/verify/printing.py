"""What an audit prints."""

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from pipelines.eduframe.commands.output import NAMED, Column, Row, print_line, print_table
from pipelines.eduframe.commands.verify.findings import Findings, ListFound
from pipelines.eduframe.place.working_folder import DATASET_NAME
from sources.eduframe.comparing.audit import Difference, Field

ROWS_SHOWN = 5
"""Rows of a list that are named where they differ."""
COLUMNS = (
    Column("resource"),
    Column("read", spare=3),
    Column("requests", right=True, spare=4),
    Column("compared", right=True),
    Column("differing", right=True),
    Column("missing here", right=True),
    Column("missing there", right=True),
    Column("not settled", right=True, spare=2),
    Column("changed since", right=True, spare=1),
    Column("wrong at most", right=True, spare=5),
)


Shown = Callable[[str], str]
"""Makes a text fit to be shown: without the token, and not too long. Without one no value of a
row is shown, as they are personal data."""


def as_json(findings: Findings, shown_values: Shown | None) -> str:
    """All findings, for a machine."""
    shown = {
        "ok": findings.exit_code == 0,
        "seed": findings.seed,
        "requests": findings.requests,
        "tolerate": findings.tolerate,
        **_numbers(findings),
        "share": findings.share,
        "share_at_most": findings.at_most,
        "lists": [_list_as_json(one, shown_values) for one in findings.lists],
        "notes": findings.notes,
    }
    return orjson.dumps(shown, option=orjson.OPT_INDENT_2, default=str).decode()


def _numbers(found: Findings) -> dict[str, int]:
    names = (
        *("compared", "differing", "missing_here", "missing_there"),
        *("presumed", "unsettled", "since"),
    )
    return {name: sum(getattr(one, name) for one in found.lists) for name in names}


def _list_as_json(one: ListFound, shown_values: Shown | None) -> dict[str, Any]:
    return {
        "resource": one.resource,
        "state": one.state,
        "message": one.message,
        "read": one.how,
        "rows": one.rows,
        "requests": one.requests,
        "units": one.units,
        "units_read": one.drawn,
        "compared": one.compared,
        "differing": one.differing,
        "missing_here": one.missing_here,
        "missing_there": one.missing_there,
        "presumed": one.presumed,
        "unsettled": one.unsettled,
        "since": one.since,
        "unkeyed": one.unkeyed,
        "share_at_most": one.at_most,
        "rows_that_differ": [_row_as_json(found, shown_values) for found in one.differences],
        "notes": one.notes,
    }


def _row_as_json(found: Difference, shown_values: Shown | None) -> dict[str, Any]:
    fields: list[Any] = [field.name for field in found.fields]
    if shown_values:
        fields = [
            {
                "field": field.name,
                "here": _value(field.here, shown_values),
                "there": _value(field.there, shown_values),
            }
            for field in found.fields
        ]
    return {"key": found.key, "kind": found.kind, "fields": fields, "excuse": found.excuse}


def _value(value: Any, shown: Shown) -> Any:
    if isinstance(value, dict):
        return {name: _value(one, shown) for name, one in value.items()}
    return shown(value) if isinstance(value, str) else value


def print_findings(
    findings: Findings, destination: str, dataset: str, shown_values: Shown | None, *, wide: bool
) -> None:
    """All findings, for people."""
    looked_at = [one for one in findings.lists if one.state in ("compared", "failed", "off")]
    rows = [_cells(one) for one in looked_at if one.state != "off" or one.requests]
    print_table(COLUMNS, rows, wide=wide)
    for one in findings.lists:
        for line in _remarks(one, shown_values):
            print_line(f"{one.resource}: {line}")
    for line in (*_not_looked_at(findings), *findings.notes, *_verdict(findings)):
        print_line(line)
    for line in _what_next(findings, destination, dataset):
        print_line(line)


def _cells(one: ListFound) -> Row:
    how = one.how
    if how in ("pages", "rows", "parents", "first pages"):
        how = f"{one.drawn:,} of {one.units:,} {'pages' if how == 'first pages' else how}"
    numbers = (
        one.compared, one.differing, one.missing_here, one.missing_there, one.unsettled, one.since
    )
    cells = (
        one.resource,
        how or one.state,
        f"{one.requests:,}",
        *(f"{number:,}" if number else "·" for number in numbers),
        percent(one.at_most) if one.compared else "-",
    )
    failed = one.state == "failed"
    return Row(cells, "bold red" if one.wrong or failed else "")


def _remarks(one: ListFound, shown_values: Shown | None) -> Iterator[str]:
    wrong = [found for found in one.differences if not found.excuse]
    for found in wrong[:ROWS_SHOWN]:
        fields = dict.fromkeys(_field(field, shown_values) for field in found.fields)
        yield f"{found.key} {found.kind}{': ' if fields else ''}{', '.join(fields)}"
    if len(wrong) > ROWS_SHOWN:
        yield f"and {len(wrong) - ROWS_SHOWN:,} more (--json names all)"
    if one.unsettled:
        counts = f"{one.presumed:,} of them count" if one.presumed else "they do not count"
        why = ", as most likely they are" if one.presumed else ""
        yield (
            f"{one.unsettled:,} rows seem to be missing there, which was not settled: they were "
            f"not asked for, or cannot be; {counts}{why}"
        )
    if one.unkeyed:
        yield f"{one.unkeyed:,} rows have no usable key, and were not compared"
    if one.state in ("failed", "not comparable") or (one.state == "off" and one.requests):
        yield f"{one.state}: {one.message}" if one.message else one.state
    yield from one.notes


def _field(field: Field, shown_values: Shown | None) -> str:
    if shown_values is None:
        return field.name
    here, there = (shown_values(str(value)) for value in (field.here, field.there))
    return f"{field.name} (here {here}, there {there})"


def _not_looked_at(findings: Findings) -> Iterator[str]:
    """The lists that nothing is said of, and why."""
    reasons: dict[str, list[str]] = {}
    for one in findings.lists:
        if one.state == "not reached":
            reason = one.message or ("no request was left for them" if one.rows else "empty here")
            reasons.setdefault(reason, []).append(one.resource)
        elif one.state == "left out" or (one.state == "off" and not one.requests):
            reasons.setdefault(one.message or one.state, []).append(one.resource)
    for reason, names in reasons.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield f"not looked at ({reason}): {', '.join(names[:NAMED])}{more}"


def _verdict(findings: Findings) -> Iterator[str]:
    total = _numbers(findings)
    at_most = findings.at_most
    rows = sum(one.rows for one in findings.lists if one.is_sample)
    bound = ""
    if at_most is not None:
        bound = (
            f"; of the {rows:,} rows of these lists at most {percent(at_most)} are wrong (95 %, by "
            "pages)"
        )
    presumed = f" (and {total['presumed']:,} presumably)" if total["presumed"] else ""
    yield (
        f"{total['compared']:,} rows compared with {findings.requests:,} requests: "
        f"{total['differing']:,} differing, {total['missing_here']:,} missing here, "
        f"{total['missing_there']:,} missing there{presumed}, that is "
        f"{percent(findings.share)}{bound}"
    )
    if total["since"]:
        yield (
            f"{total['since']:,} rows more changed since they were read last, or were written "
            "during the audit: the next sync brings them, and they do not count"
        )
    if findings.share > findings.tolerate:
        yield f"that is more than is tolerated ({percent(findings.tolerate)})"
    yield f"the same sample again: --seed {findings.seed}"


def _what_next(findings: Findings, destination: str, dataset: str) -> Iterator[str]:
    options = f" --destination {destination}" if destination != "duckdb" else ""
    options += f" --dataset {dataset}" if dataset != DATASET_NAME else ""
    anew, compared = [], []
    for one in findings.lists:
        wrong = [found for found in one.differences if not found.excuse]
        if any(found.hash_agrees for found in wrong):
            anew.append(one.resource)
        elif wrong:
            compared.append(one.resource)
    if compared:
        yield (
            "to compare all their rows, and write what differs: eduframe sync "
            f"{' '.join(compared)} --reconcile{options}"
        )
    if anew:
        yield (
            "changed here by somebody else than the sync, whose row hash still agrees; to write "
            f"every row again: eduframe refresh {' '.join(anew)}{options}"
        )


def percent(share: float | None) -> str:
    """A share for people."""
    if share is None:
        return "-"
    return f"{share:.0%}" if share in (0, 1) else f"{share:.2%}"
