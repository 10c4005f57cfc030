# SPDX-License-Identifier: BSD-2-Clause
"""A lint that never complains proves nothing: each is fed a small broken tree and must say so.

selftest.py <tests/lint> <cc> <c++>
"""
import pathlib
import subprocess
import sys
import tempfile

SPDX = "/* SPDX-License-Identifier: BSD-2-Clause */\n"

METRIC = 'VALUE(POOL, COUNTER, weir_x, NONE, s->x,\n      "Xs.")\n'
EMPTY = "| metric | type | unit | labels | meaning |\n| --- | --- | --- | --- | --- |\n"
METRICS = "".join(f"<!-- begin {scope} -->\n{EMPTY}" + ("| `weir_x_total` | counter |  | `host` | Xs. |\n" if scope == "POOL" else "")
                  + f"<!-- end {scope} -->\n" for scope in ("OTEL", "POOL", "HOST", "ROUTER", "ALL"))


def mutated(old, new):
    """A file, and a table that replaces a text of it."""
    row = f'TABLE = [("it", "core/a.c", "{old}", "{new}", "")]\n'
    return {"src/core/a.c": "take one;\n", "tests/check/mutations.py": row, "tests/sched/mutations.py": "TABLE = []\n"}


# lint, what is wrong, files of the tree, a piece of what it must say (None: it must be content)
TREES = [
    ("floors", "nothing", {"src/base/a.h": "", "src/core/b.c": '#include "base/a.h"\n'}, None),
    ("floors", "up", {"src/base/a.c": '#include "core/b.h"\n', "src/core/b.h": ""}, "a floor above"),
    ("floors", "sideways", {"src/stat/a.c": '#include "config/b.h"\n', "src/config/b.h": ""}, "same floor"),
    ("floors", "the program looks inside", {"src/cli/a.c": '#include "pool/b.h"\n', "src/pool/b.h": ""}, "sees only"),
    ("floors", "libweir-patroni looks inside", {"src/patroni/a.c": '#include "pool/b.h"\n', "src/pool/b.h": ""}, "sees only"),
    ("floors", "curl outside its library", {"src/pool/a.c": "#include <curl/curl.h>\n"}, "belongs in"),
    ("floors", "a circle", {"src/core/a.h": '#include "core/b.h"\n', "src/core/b.h": '#include "core/c.h"\n',
                            "src/core/c.h": '#include "core/a.h"\n'},
     "circle: core/a.h -> core/b.h -> core/c.h -> core/a.h"),
    ("floors", "libpq outside its file", {"src/pool/a.c": "#include <libpq-fe.h>\n"}, "belongs in"),
    ("floors", "libpq by way of its folder", {"src/pool/a.c": "#include <postgresql/libpq-fe.h>\n"}, "belongs in"),
    ("floors", "libpq in its file", {"src/driver/libpq.c": "#include <libpq-fe.h>\n"}, None),
    ("floors", "liburcu outside its file", {"src/core/a.c": "#include <urcu/urcu-bp.h>\n"}, "belongs in"),
    ("floors", "jemalloc outside its file", {"src/pool/a.c": "#include <jemalloc/jemalloc.h>\n"}, "belongs in"),
    ("floors", "base knows pools", {"src/base/a.c": "#include <weir/pool.h>\n"}, "knows nothing"),
    ("floors", "no room", {"src/base/a.c": '#include "a.h"\n', "src/base/a.h": ""}, "does not name a room"),
    ("floors", "a file in no room", {"src/attic/a.c": ""}, "not in a room"),
    ("floors", "a missing file", {"src/core/a.c": '#include "core/gone.h"\n'}, "does not exist"),
    ("floors", "a public header with a secret", {"include/weir/a.h": "#include <libpq-fe.h>\n"}, "a public header"),
    ("floors", "an example looks inside", {"examples/a.c": '#include "core/b.h"\n'}, "an example"),
    ("orderings", "nothing", {"src/core/a.c": "/* [list:R1] shows; pairs with A1. */\nwi_store_rel(&x, 1);\n"
                              "/* [list:A1] sees; pairs with\n * R1. */\nwi_load_acq(&x);\n"}, None),
    ("orderings", "a label without a partner",
     {"src/core/a.c": "/* [list:R1] shows; pairs with A1 */\n/* [list:A1] sees */\n"}, "[list:R1] is named by no"),
    ("orderings", "a partner that is not there", {"src/core/a.c": "/* [list:R1] shows; pairs with A7 */\n"},
     "[list:A7] does not exist"),
    ("orderings", "a second partner that is not there",
     {"src/core/a.c": "/* [l:R1] x; pairs with A1 and A2 */\n/* [l:A1] y; pairs with R1 */\n"}, "[l:A2] does not exist"),
    ("orderings", "an acquire without a label", {"src/core/a.c": "int x = wi_load_acq(&y);\n"}, "without a label"),
    ("orderings", "a bare order", {"src/core/a.c": "atomic_load_explicit(&x, memory_order_relaxed);\n"}, "base/atomic.h"),
    ("orderings", "a hidden order", {"src/core/a.c": "atomic_fetch_add(&x, 1);\n"}, "base/atomic.h"),
    ("words", "nothing", {"src/a.c": SPDX + "int toes; /* mktemp: XXXXXX */\n"}, None),
    ("words", "unfinished", {"src/a.c": SPDX + "/* " + "TO" "DO: more */\n"}, "src/a.c:2: TO" "DO"),
    ("words", "a machine", {"README.md": "see /ro" "ot/notes\n"}, "README.md:1"),
    ("words", "no licence", {"src/a.c": "int a;\n"}, "no line SPDX"),
    ("words", "no licence in a script", {"run": "#!/bin/sh\necho\n"}, "no line SPDX"),
    ("points", "nothing", {"src/core/a.c": 'WI_YIELD("a.b");\n', "tests/support/points.h": 'X("a.b")\n'}, None),
    ("points", "not listed", {"src/core/a.c": 'WI_YIELD("a.b");\nWI_YIELD("a.c");\n',
                              "tests/support/points.h": 'X("a.b")\n'}, "a.c:2: a.c: not in"),
    ("points", "listed and gone", {"src/core/a.c": 'WI_YIELD("a.b");\n',
                                   "tests/support/points.h": 'X("a.b")\nX("a.c")\n'}, "a.c: marked nowhere"),
    ("points", "marked twice", {"src/core/a.c": 'WI_YIELD("a.b");\n', "src/core/b.c": 'WI_YIELD("a.b");\n',
                                "tests/support/points.h": 'X("a.b")\n'}, "a.b: marked twice"),
    ("mutations", "nothing", mutated("take", "leave"), None),
    ("mutations", "the text is gone", mutated("took", "leave"), "it: its text occurs 0 times in core/a.c"),
    ("mutations", "the text is there twice", mutated("e", ""), "it: its text occurs 2 times in core/a.c"),
    ("mutations", "nothing is taken away", mutated("take", "take"), "it: takes nothing away"),
    ("metrics", "nothing", {"src/report/metrics.def": METRIC, "docs/metrics.md": METRICS,
                            "docs/a.yml": "rate(weir_x_total[5m])"}, None),
    ("metrics", "another meaning", {"src/report/metrics.def": METRIC.replace("Xs", "Ys"), "docs/metrics.md": METRICS},
     "is not what"),
    ("metrics", "a row that is not understood", {"src/report/metrics.def": METRIC + "SET(POOL, GAUGE\n",
                                                 "docs/metrics.md": METRICS}, "2 rows, of which 1"),
    ("metrics", "a rule about nothing", {"src/report/metrics.def": METRIC, "docs/metrics.md": METRICS,
                                         "docs/a.yml": "rate(weir_y_total[5m])"}, "asks for weir_y_total"),
    ("promises", "nothing", {}, None),
    ("promises", "a promise without a row", {12: None}, "promise 12 has no row"),
    ("promises", "a row twice", {13: "| 13 | | `promise.13_x` | |\n| 13 | | `promise.13_x` | |"}, "a second row of promise 13"),
    ("promises", "a row without a test", {3: "| 3 | | | |"}, "promise 3 has no test"),
    ("promises", "an open row", {3: "| 3 | | open: issue 5 | |"}, None),
    ("promises", "a row without a test of its own", {14: "| 14 | | `sim.a` | |"}, "promise 14 has no test of its own"),
    ("promises", "a test that is gone", {15: "| 15 | | `promise.15_x`, `unit.core.b` | |"}, "there is no test unit.core.b"),
    ("promises", "another's test", {16: "| 16 | | `promise.16_x`, `promise.17_x` | |"}, "is of another promise"),
    ("promises", "a test without a row", {"tests/promises/p18_y_test.py": ""}, "p18_y_test.py: promise.18_y is in no row"),
    ("promises", "a misnamed test", {"tests/promises/y_test.c": ""}, "is not named"),
    ("promises", "a lesson without a row", {"B7": None}, "lesson B7 has no row"),
    ("promises", "a lesson without a test", {"B8": "| B8 | trap | | |"}, "lesson B8 has no test"),
    ("promises", "an open lesson", {"B8": "| B8 | trap | open | |"}, None),
    ("promises", "a lesson's test that is gone", {"B9": "| B9 | trap | `sim.b` | |"}, "there is no test sim.b"),
    ("promises", "a lesson's function that is gone", {"B9": "| B9 | trap | `sim.a` | `it_held` |"}, "no test of that row has it_held"),
    ("comments", "nothing", {"a.c": "/* short */\nint a; /* " + "x" * 80 + " */\n"}, None),
    ("comments", "too long", {"a.c": "/* " + "word " * 25 + "*/\n"}, "a.c:1"),
    ("comments", "too long behind code", {"a.c": "\tint a;\n\tint b; /* " + "word " * 20 + "*/\n"}, "a.c:2"),
    ("comments", "too long in a block", {"a.c": "/*\n * short\n * " + "word " * 25 + "\n */\n"}, "a.c:3"),
    ("headers", "nothing", {"include/weir/a.h": "#include <stddef.h>\nsize_t f(void);\n"}, None),
    ("headers", "needs another", {"include/weir/a.h": "size_t f(void);\n"}, "weir/a.h as c11"),
    ("headers", "not C++", {"include/weir/a.h": "int f(int class);\n"}, "weir/a.h as c++17"),
    ("headers", "no guard", {"include/weir/a.h": "struct a { int b; };\n"}, "weir/a.h as c11"),
]

