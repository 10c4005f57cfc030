#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Makes PERFORMANCE.md and docs/charts out of bench/results.

render.py [--take]    writes them; with --take, first copies what was measured last (build/results)
render.py --check     says whether they are what it would write, and complains of goals without words

Templates: PERFORMANCE.in.md, where <<...>> is a Python expression of the words of tables.py (no figure stands in
it); limits.md, a section for each goal that is not reached; peers.md, a section for each comparison. limits.md and
peers.md may use <<...>>, too."""
import argparse
import pathlib
import re
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path.insert(0, str(HERE))
import charts  # noqa: E402  (the path must be set first)
import results  # noqa: E402
import tables  # noqa: E402

EXPRESSION = re.compile(r"<<(.*?)>>", re.S)


def sections(path, level="## "):
    """{heading: text below it} of a file of words; missing: none."""
    found = {}
    for part in re.split(rf"^(?={level})", path.read_text() if path.exists() else "", flags=re.M)[1:]:
        heading, _, text = part.partition("\n")
        found[heading[len(level):].strip()] = text.strip()
    return found


def peers_words(path):
    """{bench: words with a heading, bench/case: words on a peer that is ahead, shown where it is}."""
    found = {}
    for bench, text in sections(path).items():
        title, *ahead = re.split(r"^### ahead: ", text, flags=re.M)
        found[bench] = f"### {bench}\n\n{title.strip()}"
        for part in ahead:
            case, _, why = part.partition("\n")
            found[f"{bench}/{case.strip()}"] = why.strip()
    return found


def fill(text, words):
    return EXPRESSION.sub(lambda m: str(eval(m[1].strip(), {"__builtins__": {}}, words)), text)


def figures(text):
    """Measured numbers that somebody typed into a template, where only the script may: by the units they have."""
    typed = re.compile(r"(?<![\w.])\d+(?:\.\d+)? ?(?:ns|times|k/s|M/s)(?!\w)")
    return typed.findall(EXPRESSION.sub("", text))


def report(repository):
    """({path: text}, complaints)"""
    found = results.Results(repository / "bench/results")
    here = repository / "bench/report"
    made = tables.Tables(found, sections(here / "limits.md"), peers_words(here / "peers.md"))
    words = {name: getattr(made, name) for name in dir(made) if not name.startswith("_")}
    template = (here / "PERFORMANCE.in.md").read_text()
    made.complaints += [f"PERFORMANCE.in.md: typed by hand: {one}" for one in figures(template)]
    text = fill(template, words)
    text = fill(text, words)  # limits and peers may have expressions of their own
    drawn = charts.all_of(found)
    files = {repository / "docs/charts" / f"{name}.svg": one for name, one in drawn.items()}
    missing = [name for name in re.findall(r"docs/charts/(\w+)\.svg", text) if name not in drawn]
    made.complaints += [f"no chart {name}" for name in missing]
    return {repository / "PERFORMANCE.md": text, **files}, made.complaints


def take(repository):
    for path in sorted((repository / "build/results").glob("*.json")):
        if "-" in path.name:  # a quick or partial one
            continue
        shutil.copy(path, repository / "bench/results" / path.name)
        print(f"taken: {path.name}")


def check(files, repository):
    wrong = [f"{path.relative_to(repository)} is not what ./dev perf makes of bench/results"
             for path, text in files.items() if not path.exists() or path.read_text() != text]
    left = {path for path in (repository / "docs/charts").glob("*.svg")} - files.keys()
    return wrong + [f"{path.relative_to(repository)}: nothing makes it" for path in sorted(left)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--take", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--repository", type=pathlib.Path, default=REPOSITORY)
    options = parser.parse_args()
    if options.take:
        take(options.repository)
    files, wrong = report(options.repository)
    if options.check:
        wrong += check(files, options.repository)
    else:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"written: {path.relative_to(options.repository)}")
    print("\n".join(wrong) or "performance: ok")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
