"""The command itself: everything is tried, and what was found is printed."""

from pathlib import Path

from pipelines.eduframe.commands.check.api import Trial, identify
from pipelines.eduframe.commands.check.destination import try_destination
from pipelines.eduframe.commands.check.files import find_files
from pipelines.eduframe.commands.check.findings import Findings
from pipelines.eduframe.commands.check.printing import as_json as shown_as_json
from pipelines.eduframe.commands.check.printing import print_findings
from pipelines.eduframe.commands.check.report import fit_report
from pipelines.eduframe.commands.check.settings import find_settings
from pipelines.eduframe.commands.output import print_json
from pipelines.eduframe.commands.umask import let_readers_in
from pipelines.eduframe.exit_codes import DONE, FAILED
from pipelines.eduframe.pipeline import make_pipeline
from pipelines.eduframe.place.local_lock import local_lock
from pipelines.eduframe.place.target import target_of
from sources.eduframe.errors import SettingsError
from sources.eduframe.http.client import Bounds, Client
from sources.eduframe.limits.rate_limiter import Limiter, share_window

ATTEMPTS = 2


def _check_writable(report: Path) -> None:
    """Before anything is asked: whether the report can be written."""
    try:
        report.open("a", encoding="utf-8").close()
    except OSError as error:
        raise SettingsError(
            f"The report {report} cannot be written: {error.strerror}. Name another file."
        ) from error


def run_check(
    destination: str,
    dataset: str,
    *,
    as_json: bool,
    wide: bool = False,
    report: Path | None = None,
) -> int:
    """Check everything, print it, and write the fit report if asked. Returns the exit code.

    Raises:
        SettingsError: a setting is wrong, or the destination cannot be used for this.
        LockedError: a sync is going on, which its requests would come on top of.
    """
    if report is not None:
        _check_writable(report)
    settings, found = find_settings()
    pipeline = make_pipeline(destination, dataset)
    let_readers_in(pipeline, settings.permissions)
    limiter = Limiter(settings.requests_per_window, settings.window_seconds)
    with (
        local_lock(target_of(pipeline)),
        Client(
            settings.base_url,
            settings.api_token,
            limiter,
            attempts=ATTEMPTS,
            connections=settings.threads,
            bounds=Bounds.of(settings),
        ) as client,
    ):
        share_window(limiter, settings.base_url, settings.api_token, settings.request_seconds)
        target = try_destination(pipeline, destination, settings.lock_wait_seconds)
        api, identity = identify(client)
        findings = Findings(found, api, target)
        findings.files = find_files(pipeline)
        findings.resources = Trial(client, settings, api, identity).run()
    if report is not None:
        report.write_text(fit_report(api, findings.resources), encoding="utf-8")
    if as_json:
        print_json(shown_as_json(findings))
    else:
        print_findings(findings, wide=wide)
    return DONE if findings.ok else FAILED
