# SPDX-License-Identifier: BSD-2-Clause
"""What the guide explains by its words, weir says in these words.

The table of docs/guide.md that begins with "it says": every text in it is a text of the sources, whatever stands in
for names and numbers there. README.md beside this file says more. Needs TEST_SOURCE_DIR.
"""
import os
import pathlib
import re
import unittest

SOURCE = pathlib.Path(os.environ.get("TEST_SOURCE_DIR", ".")).resolve()

# What others say, and weir passes on: PostgreSQL, libpq, OpenSSL.
OTHERS = (
    "connection to server ... refused",
    "password authentication failed",
    "cannot execute INSERT in a read-only transaction",
    "canceling statement due to statement timeout",
    "remaining connection slots are reserved",
    "certificate verify failed",
)
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
SPECIFIER = re.compile(r"%[-+ 0#]*(?:\d+|\*)?(?:\.(?:\d+|\*))?(?:hh|h|ll|l|z|j|t)?[diuxXscpfge]")
# What stands for something else in a text of the table: a name in quotes, a host, a number.
STAND_IN = re.compile(r'"[^"]*"|\bh\d:\d+|\b\d+(?:\.\d+)?\b')


def texts_of(table):
    for row in table:
        for text in re.findall(r"`([^`]+)`", row.split(" | ")[0]):
            yield text


def rows():
    guide = (SOURCE / "docs/guide.md").read_text()
    table = guide[guide.index("| it says |"):].split("\n\n")[0].splitlines()[2:]
    assert len(table) > 15, "the table is not where it was"
    return table


def literals(path):
    """The texts of a file; those that stand side by side are one; what is put into them is a gap."""
    code = re.sub(r'"\s*\n\s*"', "", re.sub(r"//.*|/\*.*?\*/", "", path.read_text(), flags=re.S))
    return [SPECIFIER.sub("\0", text.replace('\\"', '"').replace("\\n", "\n")) for text in LITERAL.findall(code)]


def fragments(piece):
    """What has to stand in one literal as it is, with its punctuation; a single word proves nothing."""
    for fragment in STAND_IN.split(piece):
        fragment = fragment.strip()
        if re.search(r"\w\s+\w", fragment):
            yield fragment


class Errors(unittest.TestCase):
    def test_each_text_is_one_that_weir_says(self):
        files = [literals(path) for path in sorted((SOURCE / "src").rglob("*.c")) if path.parent.name != "cli"]
        names = "".join(path.read_text() for path in (SOURCE / "include/weir").glob("*.h"))
        for text in texts_of(rows()):
            if text in OTHERS:
                continue
            with self.subTest(text):
                if re.fullmatch(r"[A-Z_]+", text):
                    self.assertIn(f"X({text},", names)
                    continue
                for piece in text.split("..."):
                    wanted = list(fragments(piece))
                    self.assertTrue(any(all(any(w in one for one in file) for w in wanted) for file in files), wanted)


if __name__ == "__main__":
    unittest.main()
