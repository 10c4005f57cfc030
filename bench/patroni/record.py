#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""How long writes stop when Patroni changes the leader: runs pg.patroni so many rounds, into build/results/patroni.json.

record.py <build dir> <rounds>"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "bench/report"))
import results  # noqa: E402  (the path must be set first)

METRICS = {"stopped": "ns", "after": "ns", "reads": "ns", "failed": "count", "read_only": "count"}
THREADS = 8


def rows_of(lines):
    """A row for each case and metric, with a value for each round."""
    found = {}
    for line in lines:
        case, _, advised = line["case"].partition(", ")
        for metric, unit in METRICS.items():
            row = found.setdefault((case, advised, metric), {
                "bench": "patroni", "case": case.replace(" ", ""), "args": {"advised": int(bool(advised))},
                "threads": THREADS, "metric": metric, "unit": unit, "better": "less", "values": []})
            row["values"].append(round(line[f"{metric}_ms"] * 1e6) if unit == "ns" else line[metric])
    return list(found.values())


def main(build, rounds):
    with tempfile.TemporaryDirectory() as place:
        said = pathlib.Path(place) / "lines"
        environment = {**os.environ, "TEST_ROUNDS": rounds, "TEST_RESULTS": str(said),
                       "TEST_SOURCE_DIR": str(REPOSITORY)}
        one = results.header("patroni", "./dev failovers " + rounds, REPOSITORY)
        status = subprocess.run([f"{build}/tests/pg.patroni"], env=environment, check=False).returncode
        if status:
            return status
        one["rows"] = rows_of([json.loads(line) for line in said.read_text().splitlines()])
    path = REPOSITORY / "build/results/patroni.json"
    results.write(path, one)
    print(f"written: {path.relative_to(REPOSITORY)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