HEADER = '#define WEIR_API __attribute__((visibility("default")))\nWEIR_API int weir_a(void);\nWEIR_API\nint weir_b(int);\n'
SOURCE = "#include <weir/a.h>\nint weir_a(void) { return 1; }\nint weir_b(int x) { return x; }\n"
MAP = "WEIR_0.1 {\nglobal:\n\tweir_a;\n\tweir_b;\nlocal:\n\t*;\n};\n"
LIBRARIES = [
    ("nothing", HEADER, SOURCE, MAP, None),
    ("a header's name is not in the map", HEADER + "WEIR_API int weir_c(void);\n", SOURCE, MAP, "the map does not list"),
    ("the map has a name of no header", HEADER, SOURCE + "int weir_c;\n", MAP.replace("local", "weir_c;\nlocal"), "no header"),
    ("a name that the library lacks", HEADER, SOURCE.replace("int weir_b", "static inline int weir_z"), MAP, "does not have it"),
    ("the library shows more", HEADER, SOURCE + "int wi_secret;\n", None, "shown by the library"),
    ("a library that exits", HEADER, SOURCE + "#include <stdlib.h>\nvoid wi_x(void) { exit(1); }\n", MAP, "calls exit"),
    ("a library that aborts", HEADER, SOURCE + "#include <stdlib.h>\nvoid wi_x(void) { abort(); }\n", MAP, "calls abort"),
    ("a library that prints", HEADER, SOURCE + '#include <stdio.h>\nvoid wi_x(int i) { printf("%d", i); }\n', MAP, "calls printf"),
    ("a library that logs", HEADER, SOURCE + '#include <stdio.h>\nvoid wi_x(int i) { fprintf(stderr, "%d", i); }\n', MAP, "calls stderr"),
]


