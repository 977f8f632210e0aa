"""What stays open is said: in the summary of each run that leaves it so, and in the status."""

import pytest

from pipelines.eduframe.exit_codes import DONE, PARTLY
from sources.eduframe_simulator import Fault, Simulator
from tests.conftest import Eduframe, ids, settings

pytestmark = pytest.mark.usefixtures("tables", "no_waiting")


def odd(sim: Simulator, key: int, how: int | str) -> None:
    """The own path of a label gives an odd answer."""
    path = f"/labels/{key}"
    if isinstance(how, int):
        sim.inject(Fault("status", path=path, times=None, status=how))
    else:
        sim.inject(Fault("tamper", path="/labels", times=None,
                         tamper=lambda rows: [row for row in rows if row["id"] != key]))
        sim.inject(Fault("tamper", path=path, times=None, tamper=lambda _: b'{"error": "x"}'))


@pytest.mark.parametrize("how", [401, 403, 410, 502, "nonsense"])
def test_a_row_whose_own_path_does_not_tell_is_named(
    eduframe: Eduframe, here: Simulator, how: int | str
) -> None:
    given = settings(here) | {"INCLUDE": "labels"}
    assert eduframe("sync", **given).code == DONE
    assert "in doubt" not in eduframe("status", **given).out
    key = ids(here, "labels")[0]
    if isinstance(how, int):
        here.delete("labels", key)
    odd(here, key, how)
    for _ in range(2):
        found = eduframe("sync", "labels", "--reconcile", **given)
        assert found.code == DONE
        assert "labels: 1 rows are missing, but their own paths do not tell" in found.out
        assert f"/labels/{key}" in found.out
        found = eduframe("status", **given)
        assert "labels: 1 rows are in doubt" in found.out
        assert eduframe("status", "--json", **given).json["tables"][0]["in_doubt"] == 1
    eduframe("sync", **given)  # by cursor: it settles nothing
    assert "in doubt" in eduframe("status", **given).out
    here.clear_faults()
    assert eduframe("sync", "labels", "--reconcile", **given).code == DONE
    assert "in doubt" not in eduframe("status", **given).out


def test_rows_that_were_not_asked_for_yet_are_named(eduframe: Eduframe, here: Simulator) -> None:
    given = settings(here) | {"INCLUDE": "labels", "MAX_ABSENCE_QUESTIONS": "2"}
    assert eduframe("sync", **given).code == DONE
    for key in ids(here, "labels")[:5]:
        here.delete("labels", key)
    for left in (3, 1):
        found = eduframe("sync", "labels", "--reconcile", **given)
        assert f"labels: {left} rows are missing and were not asked for yet" in found.out
        assert f"labels: {left} rows are in doubt" in eduframe("status", **given).out
    assert "not asked for" not in eduframe("sync", "labels", "--reconcile", **given).out
    assert "in doubt" not in eduframe("status", **given).out


def test_a_list_that_fails_keeps_its_refresh_and_says_so(
    eduframe: Eduframe, here: Simulator
) -> None:
    given = settings(here) | {"INCLUDE": '["labels", "courses"]'}
    assert eduframe("sync", **given).code == DONE
    here.inject(Fault("status", path="/labels", times=None, status=500))
    assert eduframe("refresh", "labels", "courses", **given).code == PARTLY
    found = eduframe("sync", **given)
    assert "every row is still to be written again of labels: " in found.out
    assert found.out.count("refresh") == 1
    found = eduframe("status", **given)
    assert "labels: the refresh asked for at " in found.out
    assert "labels: failed: /api/v1/labels: the server answered 500" in found.out
    here.clear_faults()
    assert "refresh" not in eduframe("sync", **given).out
    assert "refresh" not in eduframe("status", **given).out


def test_parents_that_cannot_be_read_are_in_the_status(
    eduframe: Eduframe, here: Simulator
) -> None:
    given = settings(here) | {"INCLUDE": '["invoices", "payments"]'}
    bad = here.rows("payments")[0]["invoice_id"]
    here.inject(Fault("status", path=f"/invoices/{bad}/payments", times=None, status=422))
    assert eduframe("sync", **given).code == PARTLY
    found = eduframe("status", **given)
    assert "payments: the lists under 1 parents could not be read" in found.out
    assert f"/invoices/{bad}/payments" in found.out
    here.clear_faults()
    assert eduframe("sync", **given).code == DONE
    assert "could not be read" not in eduframe("status", **given).out
