# SPDX-License-Identifier: BSD-2-Clause
"""The text of the metrics is read by a strict reader of either format, by promtool where there is one, and held
against docs/metrics.md: every metric of the one is in the other."""
import os
import pathlib
import re
import shutil
import subprocess
import unittest

REPO = pathlib.Path(os.environ["TEST_SOURCE_DIR"])
PROGRAM = pathlib.Path(os.environ["TEST_BUILD_DIR"]) / "tests/sim.metrics"

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,(?=[^}])|(?=}))')
NUMBER = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$")
SUFFIXES = {
    "openmetrics": {"counter": {"_total"}, "gauge": {""}, "stateset": {""}, "info": {"_info"},
                    "histogram": {"_bucket", "_sum", "_count"}},
    "prometheus": {"counter": {""}, "gauge": {""}, "histogram": {"_bucket", "_sum", "_count"}},
}
UNITS = {"seconds", "bytes", "ratio"}
# What promtool would have called otherwise, and OpenTelemetry calls so.
NOT_OURS = {"db_client_connection_count"}


class Wrong(Exception):
    pass


def check(good, *words):
    if not good:
        raise Wrong(" ".join(map(str, words)))


def labels_of(text):
    """'{a="b"} 1' as ([(a, b)], "1")."""
    if not text.startswith("{"):
        check(text.startswith(" "), "no space before the value:", text)
        return [], text[1:]
    found, at = [], 1
    while not text.startswith("}", at):
        m = LABEL.match(text, at)
        check(m, "no label at", text[at:at + 40])
        found.append((m[1], m[2]))
        at = m.end()
    check(len({name for name, _ in found}) == len(found), "a label is there twice:", text)
    check(text.startswith(" ", at + 1), "no space before the value:", text)
    return found, text[at + 2:]


class Family:
    def __init__(self, name):
        self.name, self.help, self.type, self.unit, self.samples = name, None, None, None, []

    def check(self, kind):
        check(self.help and self.type, self.name, "has no help or no type")
        check(self.samples, self.name, "has no samples")
        check(self.type in SUFFIXES[kind], self.name, "is of type", self.type)
        if kind == "prometheus" and self.type == "counter":
            check(self.name.endswith("_total"), self.name, "is a counter")
        if self.unit:
            check(self.unit in UNITS and self.name.endswith("_" + self.unit), self.name, "is in", self.unit)
        if kind == "openmetrics":
            check(self.unit or not self.name.endswith(tuple("_" + u for u in UNITS)), self.name, "names a unit")
        keys = [(suffix, tuple(labels)) for suffix, labels, _ in self.samples]
        check(len(set(keys)) == len(keys), self.name, "has one sample twice")
        for suffix, labels, value in self.samples:
            check(value >= 0, self.name, "is negative")
            if self.type == "stateset":
                check(self.name in dict(labels) and value in (0, 1), self.name, "is no state set")
            if self.type == "info":
                check(value == 1, self.name, "is not 1")
        if self.type == "histogram":
            self.check_histogram(kind)

    def check_histogram(self, kind):
        """Those of one set of labels are together: buckets that grow up to +Inf, the sum, the count."""
        at, series = 0, []
        while at < len(self.samples):
            bounds, counts = [], []
            mine = [pair for pair in self.samples[at][1] if pair[0] != "le"]
            while at < len(self.samples) and self.samples[at][0] == "_bucket":
                labels = dict(self.samples[at][1])
                check(kind == "prometheus" or "." in labels["le"] or labels["le"] == "+Inf", labels["le"])
                bounds.append(float(labels["le"]))
                counts.append(self.samples[at][2])
                check([p for p in self.samples[at][1] if p[0] != "le"] == mine, self.name, "is mixed")
                at += 1
            check(bounds == sorted(set(bounds)) and bounds[-1] == float("inf"), self.name, bounds)
            check(counts == sorted(counts), self.name, "has buckets that are not cumulative")
            check([s[0] for s in self.samples[at:at + 2]] == ["_sum", "_count"], self.name, "has no sum and count")
            check(all(s[1] == mine for s in self.samples[at:at + 2]), self.name, "is mixed")
            check(self.samples[at + 1][2] == counts[-1], self.name, "count is not that of +Inf")
            at += 2
            series.append(tuple(mine))
        check(len(set(series)) == len(series), self.name, "has a series twice")


def head(families, line, kind):
    m = re.match(rf"# (HELP|TYPE|UNIT) ({NAME}) (\S.*)$", line)
    check(m and (m[1] != "UNIT" or kind == "openmetrics"), "what is", line)
    if not families or families[-1].name != m[2]:
        check(all(f.name != m[2] for f in families), m[2], "is there twice, or interleaved")
        families.append(Family(m[2]))
    f, what = families[-1], m[1].lower()
    check(not f.samples and getattr(f, what) is None, m[1], "of", f.name, "is late, or there twice")
    bare = re.sub(r'\\["\\n]' if kind == "openmetrics" else r"\\[\\n]", "", m[3])
    check("\\" not in bare and ('"' not in bare or kind == "prometheus"), "not escaped:", line)
    setattr(f, what, m[3])