def table(rows):
    return "\n".join(row for row in rows.values() if row) + "\n"


def promised(changes):
    """Good tables of promises and lessons with their tests, but for the changes: a row by its number, a file by its name."""
    rows = {n: f"| {n} | | `sim.a` | |" if n < 11 or 26 < n < 36 or n > 41 else f"| {n} | | `promise.{n}_x` | |" for n in range(1, 43)}
    files = {f"tests/promises/p{n}_x_test.c": "" for n in rows if "promise" in rows[n]}
    lessons = {f"B{n}": f"| B{n} | trap | `sim.a` | `it_holds` |" for n in range(1, 34)}
    rows.update({n: row for n, row in changes.items() if isinstance(n, int)})
    lessons.update({name: row for name, row in changes.items() if name in lessons})
    files.update({name: text for name, text in changes.items() if isinstance(name, str) and name not in lessons})
    return {**files, "tests/sim/a_test.c": "it_holds", "docs/promises.md": table(rows), "docs/lessons.md": table(lessons)}


def write(tree, files):
    for name, text in files.items():
        file = tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def run(lint, *arguments):
    return subprocess.run([sys.executable, "-B", str(lint), *map(str, arguments)], capture_output=True, text=True)


def verdict(name, wrong, done, must_say):
    """What is amiss with the lint's answer, or None."""
    if must_say is None and done.returncode:
        return f"{name} complains of a good tree ({wrong}):\n{done.stdout}{done.stderr}"
    if must_say is not None and (done.returncode != 1 or must_say not in done.stdout or "Traceback" in done.stderr):
        return f"{name} does not see this: {wrong}; it says:\n{done.stdout}{done.stderr}"
    return None


