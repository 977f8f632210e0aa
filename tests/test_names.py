"""Names of fields, and words, that rows bring along: without the token, few, and told once."""

import base64
import json
from typing import Any

import pytest

from pipelines.eduframe.commands.output import print_summary
from pipelines.eduframe.exit_codes import DONE
from pipelines.eduframe.run.report import Report
from sources.eduframe.rows.findings import MOST_NAMES, OTHERS
from sources.eduframe_simulator import Fault, Simulator
from tests.conftest import TOKEN, Eduframe, MakeWarehouse, settings
from tests.warehouses import as_json

SPELLINGS = (
    TOKEN,
    TOKEN.swapcase(),
    TOKEN.encode().hex(),
    base64.b64encode(TOKEN.encode()).decode(),
    "".join(f"%{byte:02x}" for byte in TOKEN.encode()),
    TOKEN.replace("-", "_"),
)


def bearing(rows: list[Any]) -> list[Any]:
    """Rows whose fields and roles are the token, in several spellings."""
    return [{**row, **dict.fromkeys(SPELLINGS, 1), "roles": [*SPELLINGS]} for row in rows]


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("arguments", [("sync", "users", "--json"), ("sync", "users"), ("check",)])
def test_the_token_is_shown_in_no_name_or_word(
    eduframe: Eduframe, here: Simulator, arguments: tuple[str, ...]
) -> None:
    here.inject(Fault("tamper", "/users", times=None, tamper=bearing))
    found = eduframe(*arguments, **settings(here))
    assert found.code == DONE
    for spelling in SPELLINGS:
        assert spelling not in found.out + found.err


def test_the_token_is_in_no_name_or_word_of_the_run_log(
    make_warehouse: MakeWarehouse, lists: Simulator
) -> None:
    warehouse = make_warehouse(lists)
    secret = lists.token
    lists.inject(
        Fault("tamper", "/users", times=None,
              tamper=lambda rows: [{**row, secret: 1, "roles": [secret]} for row in rows])
    )
    report = warehouse.sync("users")
    (row,) = [r for r in warehouse.rows("_sync_resources") if r["run_id"] == report.run_id]
    assert (report.exit_code, as_json(row["unknown_fields"])) == (DONE, {"users.(token)": 200})
    assert secret not in str(row)


def told(report: Report, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    print_summary(report)
    return capsys.readouterr().out


def test_many_names_are_capped_and_told_once(
    make_warehouse: MakeWarehouse, lists: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    warehouse = make_warehouse(lists)

    def many(rows: list[Any]) -> list[Any]:
        return [
            {**row, **{f"f{row['id']}_{n}": n for n in range(50)},
             "roles": [f"role {row['id']} {n} {'x' * 3000}" for n in range(3)]}
            for row in rows
        ]

    lists.inject(Fault("tamper", "/users", times=None, tamper=many))
    report = warehouse.sync("users")
    run = report.runs["users"]
    for names, count in ((run.unknown_fields, 200 * 50), (run.unknown_values, 200 * 3)):
        assert len(names) == MOST_NAMES + 1
        assert names[OTHERS] == count - MOST_NAMES
    assert len(report.as_json()) < 50_000
    summary = told(report, capsys)
    assert len(summary) < 10_000
    assert "and 90 more, and 9,900× others" in summary
    assert len(json.dumps(warehouse.rows("_sync_resources"), default=str)) < 50_000


def test_a_name_is_told_when_it_is_new(
    make_warehouse: MakeWarehouse, lists: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    warehouse = make_warehouse(lists)

    def with_fields(*names: str) -> str:
        lists.clear_faults()
        lists.inject(
            Fault("tamper", "/users", times=None,
                  tamper=lambda rows: [{**row, **dict.fromkeys(names, 1)} for row in rows])
        )
        report = warehouse.sync("users", reconcile=True)
        assert set(report.runs["users"].unknown_fields) == {f"users.{name}" for name in names}
        return told(report, capsys)

    assert "users.moon" in with_fields("moon")
    assert "users.moon" not in with_fields("moon")
    summary = with_fields("moon", "sun")
    assert "kept in _extra: users.sun\n" in summary


def test_a_token_as_a_slug_is_in_no_path_that_is_told(
    make_warehouse: MakeWarehouse, sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    warehouse, names = make_warehouse(sim), ("custom_objects", "custom_records")
    slugs = [sim.token, sim.token.swapcase(), sim.token.encode().hex()]

    def slugged(rows: list[Any]) -> list[Any]:
        odd = zip(rows[1:], slugs, strict=False)
        return [rows[0], *({**row, "slug": slug} for row, slug in odd)]

    sim.inject(Fault("tamper", "/custom/objects", times=None, tamper=slugged))
    report = warehouse.sync(*names)
    told = [note for name in names for note in report.runs[name].notes]
    assert any("details are not read" in note for note in told)
    assert any("parents answered" in note for note in told)
    for slug in slugs:
        assert slug not in report.as_json() + caplog.text
