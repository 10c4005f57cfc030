#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""weir beside other pools: same work, same histogram, one run. See README.md beside this file.

    peers.py [--quick] [--rounds N] [--seconds S] [--scene WORD]... [PEER...]

Each round runs every case of every scene once, in turn, and each run is a process of its own. PEER
keeps those whose name contains one of the words (weir and the raw drivers always run)."""
import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests", "support"), os.path.join(ROOT, "bench", "report")]

import results as report  # noqa: E402  (the path must be set first)
from driver import build, measure, stage  # noqa: E402
from driver.results import Results  # noqa: E402
from driver.scenes import CASES, PACKAGES, SCENES  # noqa: E402

WARM_MS = 200
BOUNCER_CONNECTIONS = 8  # of the scenes with PgBouncer
ALWAYS = ("weir", "raw")


def parse():
    parser = argparse.ArgumentParser(
        prog="./dev peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one short round, to try things out")
    parser.add_argument("--rounds", type=int, help="5; --quick: 1")
    parser.add_argument("--seconds", type=float, help="of a run after its warm-up: 1; --quick: 0.2")
    parser.add_argument("--scene", action="append", default=[], help="only scenes of this bench")
    parser.add_argument("peer", nargs="*")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (0.2 if options.quick else 1)
    return options


def wanted(case, options):
    words = options.peer
    return not words or case.name.startswith(ALWAYS) or any(word in case.name for word in words)


def output_of(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT)
    return done.stdout.strip()


def versions():
    found = {}
    for name, package in PACKAGES.items():
        version = output_of("dpkg-query", "-W", "-f=${Version}", package)
        if version:
            found[name] = version
    return found


def say(words):
    print(f"[{int(time.monotonic() - BEGUN) // 60:2}:{int(time.monotonic() - BEGUN) % 60:02}] {words}")
    sys.stdout.flush()


BEGUN = time.monotonic()


def build_all(cases):
    """Program: the words that start it, or why it is missing."""
    builder, built = build.Builder(ROOT), {}
    for program in dict.fromkeys(case.program for case in cases):
        try:
            built[program] = builder.program(program)
        except build.Missing as why:
            built[program] = str(why)
            say(f"{program}: {why}")
    return built


def urls(stack, seconds):
    """The server's URL and PgBouncer's; instead of that, why it is missing."""
    url = stack.enter_context(stage.database(ROOT, seconds))
    try:
        return url, stack.enter_context(stage.pgbouncer(url, BOUNCER_CONNECTIONS)), None
    except stage.Failed as why:
        return url, None, str(why)


def one_run(row, built, url, times):
    """Adds a result to the row, or the reason why it has none: a case that fails once is out."""
    program = built[row.case.program]
    if isinstance(program, str):
        row.skipped = program
        return
    try:
        row.results.append(measure.run(program, row.case, row.scene, url, times))
    except measure.Failed as why:
        row.skipped = f"failed: {why}"
        say(f"{row.case.name} in {row.scene.title}: {why}")


def plan(results, scenes, cases):
    """The rows of the run, scene by scene, with those that say at once why they cannot be."""
    planned = []
    for scene in scenes:
        rows = []
        for case in cases:
            if scene.bench in case.cannot:
                results.row(case, scene).skipped = case.cannot[scene.bench]
            elif case.takes_part(scene):
                rows.append(results.row(case, scene))
        planned.append((scene, rows))
    return planned


def turns(planned, rounds):
    """Every run, in order: who goes first in a scene changes from round to round."""
    for turn in range(rounds):
        say(f"round {turn + 1} of {rounds}")
        for scene, rows in planned:
            first = turn % max(1, len(rows))
            yield from (rows[first:] + rows[:first]) * scene.parts


def measure_all(options, scenes, cases, built):
    results = Results()
    planned = plan(results, scenes, cases)
    runs = options.rounds * sum(len(rows) * scene.parts for scene, rows in planned)
    with contextlib.ExitStack() as stack:
        url, bouncer_url, no_bouncer = urls(stack, 600 + 6 * runs)
        for row in turns(planned, options.rounds):
            proxied = row.case.name == "pgbouncer"
            if proxied and no_bouncer:
                row.skipped = no_bouncer
            if not row.skipped:
                times = WARM_MS, int(options.seconds * 1000 / row.scene.parts)
                one_run(row, built, bouncer_url if proxied else url, times)
    return results


def write(options, results):
    """All of it is a result to be recorded; a part of it, or a short one, is put elsewhere."""
    is_all = not (options.quick or options.peer or options.scene)
    path = os.path.join(ROOT, "build", *(("results", "peers.json") if is_all else ("peers", "part.json")))
    one = report.header("peers", "./dev peers", ROOT)
    one["notes"].append(
        f"{options.rounds} rounds over all cases, {options.seconds:g} s each after a warm-up"
    )
    one["versions"] = versions()
    one["rows"] = results.as_rows()
    one["histograms"] = results.histograms()
    report.write(path, one)
    say(f"written: {os.path.relpath(path, ROOT)}")


def main():
    options = parse()
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda number, frame: sys.exit(128 + number))
    cases = [case for case in CASES if wanted(case, options)]
    scenes = [scene for scene in SCENES if not options.scene or scene.bench in options.scene]
    say("building")
    try:
        results = measure_all(options, scenes, cases, build_all(cases))
    except stage.Failed as why:
        print(f"peers: {why}", file=sys.stderr)
        return 1
    for scene in scenes:
        results.print_table(scene)
    print()
    write(options, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