def sample(families, line, kind):
    m = re.match(NAME, line)
    check(m, "what is", line)
    f = families[-1]
    suffix = m[0][len(f.name):]
    check(m[0].startswith(f.name) and suffix in SUFFIXES[kind].get(f.type, ()), m[0], "is no sample of", f.name)
    labels, value = labels_of(line[m.end():])
    check(NUMBER.match(value), "no number:", line)
    check(suffix != "_bucket" or labels[-1][0] == "le", "no bound:", line)
    f.samples.append((suffix, labels, float(value)))


def read(text, kind):
    """{name: Family}, or Wrong. As strict as OpenMetrics 1.0.0 is; the older format may not be worse."""
    check(text.endswith("\n"), "the last line does not end")
    lines, families = text.split("\n")[:-1], []
    if kind == "openmetrics":
        check(lines and lines.pop() == "# EOF", "no # EOF at the end")
    for line in lines:
        check(line and line == line.strip() and "\r" not in line, "what is", repr(line))
        (head if line.startswith("#") else sample)(families, line, kind)
    names = {f.name + s for f in families for s in SUFFIXES[kind].get(f.type, {""})}
    for f in families:
        f.check(kind)
    check(len(names) == sum(len(SUFFIXES[kind][f.type]) for f in families), "names of samples clash")
    return {f.name: f for f in families}


def printed(kind):
    done = subprocess.run([PROGRAM, "--print", kind], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


class MetricsText(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.text = {kind: printed(kind) for kind in SUFFIXES}
        cls.read = {kind: read(text, kind) for kind, text in cls.text.items()}

    def test_both_formats_tell_the_same(self):
        def plain(name):
            return re.sub(r"_(total|info)$", "", name)
        self.assertEqual([*self.read["openmetrics"]], [plain(n) for n in self.read["prometheus"]])

    def test_every_sample_names_its_source(self):
        for family in self.read["openmetrics"].values():
            sources = {dict(labels).get("source") for _, labels, _ in family.samples}
            self.assertLessEqual(sources, {"shop", r'odd \"one\" \\ with\na line'}, family.name)

    def test_labels_are_bounded(self):
        for family in self.read["openmetrics"].values():
            self.assertLess(len(family.samples), 250, family.name)

    def test_what_is_listed_is_what_there_is(self):
        listed = re.findall(r"^\| `(\w+)` \|", (REPO / "docs/metrics.md").read_text(), re.M)
        self.assertCountEqual(listed, self.read["prometheus"])

    def test_promtool_has_nothing_to_say(self):
        if not shutil.which("promtool"):
            self.skipTest("skipped: no promtool here (Debian's prometheus)")
        done = subprocess.run(["promtool", "check", "metrics"], input=self.text["prometheus"], capture_output=True,
                              text=True, timeout=60)
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.split(" ")[0] not in NOT_OURS]
        self.assertEqual(said, [])


class Reader(unittest.TestCase):
    """It is strict: what is wrong is refused."""

    GOOD = ('# HELP a_seconds b\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n'
            'a_seconds_bucket{x="1",le="1.0"} 1\na_seconds_bucket{x="1",le="+Inf"} 2\n'
            'a_seconds_sum{x="1"} 1.5\na_seconds_count{x="1"} 2\n'
            '# HELP c d\n# TYPE c counter\nc_total{y="\\"\\\\\\n"} 3\nc_total 4\n# EOF\n')

    def test_a_good_one_is_read(self):
        self.assertEqual([*read(self.GOOD, "openmetrics")], ["a_seconds", "c"])

    def test_what_is_wrong_is_refused(self):
        for was, is_ in (("# EOF\n", ""), ("# EOF\n", "# EOF\n\n"), ("c_total 4", "c 4"), ("c_total 4", "c_total 4 "),
                         ("c_total 4", "c_total  4"), ("c_total 4", "c_total 4,5"), ("c_total 4", "c_total -4"),
                         ("c_total 4", 'c_total{y="\\"\\\\\\n"} 4'), ('y="\\"', 'y="\\q'), ('x="1",le="1.0"', 'le="1.0",x="1"'),
                         ('le="+Inf"} 2', 'le="+Inf"} 0'), ('le="+Inf"', 'le="2.0"'), ("_count{x=\"1\"} 2", "_count{x=\"1\"} 3"),
                         ("UNIT a_seconds seconds", "UNIT a_seconds bytes"), ("# TYPE c counter", "# TYPE c gauge"),
                         ("# TYPE c counter\n", ""), ("# HELP c d", "# HELP a_seconds d"), ('le="1.0"', 'le="1"'),
                         ('a_seconds_sum{x="1"}', 'a_seconds_sum{x="2"}')):
            with self.subTest(is_), self.assertRaises(Wrong):
                self.assertIn(was, self.GOOD)
                read(self.GOOD.replace(was, is_, 1), "openmetrics")


if __name__ == "__main__":
    unittest.main()
