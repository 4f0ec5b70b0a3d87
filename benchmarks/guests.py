"""
Guests beside a hostile one: how long their messages take, with it and without.

    python benchmarks/guests.py [--guests N] [--seconds N] [--rounds N] [--interval SECONDS]

A server with the public profile and all limits as they are by default is started on loopback, and guests log in over
TLS, twenty from each address. Each writes to another every few seconds. Then a hostile guest comes from an address of
its own, in each round another: it tries to have forty sessions, floods from each as fast as it can, writes to
everybody, and sends what is too large; see C{tests/interop/crowd.py}. Both are measured in turns within each round: the
median and the 99th percentile of the others' messages, from the writing to the reading of their client, which is one
process for all of them.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.interop.daemon import Daemon
from tests.interop.spoiled import CONFIGURATION, Crowd


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Guests beside a hostile one.")
    parser.add_argument("--guests", type=int, default=500, help="how many guests talk; an even number (500)")
    parser.add_argument("--seconds", type=float, default=10, help="how long each measurement lasts (10)")
    parser.add_argument("--rounds", type=int, default=3, help="how often (3)")
    parser.add_argument("--interval", type=float, default=2, help="after how many seconds each guest writes (2)")
    parser.add_argument("--attempts", type=int, help="attempts_per_minute, if not the default; 0 for no limit")
    return parser.parse_args()


def main() -> None:
    """Measure, and print a table."""
    wanted = arguments()
    folder = Path(tempfile.mkdtemp(prefix="xmppd-"))
    limits = "" if wanted.attempts is None else f"attempts_per_minute = {wanted.attempts}"
    daemon = Daemon(folder, CONFIGURATION, limits)
    crowd = None
    figures: dict[str, list[float]] = {"alone": [], "alone, 99 %": [], "spoiled": [], "spoiled, 99 %": []}
    told: Counter[str] = Counter()
    lost = 0
    try:
        daemon.start()
        begun = time.monotonic()
        crowd = Crowd(daemon.tlsPort, wanted.guests, wanted.interval)
        print(f"{len(crowd.guests)} guests have come in {time.monotonic() - begun:.1f} s")
        crowd.measure(2)
        for number in range(wanted.rounds):
            alone = crowd.measure(wanted.seconds)
            spoiled, counts = crowd.spoiled(wanted.seconds)
            told.update(counts)
            lost += alone["lost"] + spoiled["lost"] + spoiled["gone"]
            for name, found in (("alone", alone), ("spoiled", spoiled)):
                figures[name].append(found["median"])
                figures[f"{name}, 99 %"].append(found["p99"])
            shown = ", ".join(f"{name} {values[-1]:.2f} ms" for name, values in figures.items())
            print(f"round {number + 1}: {shown}; ratio {spoiled['median'] / alone['median']:.2f}")
    finally:
        if crowd is not None:
            crowd.close()
        daemon.kill()
        shutil.rmtree(folder, ignore_errors=True)
    for name, values in figures.items():
        print(f"{name:15} {statistics.median(values):8.2f} ms")
    print(f"lost {lost}; the hostile guest: {dict(told)}")


if __name__ == "__main__":
    main()
