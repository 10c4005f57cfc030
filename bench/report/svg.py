# SPDX-License-Identifier: BSD-2-Clause
"""Small charts as SVG: lines and bars, axes with units, readable on light and on dark ground."""
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 84, 190, 46, 56
# Blue, orange, green, red, purple, brown, grey: told apart also by those who see colours differently, and by marks.
LIGHT = ["#1f6fb4", "#c75f00", "#1c7f3d", "#b3261e", "#6b4fb0", "#7a5a44", "#6e7781"]
DARK = ["#6cb6ff", "#ffa657", "#7ee787", "#ff8a80", "#c3a6ff", "#d2b48c", "#9aa4ae"]
STYLE = """
text { font: 12px sans-serif; fill: #24292f; }
.title { font-size: 15px; font-weight: bold; }
.axis { stroke: #57606a; stroke-width: 1; fill: none; }
.grid { stroke: #d0d7de; stroke-width: 1; fill: none; }
.line { fill: none; stroke-width: 2; }
.spread { stroke-width: 1.2; }
"""


def style():
    colours = "".join(f".s{i} {{ stroke: {c}; fill: {c}; }}\n" for i, c in enumerate(LIGHT))
    dark = "".join(f".s{i} {{ stroke: {c}; fill: {c}; }}\n" for i, c in enumerate(DARK))
    return (f"<style>{STYLE}{colours}.line {{ fill: none; }}\n"
            f"@media (prefers-color-scheme: dark) {{\ntext {{ fill: #e6edf3; }}\n.axis {{ stroke: #9aa4ae; }}\n"
            f".grid {{ stroke: #3d444d; }}\n{dark}.line {{ fill: none; }}\n}}\n</style>")


