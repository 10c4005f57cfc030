#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the models of this folder with spin: run.py [MODEL...] [--deep] [--jobs N].

Each model says in its head what there is to run, in lines of three kinds:

    // run: NAME FLAG...       must end without an error, and completely
    // deep: NAME FLAG...      the same with larger bounds, only with --deep
    // seed: SEED NAME  words  a bug: what run NAME does with -DSEED must be found to be wrong

A FLAG that begins with -D goes to spin, any other to the verifier. Without spin: skipped (77).
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
LINE = re.compile(r"^[ \t*]*// (run|deep|seed): (\S+)[ \t]*(.*)$", re.M)
DEPTH = 2_000_000
BYTES = {False: 4 << 30, True: 16 << 30}
SECONDS = {False: 600, True: 3600}


def plan(model, deep):
    """What to run: (variant, flags, whether it has to fail, what the seed breaks)."""
    runs, todo = {}, []
    for kind, name, rest in LINE.findall((HERE / f"{model}.pml").read_text()):
        if kind == "seed":
            of, words = rest.split(None, 1)
            todo.append((name, [f"-D{name}", *runs[of]], True, words))
        else:
            runs[name] = rest.split()
            if deep or kind == "run":
                todo.append((name, runs[name], False, ""))
    return todo


def limited(deep):
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (BYTES[deep], BYTES[deep]))

    return limit


def verdict(text, code, must_fail):
    """None if it came out as it must, or else a plain reason."""
    errors = re.search(r"errors: (\d+)", text)
    if not errors:
        return f"the verifier ended with {code} and said: {' '.join(text.split())[-200:]}"
    if must_fail:
        return None if int(errors[1]) else "the seeded bug was not found"
    if int(errors[1]):
        why = re.search(r"^pan:\d+: (.*)$", text, re.M)
        return f"error: {why[1] if why else 'see the trail'}"
    for sign in ("Search not completed", "max search depth too small", "out of memory"):
        if sign in text:
            return f"not complete: {sign}"
    return None


def verify(model, variant, flags, must_fail, deep):
    """Builds the verifier and runs it: (reason or None, states, seconds)."""
    began = time.monotonic()
    defines = [f for f in flags if f.startswith("-D")]
    options = [f for f in flags if not f.startswith("-D")]
    with tempfile.TemporaryDirectory(prefix="model.") as folder:
        steps = (
            ["spin", "-a", *defines, str(HERE / f"{model}.pml")],
            # Most searches are over sooner than an optimised verifier is compiled.
            ["gcc", "-w", "-O2" if deep else "-O0" if must_fail else "-O1", "-DSAFETY", "-DNOCLAIM", "-DCOLLAPSE", "-DVECTORSZ=2048",
             "-o", "pan", "pan.c"],
        )
        for step in steps:
            done = subprocess.run(step, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
            if done.returncode or "Error:" in done.stdout:
                return f"{step[0]} failed: {(done.stdout + done.stderr)[:400]}", 0, 0
        try:
            done = subprocess.run(["./pan", f"-m{DEPTH}", *options], cwd=folder, capture_output=True, text=True,
                                  timeout=SECONDS[deep], preexec_fn=limited(deep), check=False)
        except subprocess.TimeoutExpired:
            return f"not done within {SECONDS[deep]} s", 0, SECONDS[deep]
    text = done.stdout + done.stderr
    states = re.search(r"(\d+) states, stored", text)
    return (verdict(text, done.returncode, must_fail), int(states[1]) if states else 0, time.monotonic() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("model", nargs="*")
    parser.add_argument("--deep", action="store_true")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    args = parser.parse_args()
    if not shutil.which("spin") or not shutil.which("gcc"):
        print("skipped: spin or gcc is not installed")
        return 77
    models = args.model or sorted(p.stem for p in HERE.glob("*.pml"))
    failed = []
    print(f"{'model':<10} {'variant':<28} {'states':>10} {'s':>6}  verdict")
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        waiting = []
        for model in models:
            for variant, flags, must_fail, words in plan(model, args.deep):
                future = pool.submit(verify, model, variant, flags, must_fail, args.deep)
                waiting.append((model, variant, must_fail, words, future))
        for model, variant, must_fail, words, future in waiting:
            reason, states, seconds = future.result()
            good = f"found: {words}" if must_fail else "passes"
            print(f"{model:<10} {variant:<28} {states:>10} {seconds:>6.1f}  {reason or good}", flush=True)
            if reason:
                failed.append(f"{model} {variant}: {reason}")
    for line in failed:
        print(f"FAILED {line}", file=sys.stderr)
    if not waiting:
        print("no model says what to run", file=sys.stderr)
    return 1 if failed or not waiting else 0


if __name__ == "__main__":
    sys.exit(main())
