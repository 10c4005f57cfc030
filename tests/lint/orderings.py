# SPDX-License-Identifier: BSD-2-Clause
"""Every ordering label [area:R1] has a partner that names it.  orderings.py <repo>

A comment that says "[area:R1] ... pairs with A1 A2" makes the label R1 and names A1 and A2 as its partners. Each
label is named by a partner, each named partner exists, each acquire and release in base and core carries a label, and
memory orders have names in base/atomic.h only. The program is a user of weir and does as it likes.
"""
import pathlib
import re
import sys

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
LABEL = re.compile(r"\[(\w+):([A-Z]\d+)\]")
ONE = r"(?:\[\w+:[A-Z]\d+\]|[A-Z]\d+)"
PAIRS = re.compile(rf"pairs\s+with\s+({ONE}(?:(?:\s*,\s*|\s+and\s+|\s+){ONE})*)")
ORDERED = re.compile(r"\bwi_(?:load|store|swap|add|sub|or|and|cas)_(?:acq_rel|acq|rel)\s*\(")
RAW = re.compile(r"\bmemory_order_\w+|\batomic_(?!init\b|bool|u?int|flag_clear)[a-z]\w*\s*\(|\b__(?:atomic|sync)_\w+")
HOMES = {"src/base/atomic.h", "src/base/world.c"}  # where orders get their names, and where fences are made
STRICT = ("src/base/", "src/core/")
NEAR = 8  # lines: a label stands on the line of its operation or in a comment this close above it


def plain(comment):
    return re.sub(r"\s*\n\s*\*?\s*", " ", comment)


def main(repo):
    made, named, bad, operations = {}, {}, [], 0
    for file in sorted((repo / "src").rglob("*.[ch]")):
        me, text = str(file.relative_to(repo)), file.read_text()
        if me.startswith(("src/cli/", "src/patroni/", "src/http/")):
            continue
        labelled = set()
        for m in COMMENT.finditer(text):
            comment = plain(m[0])
            line = text.count("\n", 0, m.start()) + 1
            partners = [p for pairs in PAIRS.finditer(comment) for p in re.findall(ONE, pairs[1])]
            mine = [] if me in HOMES else LABEL.findall(PAIRS.sub("", comment))
            for area, label in mine:
                made.setdefault((area, label), f"{me}:{line}")
                for p in partners:
                    there = LABEL.match(p)
                    named.setdefault(there.groups() if there else (area, p), f"{me}:{line}")
            if mine:
                labelled.update(range(line, line + m[0].count("\n") + 1))
        if me in HOMES:
            continue
        code = COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
        for n, line in enumerate(code.splitlines(), 1):
            for m in RAW.finditer(line):
                bad.append(f"{me}:{n}: {m[0].strip('( ')}: memory orders have their names in base/atomic.h only")
            if ORDERED.search(line):
                operations += 1
                if me.startswith(STRICT) and not labelled.intersection(range(n - NEAR, n + 1)):
                    bad.append(f"{me}:{n}: an acquire or release without a label [area:A1]")
    bad += [f"{where}: [{a}:{l}] is named by no partner" for (a, l), where in made.items() if (a, l) not in named]
    bad += [f"{where}: partner [{a}:{l}] does not exist" for (a, l), where in named.items() if (a, l) not in made]
    print("\n".join(bad) or f"orderings: ok ({len(made)} labels, {operations} operations)")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
