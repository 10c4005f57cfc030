# SPDX-License-Identifier: BSD-2-Clause
"""Includes point down, never up or sideways, and never in a circle; and the fences.  floors.py <repo>

The fences: a library's headers are included in the one file that is the seam to it, base sees no
public header that knows of pools, and the program and the examples see only what is installed.
"""
import pathlib
import re
import sys

FLOORS = ["base", "stat config sql view", "core", "driver", "pool", "route", "exec", "report", "cli patroni http"]
RANK = {room: i for i, floor in enumerate(FLOORS) for room in floor.split()}
OUTSIDE = {"cli", "patroni", "http"}  # users of the library: the program, libweir-patroni, libweir-http
BASE_IS_BLIND_TO = {"weir/weir.h", "weir/pool.h", "weir/router.h", "weir/stats.h"}
FENCES = [
    (re.compile(r"libpq|pg_config|postgres_ext"), ("driver/libpq", "driver/fake_result", "exec/row", "cli/")),
    (re.compile(r"urcu"), ("base/rcu.h",)),
    (re.compile(r"jemalloc/"), ("base/alloc.c",)),
    (re.compile(r"^ini\.h"), ("config/file.c",)),
    (re.compile(r"jansson"), ("cli/", "patroni/view.c", "http/json.h")),
    (re.compile(r"curl/"), ("patroni/ask.c", "patroni/patroni.c")),
    (re.compile(r"microhttpd"), ("http/serve.c", "http/answer.c")),
]
INCLUDE = re.compile(r'\s*#\s*include\s+(["<])([^">]+)[">]')


def includes(file):
    for n, line in enumerate(file.read_text().splitlines(), 1):
        m = INCLUDE.match(line)
        if m:
            yield n, m[1] == '"', m[2]


def judge(me, quoted, what, src):
    """What is wrong with this include in src/<me>, or None."""
    room = me.split("/")[0]
    if not quoted:
        if room == "base" and what in BASE_IS_BLIND_TO:
            return f"base knows nothing of <{what}>"
        for pattern, homes in FENCES:
            if pattern.search(what) and not me.startswith(homes):
                return f"<{what}> belongs in {' and '.join(homes)} only"
        return None
    if what.startswith("weir/"):
        return f'public headers are included as <{what}>'
    there = what.split("/")[0]
    if there not in RANK:
        return f'"{what}" does not name a room: write "room/file.h"'
    if not (src / what).is_file():
        return f'"{what}" does not exist'
    if there != room and {room, there} & OUTSIDE:
        return f"{room} may not include {what}: the program sees only <weir/...>, and nobody sees the program"
    if RANK[there] > RANK[room]:
        return f"{room} may not include {what}: it is a floor above"
    if RANK[there] == RANK[room] and there != room:
        return f"{room} may not include {what}: a neighbour on the same floor"
    return None


def circles(edges):
    """Each circle once, as the list of its files."""
    done, found = set(), []

    def walk(file, trail):
        if file in trail:
            found.append(trail[trail.index(file):] + [file])
            return
        if file in done:
            return
        for there in edges.get(file, []):
            walk(there, trail + [file])
        done.add(file)

    for file in edges:
        walk(file, [])
    return found


def main(repo):
    src, bad, edges = repo / "src", [], {}
    for file in sorted(src.rglob("*.[ch]")):
        me = str(file.relative_to(src))
        if me.split("/")[0] not in RANK:
            bad.append(f"src/{me}: not in a room; the rooms are {', '.join(RANK)}")
            continue
        edges[me] = []
        for n, quoted, what in includes(file):
            if quoted:
                edges[me].append(what)
            wrong = judge(me, quoted, what, src)
            if wrong:
                bad.append(f"src/{me}:{n}: {wrong}")
    for file in sorted((repo / "include").rglob("*.h")):
        me = str(file.relative_to(repo / "include"))
        edges[me] = []
        for n, quoted, what in includes(file):
            edges[me].append(what)
            if quoted or not re.match(r"weir/|std\w+\.h$", what):
                bad.append(f"include/{me}:{n}: a public header includes only <std....h> and <weir/...>, not {what}")
    for file in sorted((repo / "examples").rglob("*.c")):
        for n, quoted, what in includes(file):
            if quoted:
                bad.append(f"examples/{file.name}:{n}: an example includes only what is installed, not {what}")
    bad += ["circle: " + " -> ".join(c) for c in circles(edges)]
    print("\n".join(bad) or f"floors: ok ({len(edges)} files)")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
