"""``python -m sources.eduframe_simulator``: the simulator as a process of its own."""

import argparse
import signal
from datetime import UTC, datetime
from threading import Event

from sources.eduframe_simulator import Simulator
from sources.eduframe_simulator.provider.world import this_day


def _day(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)


def main() -> None:
    """Serve until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m sources.eduframe_simulator", description=__doc__
    )
    parser.add_argument("--port", type=int, default=8642, help="0: any free one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="how many rows; 0: none")
    parser.add_argument("--count", action="append", default=[], metavar="LIST=ROWS")
    parser.add_argument("--token", default="demo-token")
    parser.add_argument("--paging", choices=("cursor", "page"), default="cursor")
    parser.add_argument("--requests-per-window", type=int, default=500)
    parser.add_argument("--window-seconds", type=float, default=300)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    parser.add_argument("--jitter", type=float, default=0.0, help="seconds")
    parser.add_argument("--educator-id", type=int, default=1)
    parser.add_argument(
        "--as-of", type=_day, default=this_day(), metavar="DATE", help="when the data ends; today"
    )
    options = vars(parser.parse_args())
    pairs = (pair.split("=") for pair in options.pop("count"))
    counts = {table: int(rows) for table, rows in pairs}
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Simulator(counts=counts, **options) as sim:
        day = "" if sim.as_of == this_day() else f"as of {sim.as_of:%Y-%m-%d}; "
        print(f"{sim.base_url} ({day}token {sim.token}; Ctrl-C stops it)", flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
