# SPDX-License-Identifier: BSD-2-Clause
"""Runs a program once, and turns the line it prints into figures."""
import json
import os
import subprocess

QUANTILES = [0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1]
SLOW_START_MS = 1200
# What a row is about, by work: metric, unit, what is better.
FIRST = {
    "pair": ("time", "ns", "less"),
    "crowd": ("checkouts", "1/s", "more"),
    "query": ("queries", "1/s", "more"),
    "request": ("requests", "1/s", "more"),
    "spike": ("spike", "ns", "less"),
}


class Failed(Exception):
    """A run without figures; the text says why."""


def top_of(bucket):
    """The largest value of a bucket."""
    if bucket < 64:
        return bucket
    shift = bucket // 32 - 1
    return ((bucket - shift * 32 + 1) << shift) - 1


class Result:
    """One run of one case."""

    def __init__(self, line, scene):
        seen = json.loads(line)
        self.scene = scene
        self.ns, self.cpu_ns = seen["ns"], seen["cpu_ns"]
        self.done, self.max = seen["done"], seen["max"]
        self.buckets = dict(map(tuple, seen["buckets"]))
        self.sum = sum(self.done)
        if len(self.done) != scene.threads or self.sum == 0:
            raise Failed("nothing was done")

    def quantile(self, q):
        return quantile(self.buckets, self.max, q)

    @property
    def rate(self):
        return self.sum * 1e9 / self.ns

    def figures(self):
        """metric: (value, unit, better)"""
        if self.scene.work == "pair":
            return {"time": (self.scene.threads * self.ns / self.sum, "ns", "less")}
        if self.scene.work == "spike":
            return {
                "spike": (self.max, "ns", "less"),
                "time_p50": (self.quantile(0.5), "ns", "less"),
            }
        found = {FIRST[self.scene.work][0]: (self.rate, "1/s", "more")}
        if self.scene.bench != "query":
            found["luck"] = (max(self.done) / max(1, min(self.done)), "1", "less")
            what = "time" if self.scene.work == "request" else "wait"
            for name, q in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1)):
                found[f"{what}_{name}"] = (self.quantile(q), "ns", "less")
        if self.scene.work != "request":  # there, a proxy's work would be missing
            found["cpu"] = (self.cpu_ns / self.sum, "ns", "less")
        return found


def quantile(buckets, longest, q):
    if q >= 1:
        return longest
    left = q * sum(buckets.values())
    for bucket in sorted(buckets):
        left -= buckets[bucket]
        if left <= 0:
            return min(top_of(bucket), longest)
    return longest


def run(program, case, scene, url, times):
    """times: (warm-up, run) in ms."""
    warm_ms = max(times[0], SLOW_START_MS) if case.slow_start else times[0]
    words = [scene.work, scene.threads, scene.connections, scene.hold_us, warm_ms, times[1]]
    words += [case.variant[scene.bench]]
    try:
        done = subprocess.run(
            [*program, *map(str, words)],
            env={**os.environ, "DATABASE_URL": url},
            capture_output=True,
            text=True,
            timeout=60 + (warm_ms + times[1]) / 1000,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed("did not end in time") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise Failed(lines[-1] if lines else f"ended with status {done.returncode}")
    return Result(done.stdout, scene)
