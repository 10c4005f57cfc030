# SPDX-License-Identifier: BSD-2-Clause
"""docs/metrics.md is what src/report/metrics.def says.  metrics.py <repo> [--write]

The table of each scope has a row for each metric, by the name that its samples have in Prometheus' text; between the
tables is prose, which this leaves alone: what is between "<!-- begin SCOPE -->" and "<!-- end SCOPE -->" is generated.
What the rules and the dashboard in docs ask for has to be in the tables, too.
"""
import pathlib
import re
import sys

ROW = re.compile(r"^(VALUE|SET|TIMES)\((\w+), ((?:[^()\"]|\"(?:[^\"\\]|\\.)*\"|\((?:[^()]|\([^()]*\))*\))*)\)$", re.M | re.S)
UNIT = {"NONE": "", "SECONDS": "seconds", "BYTES": "bytes", "RATIO": "ratio"}
OWN = {"OTEL": ["db_client_connection_pool_name"], "POOL": ["host"], "HOST": ["host"], "ROUTER": [], "ALL": []}
TYPE = {"GAUGE": "gauge", "COUNTER": "counter", "STATES": "state set", "INFO": "info"}


def parts(text):
    """The arguments, at the commas outside of strings and brackets."""
    found, depth, quoted, at = [], 0, False, 0
    for i, c in enumerate(text):
        if c == '"' and text[i - 1] != "\\":
            quoted = not quoted
        elif not quoted and c in "([":
            depth += 1
        elif not quoted and c in ")]":
            depth -= 1
        elif c == "," and not quoted and not depth:
            found.append(text[at:i].strip())
            at = i + 1
    return found + [text[at:].strip()]


def words(literal):
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literal))


def metrics(text):
    """(scope, name as in Prometheus' text, type, unit, labels, help) of each row."""
    for kind, scope, rest in ROW.findall(re.sub(r"/\*.*?\*/", "", text, flags=re.S)):
        row = parts(rest)
        help_ = words(row[-1])
        if kind == "TIMES":
            yield scope, row[0], "histogram", "seconds", OWN[scope], help_
            continue
        name = row[1] + {"COUNTER": "_total", "INFO": "_info"}.get(row[0], "")
        more = words(row[2]).split(",") if kind == "SET" else []
        yield scope, name, TYPE[row[0]], "" if kind == "SET" else UNIT[row[2]], OWN[scope] + more, help_


def table(rows):
    lines = ["| metric | type | unit | labels | meaning |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| `{name}` | {type_} | {unit} | {', '.join(f'`{label}`' for label in labels)} | {help_} |"
              for _, name, type_, unit, labels, help_ in rows]
    return "\n".join(lines)


def asked_for(repo, names):
    """Metrics that rules or dashboards name and that nobody writes."""
    for file in sorted([*(repo / "docs").glob("*.yml"), *(repo / "docs").glob("*.json")]):
        for name in sorted(set(re.findall(r"\b(?:weir|db_client)_\w+", file.read_text()))):
            if not {name, re.sub(r"_(bucket|sum|count)$", "", name)} & names:
                yield f"{file.name} asks for {name}, which is no metric of weir's"


def main(repo, write=False):
    source, page = repo / "src/report/metrics.def", repo / "docs/metrics.md"
    was, rows, bad = page.read_text(), list(metrics(source.read_text())), []
    listed = len(re.findall(r"^(?:VALUE|SET|TIMES)\(", source.read_text(), re.M))
    if len(rows) != listed:
        bad.append(f"{source}: {listed} rows, of which {len(rows)} were understood")
    names = [row[1] for row in rows]
    bad += [f"{name} is listed twice" for name in sorted(set(names)) if names.count(name) > 1]
    now = was
    for scope in OWN:
        block = re.compile(rf"(<!-- begin {scope} -->\n).*?(<!-- end {scope} -->)", re.S)
        if not block.search(now):
            bad.append(f"{page.name} has no table of {scope}")
        mine = table([row for row in rows if row[0] == scope])
        now = block.sub(lambda m, mine=mine: m[1] + mine + "\n" + m[2], now)
    bad += asked_for(repo, set(names).union(*(row[4] for row in rows)))
    if write:
        page.write_text(now)
    elif now != was:
        bad.append("docs/metrics.md is not what src/report/metrics.def says: python3 tests/lint/metrics.py . --write")
    print("\n".join(bad) or f"metrics: ok ({len(rows)} metrics)")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), "--write" in sys.argv[2:]))
