# SPDX-License-Identifier: BSD-2-Clause
"""Result files: what was measured, on what machine, value by value; and ratios of them.

A file is one JSON object: format, name, command, commit, date, machine, notes, rows, histograms. A
row is one number of one case: bench, case, args, threads, metric, unit, better ("more" or "less"),
and values, one for each repetition in order (null: that one said nothing; or skipped: why). Value i of all rows of a file comes
from the same run i, so a ratio is taken run by run and only then put in order: what slows the whole
machine down for a while slows both.
"""
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess

FORMAT = 1
MANY = 15


# ---- numbers ----

@dataclasses.dataclass(frozen=True)
class Spread:
    """A median with the least and the most that was seen; of 15 values and more, the middle half."""
    median: float
    least: float
    most: float
    unit: str = "1"

    @classmethod
    def of(cls, values, unit="1"):
        values = [value for value in values if value is not None]
        if not values:
            raise LookupError("no value in any run")
        if len(values) >= MANY:
            low, middle, high = statistics.quantiles(values, n=4)
            return cls(middle, low, high, unit)
        return cls(statistics.median(values), min(values), max(values), unit)


def ratio(a, b):
    """Of two rows, run by run."""
    pairs = [(x, y) for x, y in zip(a["values"], b["values"]) if y and x is not None]
    if not pairs:
        raise LookupError(f"nothing to divide: {a['case']} {a['metric']} by {b['case']} {b['metric']}")
    return Spread.of([x / y for x, y in pairs])


# ---- files ----

class Results:
    """All result files of a folder."""

    def __init__(self, folder):
        self.files = {}
        for path in sorted(pathlib.Path(folder).glob("*.json")):
            one = json.loads(path.read_text())
            if one.get("format") != FORMAT:
                raise SystemExit(f"{path}: format {one.get('format')}, this reads {FORMAT}")
            self.files[one["name"]] = one

    def row(self, selector):
        """The one row that 'FILE CASE [ARG=VALUE]... METRIC' selects."""
        name, case, *rest, metric = selector.split()
        wanted = dict(word.split("=") for word in rest)
        found = [row for row in self.files.get(name, {"rows": []})["rows"]
                 if row["case"] == case and row["metric"] == metric
                 and all(wanted.get(key) == str(value) for key, value in row["args"].items())
                 and wanted.keys() <= {*row["args"], "threads"}
                 and wanted.get("threads", str(row["threads"])) == str(row["threads"])]
        if len(found) != 1:
            raise LookupError(f"{len(found)} rows for: {selector}")
        if "values" not in found[0]:
            raise LookupError(f"skipped, {found[0].get('skipped')}: {selector}")
        return found[0]

    def value(self, selector):
        row = self.row(selector)
        return Spread.of(row["values"], row["unit"])

    def ratio(self, above, below):
        return ratio(self.row(above), self.row(below))

    def quantiles(self, selector):
        """[[share, value], ...] of the one histogram that 'FILE CASE [ARG=VALUE]... METRIC' selects."""
        name, case, *rest, metric = selector.split()
        wanted = dict(word.split("=") for word in rest)
        for one in self.files.get(name, {}).get("histograms", []):
            arguments = {**{k: str(v) for k, v in one["args"].items()}, "threads": str(one["threads"])}
            if one["case"] == case and one["metric"] == metric and wanted.items() <= arguments.items():
                return one["quantiles"]
        raise LookupError(f"no histogram for: {selector}")


def write(path, one):
    """With a row to a line, so that two versions can be compared."""
    lines = []
    for key, value in one.items():
        if isinstance(value, list) and value:
            inner = ",\n  ".join(json.dumps(item) for item in value)
            lines.append(f" {json.dumps(key)}: [\n  {inner}\n ]")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value)}")
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


# ---- where and when ----

def said(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def field(path, name):
    try:
        found = re.search(rf"^{name}\s*[:=]\s*\"?([^\"\n]*)", pathlib.Path(path).read_text(), re.M)
    except OSError:
        found = None
    return found[1].strip() if found else ""


def machine():
    """What a reader needs to know of it, and no more."""
    kib = field("/proc/meminfo", "MemTotal").split()
    flags = field("/proc/cpuinfo", "flags").split()
    return {
        "cpu": field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": os.cpu_count(),
        "virtual": "hypervisor" in flags,
        "memory_gib": round(int(kib[0]) / 2**20) if kib else None,
        "kernel": "Linux " + ".".join(re.findall(r"\d+", platform.release())[:2]),
        "system": field("/etc/os-release", "PRETTY_NAME"),
        "compiler": "gcc " + said("gcc", "-dumpfullversion"),
    }


def header(name, command, repository):
    git = ("git", "-C", str(repository))
    dirty = said(*git, "status", "--porcelain", "--untracked-files=no")
    return {
        "format": FORMAT,
        "name": name,
        "command": command,
        "commit": (said(*git, "rev-parse", "--short", "HEAD") or "unknown") + ("+changes" if dirty else ""),
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "load": round(os.getloadavg()[0], 1),
        "notes": [],
    }
