# SPDX-License-Identifier: BSD-2-Clause
"""Comments end by column 100.  comments.py [--write] FILE...

clang-format would also refill drawings and tables, so this does only what is safe: it wraps prose that is too
long, with the rest of its paragraph, and moves a comment that makes its line too long above that line. A
paragraph that fits is left as it is. Without --write it only says which files would change.
"""
import pathlib
import re
import sys
import textwrap

WIDTH = 100
ALONE = re.compile(r"^(\s*)/\*(.*?)\*/\s*$")  # a comment that is all of a line
TRAILING = re.compile(r"^(\s*)(\S.*?)\s*/\*\s*((?:(?!\*/).)*?)\s*\*/$")  # code, then a comment to the end
PROSE = re.compile(r"^ ?(?=[^\s*-])")  # what stands after the star: text at its usual place
LIST = re.compile(r"^(\s*(?:-\s+|\S+ {2})?)(.*)$")  # further right, a bullet, or a label and a gap


def width(line):
    return len(line.expandtabs(8))


def wrap(text, room, first="", rest=""):
    return textwrap.wrap(text, room, initial_indent=first, subsequent_indent=rest, break_long_words=False,
                         break_on_hyphens=False)


def block(indent, text):
    """A comment of its own: on one line if it fits there, else with its text between the marks."""
    one = f"{indent}/* {text} */"
    if width(one) <= WIDTH:
        return [one]
    lines = wrap(text, WIDTH - width(indent) - 3)
    return [f"{indent}/*", *(f"{indent} * {line}" for line in lines), f"{indent} */"]


def refill(indent, body):
    """The lines between the marks, without their stars: each with what is too long wrapped."""
    room, out, i = WIDTH - width(indent) - 2, [], 0
    while i < len(body):
        line = body[i]
        i += 1
        if width(indent + " *" + line) <= WIDTH or "\t" in line or re.search(r"\S {3,}\S", line):
            out.append(line)  # it fits, or it is a table or a drawing
        elif PROSE.match(line):
            rest = [line]
            while i < len(body) and PROSE.match(body[i]):
                rest.append(body[i])
                i += 1
            out += wrap(" ".join(part.strip() for part in rest), room, " ", " ")
        else:
            lead, text = LIST.match(line).groups()
            out += wrap(text, room, lead, " " * len(lead))
    return out


def refill_block(lines):
    """A comment of several lines, the first of which begins with its mark."""
    if all(width(line) <= WIDTH for line in lines):
        return lines
    indent = re.match(r"\s*", lines[0])[0]
    first = lines[0].strip()[2:].rstrip()
    last = lines[-1].strip()[:-2].rstrip()
    body = [re.sub(r"^\s*\*", "", line).rstrip() for line in lines[1:-1]]
    if first:
        body.insert(0, " " + first.lstrip("*").strip())
    if last.lstrip("*").strip():
        body.append(re.sub(r"^\*", "", last))
    return [f"{indent}/*", *(f"{indent} *{line}" for line in refill(indent, body)), f"{indent} */"]


def one_line(line, in_macro):
    if width(line) <= WIDTH or line.endswith("\\") or in_macro:
        return [line]
    alone = ALONE.match(line)
    if alone:
        return block(alone[1], alone[2].strip())
    trailing = TRAILING.match(line)
    if trailing and not trailing[2].startswith("#"):
        return [*block(trailing[1], trailing[3]), trailing[1] + trailing[2]]
    return [line]


def tidy(lines):
    out, i, in_macro = [], 0, False
    while i < len(lines):
        line = lines[i]
        i += 1
        if re.match(r"\s*/\*", line) and "*/" not in line:
            comment = [line]
            while i < len(lines) and "*/" not in comment[-1]:
                comment.append(lines[i])
                i += 1
            ends = comment[-1].rstrip().endswith("*/")
            stars = all(re.match(r"\s*\*", inner) for inner in comment[1:])
            out += refill_block(comment) if ends and stars else comment
        else:
            out += one_line(line, in_macro)
        in_macro = line.endswith("\\")
    return out


def main(arguments):
    write, bad = "--write" in arguments, 0
    for name in arguments:
        if name.startswith("--"):
            continue
        file = pathlib.Path(name)
        lines = file.read_text().splitlines()
        better = tidy(lines)
        if better != lines and write:
            file.write_text("\n".join(better) + "\n")
        elif better != lines:
            at = next(n for n, (a, b) in enumerate(zip(lines, better), 1) if a != b)
            print(f"{name}:{at}: a comment goes beyond column {WIDTH}: ./dev format wraps it")
            bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
