# SPDX-License-Identifier: BSD-2-Clause
"""Finds the code blocks of the documents: fenced ones with their language, and lines that are indented by four."""
import dataclasses
import pathlib
import re

FENCE = re.compile(r"^(```+)\s*([\w+#-]*)(?:\s+(\w[\w.-]*))?\s*$")


@dataclasses.dataclass
class Block:
    file: str  # as seen from the top of the repository
    line: int  # of the first line inside, from 1 on
    language: str  # of a fence, perhaps ""; "indented" for lines that are
    text: str
    name: str = ""  # of a file, as in ```c shop.c

    @property
    def place(self):
        return f"{self.file}:{self.line}"

    def commands(self):
        """(line number, command) of each command: lines that end in a backslash go on; a comment alone is none."""
        start, text = 0, ""
        for number, line in enumerate(self.text.splitlines(), self.line):
            start = start if text else number
            text += line[:-1] if line.endswith("\\") else line
            if not line.endswith("\\"):
                if text.strip() and not text.lstrip().startswith("#"):
                    yield start, text.strip()
                text = ""


def documents(root):
    root = pathlib.Path(root)
    return [root / "README.md", root / "examples/README.md", *sorted((root / "docs").rglob("*.md"))]


def blocks(file, text):
    fence, start, kept = None, 0, []
    for number, line in enumerate(text.split("\n"), 1):
        if fence:
            if line.strip() == fence[0]:
                yield Block(file, start, fence[1], "\n".join(kept) + "\n", fence[2] or "")
                fence = None
            else:
                kept.append(line)
        elif FENCE.match(line.strip()):
            fence, start, kept = FENCE.match(line.strip()).groups(), number + 1, []
        elif line.startswith("    ") and not re.match(r"\s*([-*]|\d+\.)\s", line):
            yield Block(file, number, "indented", line.strip())
    if fence:
        raise ValueError(f"{file}:{start}: the fence is not closed")


def all_blocks(root):
    for document in documents(root):
        yield from blocks(str(document.relative_to(root)), document.read_text())
