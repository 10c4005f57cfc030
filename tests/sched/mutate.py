#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""
Takes one thing at a time out of a copy of the real code (mutations.py), builds the scheduler's tests with it, and
sees which scenario notices, after how many executions. Ends with 1 if one goes unnoticed, or if a text of the table
does not occur exactly once any more.

mutate.py --build DIR [--quick] [--jobs N] [WORD...]     DIR: a configured build; WORD: rows whose name has it
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import mutations

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTS = ["queue", "cache", "close", "freelist", "stop", "pool", "ring", "history"]
LIMIT_S = 600


def commands(build):
    """How the scheduler's tests are compiled: (target, source, command, directory)."""
    rows = []
    for c in json.loads((build / "compile_commands.json").read_text()):
        out = re.search(r" -o (\S+)", c["command"])[1]
        target = re.search(r"(weir_sched\w*|sched\.\w+)\.dir/", out)
        if target:
            rows.append((target[1], c["file"], c["command"], c["directory"]))
    if not rows:
        sys.exit(f"mutate: {build} has no scheduler in it")
    return rows


def compile_for(rows, test, work, objects):
    """Compiles what the test is made of against the copy in work; the program's path, or what went wrong."""
    wanted = ["weir_sched", f"sched.{test}"] + (["weir_sched_pool", "weir_sched_plain"] if test == "pool" else [])
    linked = []
    for target, file, command, directory in rows:
        if target not in wanted:
            continue
        if file not in objects:
            out = work / f"{len(objects)}.o"
            command = command.replace(f"{ROOT}/src", f"{work}/src")
            command = re.sub(r" -MD -MT \S+ -MF \S+", "", re.sub(r" -o \S+", f" -o {out}", command)) + " -w"
            done = subprocess.run(command, shell=True, cwd=directory, capture_output=True, text=True, check=False)
            if done.returncode:
                return None, "does not compile: " + done.stderr.strip().splitlines()[0]
            objects[file] = out
        linked.append(str(objects[file]))
    program = work / test
    # The test of histories brings a free list of its own, of the same source.
    done = subprocess.run(["cc", "-no-pie", "-zmuldefs", "-o", str(program)] + linked + ["-lpthread"],
                          capture_output=True, text=True, check=False)
    return (program, None) if done.returncode == 0 else (None, "does not link: " + done.stderr[:200])


def ask(program):
    """(scenario, what it says, executions) of the first failure, or None."""
    try:
        done = subprocess.run([str(program), "--first"], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return "", "ran too long", "?"
    failed = re.search(r"^FAILED (\S+): (.*)\n(?:  execution (\d+))?", done.stdout, re.M)
    if failed:
        return failed[1], failed[2], failed[3] or "all"
    return ("", f"ended with {done.returncode}", "?") if done.returncode else None


def try_one(row, rows, quick):
    """One row: (name, noticed by, what was said, executions, seconds)."""
    name, file, old, new, first = row
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="weir-mutate-") as scratch:
        work = pathlib.Path(scratch)
        shutil.copytree(ROOT / "src", work / "src")
        text = (work / "src" / file).read_text()
        if text.count(old) != 1:
            return name, None, f"its text occurs {text.count(old)} times in {file}", "", 0
        (work / "src" / file).write_text(text.replace(old, new))
        objects = {}
        for test in [first] if quick else [first] + [t for t in TESTS if t != first]:
            program, wrong = compile_for(rows, test, work, objects)
            if wrong:
                return name, None, wrong, "", 0
            noticed = ask(program)
            if noticed:
                return name, f"{test}: {noticed[0]}", noticed[1], noticed[2], time.monotonic() - began
    return name, None, "unnoticed", "", time.monotonic() - began


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("words", nargs="*")
    wish = parser.parse_args()

    rows = commands(wish.build.resolve())
    names = [row[0] for row in mutations.TABLE]
    unknown = [q for q in mutations.QUICK if q not in names]
    if unknown or len(set(names)) != len(names):
        sys.exit(f"mutate: not in the table, or twice: {unknown}")
    table = [row for row in mutations.TABLE
             if (not wish.quick or wish.words or row[0] in mutations.QUICK) and (not wish.words or
                                                                    any(w in row[0] for w in wish.words))]
    bad = 0
    width = max(len(row[0]) for row in table)
    print(f"{'what is taken away':{width}}  {'noticed by':48}  {'executions':>10}  {'s':>5}  what it says")
    with concurrent.futures.ThreadPoolExecutor(wish.jobs) as pool:
        # The code as it is has to go unnoticed, or nothing below means anything.
        for test, said in zip(TESTS, pool.map(ask, [wish.build / f"tests/sched/sched.{t}" for t in TESTS])):
            if said and not wish.quick:
                sys.exit(f"mutate: sched.{test} fails on the code as it is: {said[0]}: {said[1]}")
        for name, by, says, executions, took in pool.map(lambda row: try_one(row, rows, wish.quick), table):
            print(f"{name:{width}}  {by or '-- NOBODY --':48}  {executions:>10}  {took:5.1f}  {says}", flush=True)
            bad += by is None
    print(f"{len(table) - bad} of {len(table)} noticed")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
