# SPDX-License-Identifier: BSD-2-Clause
"""Every marked window of the core is one that a thread is stopped in by the tests.  points.py <repo>

The names in WI_YIELD("...") below src/core and those in tests/support/points.h are the same, each there once.
"""
import pathlib
import re
import sys

MARKED = re.compile(r'\bWI_YIELD\("([^"]*)"\)')
LISTED = re.compile(r'\bX\("([^"]*)"\)')


def main(repo):
    marked, listed, bad = {}, {}, []
    for file in sorted((repo / "src/core").rglob("*.[ch]")):
        for n, line in enumerate(file.read_text().splitlines(), 1):
            for name in MARKED.findall(line):
                where = f"{file.relative_to(repo)}:{n}"
                if name in marked:
                    bad.append(f"{where}: {name}: marked twice, also at {marked[name]}")
                marked.setdefault(name, where)
    table = repo / "tests/support/points.h"
    for n, line in enumerate(table.read_text().splitlines(), 1):
        for name in LISTED.findall(line):
            if name in listed:
                bad.append(f"{table.relative_to(repo)}:{n}: {name}: listed twice")
            listed[name] = f"{table.relative_to(repo)}:{n}"
    bad += [f"{where}: {name}: not in tests/support/points.h" for name, where in marked.items() if name not in listed]
    bad += [f"{where}: {name}: marked nowhere in src/core" for name, where in listed.items() if name not in marked]
    print("\n".join(bad) or f"points: ok ({len(marked)} windows)")
    return bool(bad) or not marked


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