def number(value):
    """1200 as 1.2 k: for axes, where the unit stands beside."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def duration(ns):
    for size, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
        if abs(ns) >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.3g} ns"


class Axis:
    """From values to points, linear or logarithmic, with ticks."""

    def __init__(self, least, most, start, end, log=False, ticks=None, name=number):
        if log:
            least, most = math.log10(least), math.log10(most)
        if most == least:
            most += 1
        self.log, self.least, self.most, self.start, self.end, self.name = log, least, most, start, end, name
        self.given = ticks

    def __call__(self, value):
        at = math.log10(value) if self.log else value
        return self.start + (at - self.least) / (self.most - self.least) * (self.end - self.start)

    def ticks(self):
        if self.given is not None:
            return self.given
        if self.log:
            wide = self.most - self.least > 3
            powers = range(math.floor(self.least), math.ceil(self.most) + 1)
            values = [m * 10.0**p for p in powers for m in ((1,) if wide else (1, 2, 5))]
            return [v for v in values if self.least - 1e-9 <= math.log10(v) <= self.most + 1e-9]
        step = 10 ** math.floor(math.log10((self.most - self.least) / 4))
        step *= next(m for m in (1, 2, 5, 10) if (self.most - self.least) / (step * m) <= 6)
        first = math.ceil(self.least / step - 1e-9)
        return [i * step for i in range(first, math.floor(self.most / step + 1e-9) + 1)]


def bounds(values, log):
    """A little more than what is to be shown; from 0 where the axis is linear."""
    if log:
        values = [v for v in values if v > 0]
        return min(values) / 1.15, max(values) * 1.15
    return min(0, min(values)), max(values) * 1.06 or 1


MARKS = [
    lambda x, y, c: f'<circle class="{c}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>',
    lambda x, y, c: f'<rect class="{c}" x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6"/>',
    lambda x, y, c: f'<path class="{c}" d="M{x:.1f} {y - 4.5:.1f}l4.2 7.5h-8.4z"/>',
    lambda x, y, c: f'<path class="{c}" d="M{x:.1f} {y - 4.5:.1f}l4.5 4.5l-4.5 4.5l-4.5 -4.5z"/>',
]


def document(title, parts, height=HEIGHT):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(title, {chr(34): "&quot;"})}">',
        f"<title>{escape(title)}</title>", style(),
        f'<text class="title" x="{LEFT}" y="24">{escape(title)}</text>', *parts, "</svg>", ""])


def frame(x, y, x_title, y_title):
    parts = []
    for tick in y.ticks():
        at = y(tick)
        parts += [f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>',
                  f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{escape(y.name(tick))}</text>']
    for tick in x.ticks():
        at = x(tick)
        parts += [f'<path class="axis" d="M{at:.1f} {HEIGHT - BOTTOM}v5"/>',
                  f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 19}" text-anchor="middle">{escape(x.name(tick))}</text>']
    middle = (TOP + HEIGHT - BOTTOM) / 2
    return parts + [
        f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 14}" text-anchor="middle">{escape(x_title)}</text>',
        f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">{escape(y_title)}</text>']


def lines(title, x_title, y_title, series, x_log=False, y_log=False, x_ticks=None, x_name=number, y_name=number):
    """series: [(label, [(x, y) or (x, y, least, most), ...]), ...]"""
    points = [p for _, all_of in series for p in all_of]
    x_least, x_most = min(p[0] for p in points), max(p[0] for p in points)
    x = Axis(x_least, x_most, LEFT + 14, WIDTH - RIGHT - 14, x_log, x_ticks, x_name)
    y = Axis(*bounds([v for p in points for v in p[1:]], y_log), HEIGHT - BOTTOM, TOP, y_log, name=y_name)
    parts = frame(x, y, x_title, y_title)
    for i, (label, all_of) in enumerate(series):
        c, mark = f"s{i % len(LIGHT)}", MARKS[i % len(MARKS)]
        all_of = [p for p in all_of if not y_log or p[1] > 0]
        path = "L".join(f"{x(p[0]):.1f} {y(p[1]):.1f}" for p in all_of)
        parts.append(f'<path class="line {c}" d="M{path}"/>')
        for p in all_of:
            if len(p) > 2:
                parts.append(f'<path class="spread {c}" d="M{x(p[0]):.1f} {y(p[2]):.1f}V{y(p[3]):.1f}"/>')
            parts.append(mark(x(p[0]), y(p[1]), c))
        at = TOP + 12 + 22 * i
        parts += [mark(WIDTH - RIGHT + 20, at - 4, c),
                  f'<text x="{WIDTH - RIGHT + 32}" y="{at}">{escape(label)}</text>']
    return document(title, parts)


def bars(title, x_title, groups, names, log=False, one=None, name=number):
    """groups: [(label, [value or (value, least, most) or None, ...]), ...], a value for each of names; lying bars.

    `one` draws a line at that value: what the bars are compared with."""
    thick, gap, left = 15, 14, 250
    stacked = any(len(label) > 16 for label in names)
    top = TOP + (18 * len(names) if stacked else 18)
    height = top + 12 + sum(thick * len(values) + gap for _, values in groups) + BOTTOM
    shown = [v if isinstance(v, tuple) else (v, v, v) for _, values in groups for v in values if v is not None]
    least, most = bounds([u for v in shown for u in v if u > 0] + ([one] if one else []), log)
    if log:
        least = 10 ** math.floor(math.log10(least) + 0.1)  # a bar begins at a round number
    x = Axis(least, most, left, WIDTH - 90, log, name=name)
    parts, y = [], top + 12
    for i, label in enumerate(names):
        at, line = (left, TOP - 2 + 18 * i) if stacked else (left + i * (WIDTH - left) / len(names), TOP - 2)
        parts += [f'<rect class="s{i % len(LIGHT)}" x="{at:.1f}" y="{line}" width="11" height="11"/>',
                  f'<text x="{at + 16:.1f}" y="{line + 10}">{escape(label)}</text>']
    bottom = height - BOTTOM
    for tick in x.ticks():
        parts += [f'<path class="grid" d="M{x(tick):.1f} {top + 2}V{bottom}"/>',
                  f'<text x="{x(tick):.1f}" y="{bottom + 18}" text-anchor="middle">{escape(x.name(tick))}</text>']
    for label, values in groups:
        middle = y + thick * len(values) / 2 + 4
        parts.append(f'<text x="{left - 10}" y="{middle:.1f}" text-anchor="end">{escape(label)}</text>')
        for i, v in enumerate(values):
            if v is not None:
                value, low, high = v if isinstance(v, tuple) else (v, v, v)
                end = x(value)
                parts += [f'<rect class="s{i % len(LIGHT)}" x="{left}" y="{y + 1}" width="{max(end - left, 1):.1f}" '
                          f'height="{thick - 2}" fill-opacity="0.85"/>',
                          f'<path class="axis" d="M{x(low) if low > 0 or not log else left:.1f} {y + thick / 2}'
                          f'H{x(high):.1f}"/>',
                          f'<text x="{max(end, x(high)) + 6:.1f}" y="{y + 12}">{escape(name(value))}</text>']
            y += thick
        y += gap
    if one:
        parts.append(f'<path class="axis" stroke-dasharray="4 3" d="M{x(one):.1f} {top + 2}V{bottom}"/>')
    parts += [f'<path class="axis" d="M{left} {top + 2}V{bottom}H{WIDTH - 90}"/>',
              f'<text x="{(left + WIDTH - 90) / 2}" y="{height - 14}" text-anchor="middle">{escape(x_title)}</text>']
    return document(title, parts, height)
