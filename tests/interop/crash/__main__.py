"""
C{python -m tests.interop.crash}: kill a server under load and print the account.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from tests.interop.crash.account import State, table
from tests.interop.crash.run import Course, Report
from tests.store.cluster import emptyDatabase


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.interop.crash", description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000, help="how many are to be acknowledged")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", help="URL of an empty database; SQLite in a temporary folder by default")
    parser.add_argument("--postgresql", action="store_true", help="with a PostgreSQL started for this run")
    parser.add_argument("--states", default=",".join(state.name.lower() for state in State), help="of recipients")
    parser.add_argument("--pace", type=float, default=0.0, help="seconds between bursts of a sender, at most")
    parser.add_argument("--folder", type=Path, help="keep everything here, in place of a temporary folder")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    return parser.parse_args()


async def course(options: argparse.Namespace, folder: Path) -> Report:
    """One run in a folder."""
    states = [State[name.upper()] for name in options.states.split(",")]
    plan = Course(
        folder, options.messages, options.kills, options.seed, options.database, states, options.pace
    )
    return await plan.run()


def main() -> int:
    """Run; 0 if every promise was kept."""
    options = arguments()
    if options.postgresql:
        options.database = emptyDatabase()
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
        report = asyncio.run(course(options, options.folder.absolute()))
    else:
        with tempfile.TemporaryDirectory(prefix="xmppd-crash") as folder:
            report = asyncio.run(course(options, Path(folder)))
    if not options.json:
        print(table(report.rows))
    print(json.dumps(report.asDict()))
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
