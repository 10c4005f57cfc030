# SPDX-License-Identifier: BSD-2-Clause
"""What the demo prints: headings, tables, verdicts. Colours on a terminal only."""
import os
import sys

COLOURS = (
    sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
)
STRONG, FAINT, GOOD, BAD = "1", "2", "32", "1;31"


def tinted(text, tint):
    return f"\033[{tint}m{text}\033[0m" if COLOURS and tint else text


def say(text=""):
    print(text, flush=True)


def heading(text):
    say()
    say(tinted(text, STRONG))
    say()


def number(value):
    return f"{value:,.0f}"


def duration(us):
    """Microseconds, as people read them; a dash for none."""
    if us is None:
        return "-"
    for limit, unit, divisor in ((1000, "us", 1), (1e6, "ms", 1e3), (float("inf"), "s", 1e6)):
        if us < limit:
            return f"{us / divisor:.3g} {unit}"
    return "-"


def table(head, rows, left=2):
    """Prints rows of texts under their heads; the first columns are set to the left, the others to
    the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(row):
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))
        ]
        return ("  " + "  ".join(cells)).rstrip()

    say(tinted(line(head), FAINT))
    for row in rows:
        say(line(row))


class Verdicts:
    """What had to hold, and whether it did."""

    def __init__(self):
        self.all = []

    def add(self, holds, text):
        self.all.append((bool(holds), text))

    def show(self):
        for holds, text in self.all:
            say(f"  {tinted('yes', GOOD) if holds else tinted('NO ', BAD)}  {text}")

    def failed(self):
        return sum(not holds for holds, _ in self.all)