def judge_tree(lints, compilers, name, wrong, files, must_say):
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        write(tree, promised(files) if name == "promises" else files)
        arguments = {"headers": (tree / "include", *compilers), "comments": (tree / "a.c",)}.get(name, (tree,))
        return verdict(name, wrong, run(lints / f"{name}.py", *arguments), must_say)


def judge_library(lints, cc, wrong, header, source, version_map, must_say):
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        write(tree, {"include/weir/a.h": header, "a.c": source, "a.map": version_map or MAP})
        script = [f"-Wl,--version-script={tree}/a.map", "-fvisibility=hidden"] if version_map else []
        subprocess.run([cc, "-fPIC", "-c", "-I", tree / "include", *script[1:], tree / "a.c", "-o", tree / "a.o"], check=True)
        subprocess.run(["ar", "rc", tree / "liba.a", tree / "a.o"], check=True)
        subprocess.run([cc, "-shared", *script[:1], tree / "a.o", "-o", tree / "liba.so"], check=True)
        done = run(lints / "symbols.py", tree / "liba.so", tree / "liba.a", tree / "a.map", tree / "include")
        return verdict("symbols", wrong, done, must_say)


def main(lints, cc, cxx):
    lints = pathlib.Path(lints)
    amiss = [judge_tree(lints, (cc, cxx), *tree) for tree in TREES]
    amiss += [judge_library(lints, cc, *library) for library in LIBRARIES]
    bad = [a for a in amiss if a]
    print("\n".join(bad) or f"selftest: ok ({len(amiss)} trees)")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
