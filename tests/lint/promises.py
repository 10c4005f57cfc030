# SPDX-License-Identifier: BSD-2-Clause
"""Every promise of docs/promises.md is shown by tests that exist.  promises.py <repo>

Its table has the rows 1 to 42. A row names tests in backticks in its third column, as ctest does, or says where it is
open. Those of a connection's life, 11 to 26 and 36 to 41, have a test of their own in tests/promises; and whatever is
in tests/promises has its row. Lessons.md is a table of the same kind with the rows B1 to B33; functions of tests that its
last column names in backticks stand in one of the row's tests.
"""
import pathlib
import re
import sys

TABLE = "docs/promises.md"
LESSONS = "docs/lessons.md"
ALL = range(1, 43)
OWN = [*range(11, 27), *range(36, 42)]

ROW = re.compile(r"\|\s*(\d+)\s*\|([^|]*)\|([^|]*)\|([^|]*)\|$")
LESSON = re.compile(r"\|\s*B(\d+)\s*\|([^|]*)\|([^|]*)\|([^|]*)\|$")
FUNCTION = re.compile(r"`(\w+_\w+)`")
NAME = re.compile(r"`([a-z_]+\.[^`]+)`")
SOURCE = re.compile(r"p(\d\d)_(\w+)_test\.(c|py|sh)$")


def file_of(name):
    """Where the source of a test of that name would be, without its ending."""
    kind, rest = name.split(".", 1)
    if kind == "unit":
        return "tests/unit/" + rest.replace(".", "/", 1) + "_test"
    if kind == "promise":
        return f"tests/promises/p{rest}_test"
    if kind == "model":
        return f"tests/model/{rest}"
    if kind == "sandbox":
        return file_of(rest.split(".", 1)[1]) if "." in rest else "nowhere"
    return f"tests/{kind}/{rest}_test"


def sources_of(repo, name):
    where = repo / file_of(name)
    candidates = [where.with_name(where.name + ending) for ending in (".c", ".py", ".sh", ".pml")]
    return [file for file in candidates if file.is_file()]


def exists(repo, name):
    return bool(sources_of(repo, name))


def rows_of(repo):
    """number -> (line, tests, what the cell says)"""
    rows, bad = {}, []
    for n, line in enumerate((repo / TABLE).read_text().splitlines(), 1):
        m = ROW.match(line)
        if not m:
            continue
        number = int(m[1])
        if number in rows:
            bad.append(f"{TABLE}:{n}: a second row of promise {number}")
        rows[number] = (n, NAME.findall(m[3]), m[3])
    return rows, bad


def judge_row(repo, number, row):
    n, tests, says = row
    bad = [f"{TABLE}:{n}: there is no test {test}" for test in tests if not exists(repo, test)]
    bad += [f"{TABLE}:{n}: {test} is of another promise than {number}" for test in tests
            if test.startswith("promise.") and not test.startswith(f"promise.{number:02}_")]
    own = any(test.startswith("promise.") for test in tests)
    if number in OWN and not own:
        bad.append(f"{TABLE}:{n}: promise {number} has no test of its own")
    elif not tests and "open" not in says:
        bad.append(f"{TABLE}:{n}: promise {number} has no test")
    return bad


def judge_lessons(repo):
    """Complaints about the table of lessons."""
    rows, bad = {}, []
    for n, line in enumerate((repo / LESSONS).read_text().splitlines(), 1):
        m = LESSON.match(line)
        if not m:
            continue
        tests = NAME.findall(m[3])
        if int(m[1]) in rows:
            bad.append(f"{LESSONS}:{n}: a second row of lesson B{m[1]}")
        rows[int(m[1])] = n
        bad += [f"{LESSONS}:{n}: there is no test {test}" for test in tests if not exists(repo, test)]
        if not tests and "open" not in m[3]:
            bad.append(f"{LESSONS}:{n}: lesson B{m[1]} has no test")
        text = "".join(file.read_text() for test in tests for file in sources_of(repo, test))
        bad += [f"{LESSONS}:{n}: no test of that row has {function}" for function in FUNCTION.findall(m[4])
                if tests and not re.search(rf"\b{function}\b", text)]
    return bad + [f"{LESSONS}: lesson B{number} has no row" for number in range(1, 34) if number not in rows]


def main(repo):
    rows, bad = rows_of(repo)
    bad += [f"{TABLE}: promise {number} has no row" for number in ALL if number not in rows]
    for number, row in sorted(rows.items()):
        bad += judge_row(repo, number, row)
    named = {test for _, tests, _ in rows.values() for test in tests}
    for file in sorted((repo / "tests/promises").glob("*_test.*")):
        m = SOURCE.match(file.name)
        if not m:
            bad.append(f"{file.relative_to(repo)}: is not named p<NN>_<words>_test")
        elif f"promise.{m[1]}_{m[2]}" not in named:
            bad.append(f"{file.relative_to(repo)}: promise.{m[1]}_{m[2]} is in no row of {TABLE}")
    bad += judge_lessons(repo)
    print("\n".join(bad) or f"promises: ok ({len(named)} tests)")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
