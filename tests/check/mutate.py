#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""
Breaks one thing at a time in a copy of a file of the library (mutations.py), links the checker with it, runs that with
the deeds that bring it out, and sees whether the rule notices; or the same with another test that judges by rules, or
with a simulation, whose tests are the rules. Ends with 1 if one goes unnoticed, or if a text of the table does not occur
exactly once any more.

mutate.py --build DIR [--seconds S] [--list] [WORD...]     DIR: a built build; WORD: rows whose name has it
"""
import argparse
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time

import mutations

ROOT = pathlib.Path(__file__).resolve().parents[2]
TRIES = 3
MISSING = 77


def said(done):
    lines = (done.stderr or done.stdout).strip().splitlines()
    return next((line for line in lines if "error" in line), lines[-1] if lines else "nothing was said")[:200]


def compile_command(build, file):
    """How the library for tests compiles this file, and where."""
    for c in json.loads((build / "compile_commands.json").read_text()):
        if c["file"] == str(ROOT / "src" / file) and "/weir_testing.dir/" in c["command"]:
            return c["command"], c["directory"]
    sys.exit(f"mutate: {build} does not compile {file}")


def link_command(build, target):
    done = subprocess.run(["ninja", "-C", str(build), "-t", "commands", target], capture_output=True, text=True,
                          check=True)
    return done.stdout.strip().splitlines()[-1].removeprefix(": && ").removesuffix(" && :")


def build_one(build, work, target, file, old, new):
    """The program with one text replaced: its path, or what went wrong."""
    text = (ROOT / "src" / file).read_text()
    if text.count(old) != 1:
        return None, f"its text occurs {text.count(old)} times in {file}"
    source = work / pathlib.Path(file).name
    source.write_text(text.replace(old, new))
    command, directory = compile_command(build, file)
    command = re.sub(r" -MD -MT \S+ -MF \S+", "", re.sub(r" -o \S+", f" -o {work}/broken.o", command))
    command = command.replace(f"-c {ROOT}/src/{file}", f"-c {source}") + " -Wno-error"
    done = subprocess.run(command, shell=True, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        return None, "does not compile: " + said(done)
    # Before the archive: its own object of that name is not looked for any more.
    words = shlex.split(re.sub(r" -o \S+", f" -o {work}/check {work}/broken.o", link_command(build, target)))
    done = subprocess.run(words, cwd=build, capture_output=True, text=True, check=False)
    return (work / "check", None) if done.returncode == 0 else (None, "does not link: " + said(done))


def is_simulation(deeds):
    return deeds[0].startswith("sim.")


def failed_tests(program):
    """The simulation's tests that failed, or the one in which its time was over, and where."""
    environment = {**os.environ, "TEST_SOURCE_DIR": str(ROOT)}
    done = subprocess.run([str(program)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=300, check=False)
    rules, words, test = {}, {}, "?"
    for line in done.stdout.splitlines():
        if line.startswith("[ RUN"):
            test = line.split("]")[1].strip()
        elif "[   LINE   ] ---" in line:
            at = line.split("[   LINE   ] ---")[1].split(": error")[0].strip()
            words.setdefault(test, "fails at " + pathlib.Path(at).name)
        elif line.startswith("[  FAILED  ]") and test in line:
            rules[test] = 1
    if done.returncode and not rules:
        rules[test] = 1
        words[test] = done.stdout.strip().splitlines()[-1]
    return rules, words


def broken_rules(program, deeds, seconds):
    """The rules that the checker found broken, and its first words about it."""
    if is_simulation(deeds):
        return failed_tests(program)
    environment = {**os.environ, "TEST_SOURCE_DIR": str(ROOT)}
    words = ["--seconds", str(seconds), "--pace", "2000", *deeds]
    if deeds == mutations.RUNS:
        environment["TEST_STRESS_SECONDS"] = str(seconds)
        words = []
    done = subprocess.run([str(program), *words], env=environment, capture_output=True, text=True,
                          timeout=seconds + 300, check=False)
    if done.returncode == MISSING:
        print(done.stdout.strip().splitlines()[-1])
        sys.exit(MISSING)
    rules = {rule: int(n) for rule, n in re.findall(r"^([A-Z_]+) +judged +\d+, broken ([1-9]\d*)", done.stdout, re.M)}
    words = dict(reversed(re.findall(r"^BROKEN ([A-Z_]+): (.*)$", done.stdout, re.M)))
    if done.returncode and not rules:
        words["?"] = said(done)
    return rules, words


def try_one(build, row, seconds):
    """(noticed by, what was said, seconds) or (None, why, seconds)."""
    name, file, old, new, deeds, expected = row
    began = time.monotonic()
    target = deeds[0] if deeds == mutations.RUNS or is_simulation(deeds) else "check"
    with tempfile.TemporaryDirectory(prefix="weir-mutate-") as scratch:
        program, wrong = build_one(build, pathlib.Path(scratch), target, file, old, new)
        if wrong:
            return None, wrong, 0
        words = {}
        for _ in range(TRIES):
            rules, words = broken_rules(program, deeds, seconds)
            for rule in expected:
                if rule in rules:
                    by = rule if is_simulation(deeds) else f"{rule} ({rules[rule]})"
                    return by, words.get(rule, ""), time.monotonic() - began
    return None, "unnoticed; " + "; ".join(f"{r}: {w}" for r, w in words.items()), time.monotonic() - began


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("words", nargs="*")
    wish = parser.parse_args()

    build = wish.build.resolve()
    table = [row for row in mutations.TABLE if not wish.words or any(w in row[0] for w in wish.words)]
    bad = 0
    width = max((len(row[0]) for row in table), default=0)
    for row in table:
        if wish.list:
            print(f"{row[0]:{width}}  {' '.join(row[4])}: {' or '.join(row[5])}")
            continue
        by, says, took = try_one(build, row, wish.seconds)
        print(f"{row[0]:{width}}  {by or '-- NOBODY --':24}  {took:5.1f} s  {says}", flush=True)
        bad += by is None
    if not wish.list:
        print(f"{len(table) - bad} of {len(table)} noticed")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
