# SPDX-License-Identifier: BSD-2-Clause
"""Each text that a mutation takes out of the library is still there.  mutations.py <repo>

The long tables run by hand, so nobody would hear that one of their rows cannot be tried any more. In a row of
tests/check/mutations.py and tests/sched/mutations.py the third is a text of the file below src that the second names.
"""
import pathlib
import runpy
import sys

TABLES = ["tests/check/mutations.py", "tests/sched/mutations.py"]


def rows_of(repo):
    for table in TABLES:
        for row in runpy.run_path(str(repo / table))["TABLE"]:
            yield table, row[0], row[1], row[2], row[3]


def main(repo):
    n, bad = 0, []
    for n, (table, name, file, old, new) in enumerate(rows_of(repo), 1):
        source = repo / "src" / file
        times = source.read_text().count(old) if source.is_file() else 0
        if times != 1:
            bad.append(f"{table}: {name}: its text occurs {times} times in {file}")
        if old == new:
            bad.append(f"{table}: {name}: takes nothing away")
    print("\n".join(bad) or f"mutations: ok ({n} rows)")
    return bool(bad) or not n


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
