"""The command itself: look at the destination, make the package, write it."""

import shlex
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.eduframe.commands.dbt.customer import Customer, Place, dialect_of, place_of
from pipelines.eduframe.commands.dbt.folder import memory_of, write
from pipelines.eduframe.commands.dbt.package import Package
from pipelines.eduframe.commands.output import print_line
from pipelines.eduframe.exit_codes import DONE
from pipelines.eduframe.pipeline import DUCKDB_FILE
from pipelines.eduframe.place.names import check_dataset_name
from pipelines.eduframe.place.working_folder import DATASET_NAME
from sources.eduframe.version import version


def run_dbt(folder: Path, destination: str | None, dataset: str | None) -> int:
    """Write the package; for the destination and dataset that it was written for before, where
    these are not named. What an unreachable destination told the last time still counts.

    Raises:
        SettingsError: there is no package for the destination, or something is in the way.
    """
    before = memory_of(folder)["made_from"]
    destination = destination or before.get("destination", "duckdb")
    dataset = dataset or before.get("dataset", DATASET_NAME)
    check_dataset_name(dataset)
    dialect = dialect_of(destination)
    place = place_of(destination, dataset)
    customer = place.customer or _remembered(before, destination, place.dataset)
    file = "md:" if destination == "motherduck" else place.file or Path(DUCKDB_FILE).absolute()
    package = Package(dialect, place.dataset, customer, str(file))
    made_from = {
        "destination": destination,
        "dataset": place.dataset,
        "version": version(),
        "customer": asdict(customer) if customer else None,
    }
    files = package.files()
    written = write(folder, files, made_from)
    print_line(
        f"{folder}: a dbt package for {dialect}, dataset {place.dataset}; "
        f"{len(files)} files, {len(written.changed)} of them new or changed"
        f"{f', {len(written.gone)} removed' if written.gone else ''}"
    )
    kinds = Counter(view.kind for view in package.views)
    print_line("models: " + ", ".join(f"{count} {kind}" for kind, count in kinds.items()))
    for line in _about(customer, place):
        print_line(line)
    print_line(
        f"next: pip install 'dbt-core>=1.11,<1.12' dbt-{dialect}, then: "
        f"cd {shlex.quote(str(folder))} && dbt build"
    )
    return DONE


def _remembered(before: dict[str, Any], destination: str, dataset: str) -> Customer | None:
    same = (before.get("destination"), before.get("dataset")) == (destination, dataset)
    known = before.get("customer") if same else None
    return Customer.of(known) if known else None


def _about(customer: Customer | None, place: Place) -> list[str]:
    """What is known of the customer, and what is not."""
    if customer is None:
        return [
            "nothing is known of the customer: so days are UTC's, amounts of leads and the like "
            "have no currency, and custom fields no columns. Run this again where the destination "
            f"can be reached ({place.why})"
        ]
    off = customer.not_synced
    said = [
        f"time zone {customer.time_zone or 'not known (UTC)'}, currency "
        f"{customer.currency or 'not known'}, {len(customer.all_fields)} custom fields; "
        f"lists that are not synced: {', '.join(off) or 'none'}"
    ]
    if place.customer is None:
        said.append(f"that was found before; this time nothing was: {place.why}")
    return said
