#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the benches that ./dev has built.

suite.py BUILD table [FILTER]       tables on the terminal: the benches whose file or own name matches
suite.py BUILD record [PROGRAM]...  all of them, or those named (warm_pair), several times in turn; what they
                                    said goes to build/results/PROGRAM.json
suite.py BUILD check                a short run, and the instructions, against what is recorded in bench/results

BUILD is a folder (build/release). Benches named server_* run against a PostgreSQL that is started for them; they
are left out with a word where none is installed."""
import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import goals  # noqa: E402  (the path must be set first)
import results  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CLUSTER = [str(REPOSITORY / "tests/support/cluster"), "run", "--standbys", "0", "--"]
SKIPPED = 77

# How often and how long, where it is not as usual. Who talks to a server depends on where the scheduler happens to
# put both ends: many short slices in turn say more than a few long ones.
Plan = collections.namedtuple("Plan", "runs min_time slice_ms", defaults=(7, 0.2, 500))
PLANS = {
    "open_loop": Plan(slice_ms=1000),
    "balance": Plan(runs=3, slice_ms=6000),
    "memory": Plan(runs=5, slice_ms=20),
    "server_memory": Plan(runs=5, slice_ms=20),
    "server_query": Plan(runs=25, slice_ms=250),
}
SHORT = Plan(min_time=0.05, slice_ms=150)

ELSEWHERE = {"instructions", "peers"}  # measured by count.py, and by ./dev peers

# What the counters of a bench are: metric, unit, what is better, and what they are multiplied by.
METRICS = {
    "per_thread": ("time", "ns", "less", 1e9),
    "checkouts": ("checkouts", "1/s", "more", 1),
    "ideal_checkouts": ("ideal_checkouts", "1/s", "more", 1),
    "over": ("over", "1", "more", 1),
    "luck": ("luck", "1", "less", 1),
    "jain": ("jain", "1", "more", 1),
    "share": ("share", "1", "less", 1),
    "slow": ("slow", "1", "less", 1),
    "switches": ("switches", "count", "less", 1),
    "opened": ("opened", "count", "less", 1),
    "bytes": ("bytes", "B", "less", 1),
}
NOT_COUNTERS = {"family_index", "per_family_instance_index", "run_name", "run_type", "repetitions", "repetition_index",
                "threads", "iterations", "real_time", "cpu_time", "time_unit", "name", "error_occurred",
                "error_message"}
SHARES = [0, .1, .25, .5, .75, .9, .95, .98, .99, .995, .998, .999, .9995, .9998, .9999, .99995, .99999, 1]


def program_of(build, name):
    return pathlib.Path(build) / "bench" / f"{name}_bench"


def names(build):
    return sorted(path.name[:-len("_bench")] for path in (pathlib.Path(build) / "bench").glob("*_bench"))


# ---- one run of one program ----

def parts(name):
    """'pool/crowd/connections:2/iterations:1/real_time/threads:8' as case, args and threads."""
    words = [word for word in name.split("/") if word not in ("real_time", "iterations:1")]
    args = dict(word.split(":") for word in words if ":" in word)
    threads = int(args.pop("threads", 1))
    return "/".join(w for w in words if ":" not in w), {k: int(v) for k, v in args.items()}, threads


def metric_of(counter, fixed):
    """`cpu` is in seconds where the harness counted it, in nanoseconds where a slice did."""
    if counter == "cpu":
        return "cpu", "ns", "less", 1 if fixed else 1e9
    return METRICS.get(counter, (counter, "ns", "less", 1))


def run_once(build, name, plan):
    """[(row without values, value)], or None: skipped."""
    with tempfile.TemporaryDirectory() as folder:
        distributions = pathlib.Path(folder) / "distributions"
        environment = {**os.environ, "TEST_BENCH_SLICE_MS": str(plan.slice_ms),
                       "TEST_BENCH_DISTRIBUTIONS": str(distributions)}
        done = subprocess.run([program_of(build, name), "--benchmark_format=json",
                               f"--benchmark_min_time={plan.min_time}"],
                              env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode == SKIPPED:
            print(f"  {name}: {done.stdout.strip()}")
            return None
        if done.returncode:
            raise SystemExit(f"{name}: status {done.returncode}\n{done.stderr[-2000:]}")
        lines = distributions.read_text().splitlines() if distributions.exists() else []
    found = []
    for one in json.loads(done.stdout)["benchmarks"]:
        if one.get("error_occurred"):
            raise SystemExit(f"{one['name']}: {one['error_message']}")
        case, args, threads = parts(one["name"])
        for counter, value in one.items():
            if counter in NOT_COUNTERS:
                continue
            metric, unit, better, factor = metric_of(counter, "iterations:1/" in one["name"])
            found.append(({"bench": name, "case": case, "args": args, "threads": threads, "metric": metric,
                           "unit": unit, "better": better}, value * factor))
    return found, [json.loads(line) for line in lines]


# ---- many runs ----

class Collected:
    """Values of each row, and histograms added up, over the runs of one program."""

    def __init__(self, name, runs):
        self.name, self.runs, self.rows, self.counts, self.most, self.of = name, runs, {}, {}, {}, {}

    def add(self, i, run):
        found, distributions = run
        for row, value in found:
            self.rows.setdefault(json.dumps(row), [None] * self.runs)[i] = float(f"{value:.6g}")
        for one in distributions:
            key = json.dumps([one["case"], one["args"], one["threads"], one["metric"]])
            self.of[key] = one
            self.most[key] = max(one["max"], self.most.get(key, 0))
            self.counts.setdefault(key, collections.Counter()).update(dict(map(tuple, one["counts"])))

    def histograms(self):
        for key, counts in self.counts.items():
            one = self.of[key]
            yield {"bench": self.name, "case": one["case"], "args": one["args"], "threads": one["threads"],
                   "metric": one["metric"], "unit": "ns", "quantiles": quantiles(counts, self.most[key])}

    def rows_list(self):
        return [{**json.loads(key), "values": values} for key, values in self.rows.items()]


def quantiles(counts, most):
    """[[share, the value that so many do not exceed], ...] as far as there are values enough to tell."""
    total, seen, made, shares = sum(counts.values()), 0, [], list(SHARES)
    for value, count in sorted(counts.items()):
        seen += count
        while shares and shares[0] < 1 and seen >= shares[0] * total:
            share = shares.pop(0)
            if (1 - share) * total >= 5:
                made.append([share, value])
    return made + [[1, most]]


def collect(build, chosen, plan_of, say):
    """Runs all programs in turn, round by round."""
    plans = {name: plan_of(name) for name in chosen}
    collected = {name: Collected(name, plans[name].runs) for name in chosen}
    for i in range(max((plan.runs for plan in plans.values()), default=0)):
        for name in chosen:
            if i >= plans[name].runs or name not in collected:
                continue
            say(f"run {i + 1} of {plans[name].runs}: {name}")
            run = run_once(build, name, plans[name])
            if run is None:
                del collected[name]
            else:
                collected[name].add(i, run)
    return collected


def with_server(chosen):
    return [name for name in chosen if name.startswith("server_")]


def under_cluster(build, *words):
    """Runs this script again with a server; its exit status."""
    return subprocess.run([*CLUSTER, sys.executable, "-B", __file__, str(build), *words]).returncode


def say(text):
    print(text, flush=True)


def record(build, chosen, folder, plan_of=lambda name: PLANS.get(name, Plan()), short=()):
    server = with_server(chosen) if "DATABASE_URL" not in os.environ else []
    load = results.header("", "", REPOSITORY)["load"]  # of others: ours comes after
    for name, one in collect(build, [name for name in chosen if name not in server], plan_of, say).items():
        head = results.header(name, "./dev bench --record", REPOSITORY)
        results.write(folder / f"{name}.json",
                      {**head, "load": load, "rows": one.rows_list(), "histograms": list(one.histograms())})
    if server:
        status = under_cluster(build, "record", "--into", str(folder), *short, *server)
        if status == SKIPPED:
            say("skipped: no PostgreSQL here")
        elif status:
            raise SystemExit(status)


# ---- instructions ----

def build_label(build):
    """Compiler, machine and build type, as CMake found them: what bench/CMakeLists.txt calls WEIR_BENCH_BUILD."""
    found = results.field(pathlib.Path(build) / "bench" / "build_label", "label")
    return found or "unknown"


def count(build, *words):
    here = REPOSITORY / "bench/instructions"
    return subprocess.run([sys.executable, "-B", here / "count.py", pathlib.Path(build) / "bench/instruction_pairs",
                           here / "budget", build_label(build), *words]).returncode


def record_instructions(build, folder):
    head = results.header("instructions", "./dev bench --record", REPOSITORY)  # before the budget changes
    with tempfile.TemporaryDirectory() as temporary:
        counted = pathlib.Path(temporary) / "counted.json"
        if count(build, "--record", "--json", str(counted)):
            return
        found = json.loads(counted.read_text())
    rows = [{"bench": "instructions", "case": word, "args": {}, "threads": 1, "metric": metric, "unit": "count",
             "better": "less", "values": [value]} for word, one in found.items() for metric, value in one.items()]
    results.write(folder / "instructions.json", {**head, "rows": rows, "histograms": []})


# ---- check ----

def compare(build, chosen, recorded, runs):
    """Measures the goals anew, shortly; those that are worse than recorded by more than their slack."""
    programs = {selector.split()[0] for goal in chosen for selector in goal.selectors()}
    with tempfile.TemporaryDirectory() as folder:
        record(build, sorted(programs & set(names(build))), pathlib.Path(folder),
               lambda name: SHORT._replace(runs=runs), ["--short", str(runs)])
        fresh = results.Results(folder)
    worse = []
    for goal in chosen:
        try:
            was, now = goal.measure(recorded), goal.measure(fresh)
        except LookupError as error:
            say(f"not compared: {goal.text}: {error}")
            continue
        if goal.is_worse(was, now):
            worse.append(goal)
        say(f"{'worse' if worse[-1:] == [goal] else 'ok':5s} {goal.text}: {now.median:.3g}, recorded "
            f"{was.median:.3g} ({was.least:.3g} to {was.most:.3g})")
    return worse


def check(build):
    """Whether a short run is about as good as what is recorded. What is worse is measured once more, for longer:
    the machine may have been busy."""
    recorded = results.Results(REPOSITORY / "bench/results")
    worse = compare(build, [g for g in goals.GOALS if g.above.split()[0] not in ELSEWHERE], recorded, 3)
    if worse:
        say("once more, what was worse:")
        worse = compare(build, worse, recorded, 7)
    regressed = [goal.text for goal in worse]
    if count(build) not in (0, SKIPPED):
        regressed.append("instructions of the warm pair")
    say("".join(f"regressed: {text}\n" for text in regressed) or "check: ok")
    return bool(regressed)


# ---- tables ----

def table(build, pattern):
    """The benches themselves, as they print."""
    def lists(name):
        return subprocess.run([program_of(build, name), "--benchmark_list_tests", f"--benchmark_filter={pattern}"],
                              capture_output=True, text=True,
                              env={"DATABASE_URL": "postgresql://nowhere", **os.environ}).stdout.strip()

    ran = False
    for name in names(build):
        by_file = pattern in f"{name}_bench"
        if not by_file and not lists(name):
            continue
        ran = True
        command = [str(program_of(build, name)), "--benchmark_counters_tabular=true"]
        command += [] if by_file else [f"--benchmark_filter={pattern}"]
        if with_server([name]) and "DATABASE_URL" not in os.environ:
            command = CLUSTER + command
        status = subprocess.run(command).returncode
        if status not in (0, SKIPPED):
            return status
    if not ran:
        raise SystemExit(f"no bench matches {pattern}")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("word", choices=("table", "record", "check"))
    parser.add_argument("names", nargs="*")
    parser.add_argument("--into", type=pathlib.Path, default=REPOSITORY / "build/results")
    parser.add_argument("--short", type=int, metavar="RUNS", help="record a short run, for check")
    options = parser.parse_intermixed_args()
    if options.word == "table":
        return table(options.build, options.names[0] if options.names else "")
    if options.word == "check":
        return check(options.build)
    unknown = set(options.names) - {*names(options.build), "instructions"}
    if unknown:
        raise SystemExit(f"no bench {', '.join(sorted(unknown))}; there are: {', '.join(names(options.build))}")
    chosen = [name for name in options.names or names(options.build) if name != "instructions"]
    if options.short:
        record(options.build, chosen, options.into, lambda name: SHORT._replace(runs=options.short),
               ["--short", str(options.short)])
    else:
        record(options.build, chosen, options.into)
    if not options.names or "instructions" in options.names:
        record_instructions(options.build, options.into)
    return 0


if __name__ == "__main__":
    sys.exit(main())
