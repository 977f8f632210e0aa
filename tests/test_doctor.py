"""``eduframe status`` and ``doctor``, on what a sync or a crash left."""

import contextlib
from typing import Any

import pytest

from pipelines.eduframe.commands.doctor import run_doctor
from pipelines.eduframe.commands.status import run_status
from pipelines.eduframe.exit_codes import PARTLY
from pipelines.eduframe.pipeline import make_pipeline
from tests.conftest import BOTH, in_a_lake_too
from tests.warehouses import Warehouse


@pytest.fixture(scope="session", params=BOTH)
def destination(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@in_a_lake_too
def test_status_tells_the_age_and_doctor_finds_nothing(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in warehouse.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SOURCES__EDUFRAME__INCLUDE", "users,labels")
    warehouse.sync("users", "labels")
    with contextlib.chdir(warehouse.folder):
        assert run_status(warehouse.destination, "eduframe", max_age="26h", as_json=False) == 0
        assert run_status(warehouse.destination, "eduframe", max_age="0s", as_json=True) == PARTLY
        assert '"too_old": true' in capsys.readouterr().out
        assert run_doctor(warehouse.destination, "eduframe") == 0


def test_doctor_finds_and_mends_what_a_crash_left(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def doctor() -> str:
        capsys.readouterr()
        assert run_doctor(warehouse.destination, "eduframe") == 0
        return capsys.readouterr().out

    def no_load(*args: Any, **kw: Any) -> None:
        raise KeyboardInterrupt

    def same_pipeline(*_: str, pipelines_dir: str | None = None) -> Any:
        folder = pipelines_dir or warehouse.pipeline.pipelines_dir
        return make_pipeline(
            warehouse.destination, credentials=warehouse.address, pipelines_dir=folder
        )

    monkeypatch.setattr("pipelines.eduframe.commands.doctor.make_pipeline", same_pipeline)
    warehouse.sync("labels")
    warehouse.execute("UPDATE _dlt_loads SET status = 1")
    with monkeypatch.context() as patched:
        patched.setattr(type(warehouse.pipeline), "load", no_load)
        with pytest.raises(KeyboardInterrupt):
            warehouse.sync("users")
    found = doctor()
    assert "loaded what an earlier run had left pending" in found
    assert f"labels: {warehouse.count('labels')} rows of a half-loaded piece" in found
    warehouse.assert_equals_truth("users")
    assert warehouse.sync("users", "labels").exit_code == 0
    warehouse.assert_equals_truth("users", "labels")
    assert doctor().startswith("all is well")
