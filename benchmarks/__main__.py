"""``python -m benchmarks``: measure everything, print tables, and write them as Markdown.

Every program runs as a process of its own, against a server that is a process of its own.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.report import machine


def main() -> None:
    """Run the cases, and print each table as soon as it is there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--records", type=int, help="in three lists together (300,000)")
    parser.add_argument("--runs", type=int, help="of which the median counts (3)")
    parser.add_argument("--only", choices=CASES, action="append", help="may be repeated")
    parser.add_argument("--no-rivals", dest="rivals", action="store_false", help="only our own")
    parser.add_argument("--custom", action="store_true", help="rows with custom fields")
    parser.add_argument("--quick", action="store_true", help="tiny: does it run at all?")
    simulated = parser.add_argument_group("fresh", "days simulated under a virtual clock")
    simulated.add_argument("--days", type=float, help="that count (14)")
    simulated.add_argument("--seeds", type=int, help="of which the median counts (5)")
    simulated.add_argument("--customers", nargs="+", choices=["large", "middle", "small"])
    simulated.add_argument("--budgets", nargs="+", help="shares of the limit (5%% 10%% …)")
    simulated.add_argument("--alphas", nargs="+", type=float, help="how changes fall off (1)")
    simulated.add_argument("--processes", type=int, help="side by side (one a core)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there too")
    options = parser.parse_args()
    options.records = options.records or (3_000 if options.quick else 300_000)
    options.runs = options.runs or (1 if options.quick else 3)
    options.scale = 0.05 if options.quick else 1.0
    options.window, options.windows = (3.0, 2) if options.quick else (20.0, 4)
    parts = [machine()]
    print(parts[0], flush=True)
    for name in options.only or CASES:
        print(f"{name} …", file=sys.stderr, flush=True)
        for table in CASES[name](options):
            parts.append(table.markdown())
            print(f"\n{parts[-1]}", flush=True)
    if options.markdown:
        options.markdown.write_text("\n\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
