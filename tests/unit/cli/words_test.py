# SPDX-License-Identifier: BSD-2-Clause
"""The program `weir` without a server: bad usage is refused with a clear word, nothing secret is shown, the options agree.

Needs TEST_BIN (the program) and TEST_SOURCE_DIR, which ctest sets. Nothing here opens a connection: each call ends while it
reads its arguments, or finds nobody at a port where nobody listens.
"""
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

BIN = os.environ.get("TEST_BIN", "")
SOURCE = pathlib.Path(os.environ.get("TEST_SOURCE_DIR", "."))
SECRET = "s3cretword"
USAGE = 64


def weir(*arguments, **environment):
    """Runs the program with no options in its environment but those given."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("WEIR_", "PG")) and k != "DATABASE_URL"}
    return subprocess.run([BIN, *arguments], env={**clean, **environment}, capture_output=True, text=True,
                          timeout=60)


def closed_port():
    """A port of this machine that nobody listens on: bound here, never listened on, until the test ends."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    return s, s.getsockname()[1]


class Usage(unittest.TestCase):
    def refused(self, *arguments, says, **environment):
        result = weir(*arguments, **environment)
        self.assertEqual(result.returncode, USAGE, result.stderr)
        self.assertIn(says, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertNotIn(SECRET, result.stderr)
        return result

    def test_no_word(self):
        self.refused(says="weir WORD")

    def test_nearest_word(self):
        self.refused("bnech", says="did you mean bench?")
        self.refused("help", "chekc", says="did you mean check?")
        self.refused("--hlep", says="unknown option --hlep")

    def test_url_in_the_place_of_a_word(self):
        self.refused(f"postgresql://u:{SECRET}@h/d", says="a word comes before")
        self.refused(f"host=h password={SECRET}", says="a word comes before")

    def test_options_of_words(self):
        self.refused("check", "--jsno", says="did you mean --json?")
        self.refused("check", "--json=1", says="--json takes no value")
        self.refused("check", "-x", says="unknown option -x")
        self.refused("check", "--timeout-ms", says="--timeout-ms needs a value")
        self.refused("check", "--timeout-ms", "0", says="from 1 to")
        self.refused("check", f"--nosuch={SECRET}", says="unknown option --nosuch")
        self.refused("options", "x", says="nothing but options")
        self.refused("options", "--json", "--markdown", says="not both")
        self.refused("bench", "--threads", "8x", says="whole number from 1 to 1024")
        self.refused("bench", "--duration", "0", says="from 0.1 to 86400")
        self.refused("bench", "--reads", "101", says="from 0 to 100")
        self.refused("watch", "--interval", "0", says="from 0.01 to 86400")
        self.refused("watch", "--seconds", "1h", says="from 0.01 to 86400")
        self.refused("watch", "--count", "0", says="from 1 to")
        self.refused("size", says="--rate and --service-ms are needed")
        self.refused("size", "--rate", "5", "--service-ms", "1e3", says="a number from")
        self.refused("size", "--rate", "5", "--service-ms", "5", "--service-p99-ms", "4", says="less than the mean")
        self.refused("size", "--rate", "5", "--service-ms", "5", "--service-p99-ms", "9", "--service-cv", "1", says="not both")
        self.refused("bench", "--write-table", "t", "--write-schema", "s", says="exclude each other")
        self.refused("bench", "--write-schema", "", says="empty")
        self.refused("bench", "--write-schema", "s" * 64, says="63 bytes")

    def test_weir_options(self):
        self.refused("check", "--set", "pool_mx=3", says="pool_max")
        self.refused("check", "--set", "pool_max=0", says="pool_max")
        self.refused("check", "--set", "pool_max", says="NAME=VALUE")
        self.refused("bench", "--pool-max", "99999", says="pool_max")
        self.refused("check", says="WEIR_POOL_MAX", WEIR_POOL_MX="3")
        self.refused("check", says="WEIR_POOL_MAX", WEIR_POOL_MAX="many")

    def test_connection_strings_are_not_shown(self):
        self.refused("check", f"postgresql://u:{SECRET}@h/d", f"postgresql://u:{SECRET}@i/d", says="at most")
        self.refused("check", "", says="empty")
        self.refused("check", f"postgresql://u:{SECRET}@h:port/d", says="weir check")
        self.refused("bench", f"postgresql://u:{SECRET}@h/d?pool_max=none", says="pool_max")
        self.refused("check", f"postgresql://u:{SECRET}@h/d?nosuch_parameter=1", says="nosuch_parameter")


def words():
    """The words that the command says it has."""
    lines = weir("help").stdout.split("weir WORD [OPTION]...")[1].splitlines()
    return [line.split()[0] for line in lines if line.startswith("  ") and not line.strip().startswith(("help", "--"))]


def check_drawing(test, file, panels):
    """It is XML, has so many panels, its lines stay inside, and nothing in it comes from elsewhere."""
    text = pathlib.Path(file).read_text()
    root = xml.etree.ElementTree.fromstring(text)
    svg = "{http://www.w3.org/2000/svg}"
    titles = [t.text for t in root.iter(svg + "text") if t.get("class") == "title"]
    test.assertEqual(len(titles), panels, titles)
    width, height = (float(root.get(side)) for side in ("width", "height"))
    lines = [p.get("d") for p in root.iter(svg + "path") if "line" in p.get("class") and "L" in p.get("d")]
    test.assertGreaterEqual(len(lines), panels)
    for line in lines:
        for point in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", line):
            test.assertTrue(0 <= float(point[0]) <= width and 0 <= float(point[1]) <= height, line)
        test.assertNotRegex(line, "nan|inf")
    for elsewhere in ("href", "url(", "<script", "<image", "@import"):
        test.assertNotIn(elsewhere, text)
    test.assertEqual(text.count("://"), 1)  # the name space


class Help(unittest.TestCase):
    def test_every_word_explains_itself_in_one_way(self):
        self.assertLessEqual({"check", "options", "bench", "watch"}, set(words()))
        for word in words():
            with self.subTest(word=word):
                text = weir("help", word).stdout
                self.assertTrue(text.startswith(f"weir {word} "), text)
                self.assertIn("\n  --help ", text)
                self.assertIn("\nExit status:\n  0  ", text)
                self.assertEqual([line for line in text.splitlines() if len(line) > 90], [])
                self.assertNotIn(". (", text)

    def test_options_stand_where_they_like(self):
        for arguments in (["--count", "0", "h1"], ["h1", "--count", "0"], ["--interval=1", "h1", "--count=0"]):
            result = weir("watch", *arguments)
            self.assertEqual(result.returncode, USAGE)
            self.assertIn("--count takes a whole number", result.stderr)

    def test_help_everywhere(self):
        for arguments in (["help"], ["--help"], ["-h"]):
            result = weir(*arguments)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            for word in ("check", "options", "bench", "watch"):
                self.assertIn(word, result.stdout)
        for word in words():
            by_help, by_option = weir("help", word), weir(word, "--help")
            self.assertEqual((by_help.returncode, by_option.returncode), (0, 0))
            self.assertEqual(by_help.stdout, by_option.stdout)
            self.assertTrue(by_help.stdout.startswith(f"weir {word}"))

    def test_version(self):
        result = weir("--version")
        header = (SOURCE / "include/weir/version.h").read_text()
        self.assertEqual(result.returncode, 0)
        self.assertIn(f'WEIR_VERSION "{result.stdout.split()[1]}"', header)

    def test_unwritable_output(self):
        with open("/dev/full", "w") as full:
            result = subprocess.run([BIN, "options"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(result.returncode, 74)
        self.assertIn("could not be written", result.stderr)


class Size(unittest.TestCase):
    def size(self, *arguments, status=0):
        result = weir("size", *arguments, "--json", DATABASE_URL="host=nosuch.invalid")
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return json.loads(result.stdout)

    def test_littles_law(self):
        d = self.size("--rate", "2000", "--service-ms", "3", "--pods", "6", "--max-connections", "200")
        (primary,) = d["pools"]
        self.assertAlmostEqual(primary["out"], 1.0)
        self.assertEqual((d["pool_max"], d["server_budget"], d["warnings"]), (4, 197, []))
        self.assertAlmostEqual(primary["waits"], 0.02040816, 6)  # Erlang C of 4 and 1: 1/49
        self.assertEqual(d["environment"], {"WEIR_POOL_MIN": 2, "WEIR_POOL_MAX": 4, "WEIR_POD_COUNT": 6,
                                            "WEIR_SERVER_BUDGET": 197})

    def test_the_lines_are_options_of_weirs(self):
        """What is recommended is not cut by weir's own division of the budget."""
        text = weir("size", "--rate", "9000", "--service-ms", "3", "--pods", "4", "--surge", "1", "--max-connections", "60").stdout
        lines = dict(line.split("=") for line in text.splitlines() if line.startswith("WEIR_"))
        known = {row["environment"] for row in json.loads(weir("options", "--json").stdout)["options"]}
        self.assertLessEqual(set(lines), known)
        share = int(lines["WEIR_SERVER_BUDGET"]) // int(lines["WEIR_POD_COUNT"])
        self.assertLessEqual(int(lines["WEIR_POOL_MAX"]) + 1, share)

    def test_reads_and_writes_are_apart(self):
        common = ["--rate", "1000", "--service-ms", "20", "--reads", "70"]
        d = self.size(*common, "--replicas", "2")
        self.assertEqual([(p["pool"], p["checkouts_per_s"]) for p in d["pools"]],
                         [("primary", 300.0), ("each replica", 350.0), ("each replica, one lost", 700.0)])
        for pool in d["pools"]:
            self.assertLess(pool["busy"], 0.8)
            self.assertLessEqual(pool["wait_p99_us"], 20000)
        d = self.size(*common, "--replicas", "1")
        self.assertEqual(d["pools"][2]["checkouts_per_s"], 1000.0)  # the primary does it all

    def test_longer_tails_need_more(self):
        common = ["--rate", "1000", "--service-ms", "20", "--target-wait-ms", "5"]
        constant, exponential, wild = (self.size(*common, "--service-cv", cv)["pool_max"] for cv in ("0", "1", "5"))
        self.assertLess(constant, exponential)
        self.assertLess(exponential, wild)
        self.assertEqual(self.size(*common, "--service-p99-ms", "40")["service_cv"] < 1, True)

    def test_what_is_too_much_is_told(self):
        d = self.size("--rate", "20000", "--service-ms", "10", "--pods", "6", status=1)
        self.assertFalse(d["enough"])
        self.assertIsNone(d["pools"][0]["wait_p99_us"])
        self.assertIn("the budget is exceeded", d["warnings"][0])
        self.assertIn("the line would only grow", d["warnings"][1])
        self.assertEqual(self.size("--rate", "7600", "--service-ms", "10")["warnings"], [])
        d = self.size("--rate", "8000", "--service-ms", "10", status=1)
        self.assertIn("above 80 %", d["warnings"][1])
        d = self.size("--rate", "100", "--service-ms", "100", "--threads", "8", status=1)
        self.assertIn("8 threads cannot make this rate", d["warnings"][0])
        d = self.size("--rate", "100", "--service-ms", "1", "--max-connections", "3", status=1)
        self.assertIn("the budget is exceeded", d["warnings"][0])

    def test_threads_bound_it(self):
        d = self.size("--rate", "300", "--service-ms", "10", "--threads", "4")
        self.assertEqual((d["pool_max"], d["pools"][0]["waits"]), (4, 0.0))

    def test_text(self):
        text = weir("size", "--rate", "20000", "--service-ms", "10").stdout
        self.assertIn("warning: the budget is exceeded", text)
        self.assertIn("no end", text)
        self.assertEqual(text.splitlines()[-4:-2], ["WEIR_POOL_MIN=96", "WEIR_POOL_MAX=96"])


MEASURES = ("rate", "wait_p50", "wait_p99", "query_p50", "query_p99", "hold_p50", "hold_p99")


class Compare(unittest.TestCase):
    """Kept runs that nobody made: their slices are known."""

    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)

    def file(self, name, text):
        path = pathlib.Path(self.place.name, name)
        path.write_text(text)
        return str(path)

    def run_of(self, name, values, **more):
        times = {time: {"max_ns": 900, "buckets": [[130, 20], [150, 2]]} for time in ("wait", "query", "hold")}
        part = {"queries": 22, "slices": {m: values for m in MEASURES}, **times}
        return self.file(name, json.dumps({"run": {"format": 1, "about": f"run {name}", "seconds": 2.0, "slice_s": 0.1, "failures": 0,
                                                   "sub_bits": 6, "read": part, "write": part, **more}}))

    def test_medians_and_what_they_lie_between(self):
        a = self.run_of("a", [1000] + list(range(2, 21)))
        d = json.loads(weir("bench", "--compare", a, a, "--json").stdout)
        # 19 values without the first: 95 % between the 5th and the 15th, by the binomial distribution
        self.assertEqual(d["read"]["wait_p50"]["a"], {"median": 11.0, "least": 6.0, "most": 16.0, "slices": 19})
        for intent in ("read", "write"):
            for measure in MEASURES:
                self.assertTrue(d[intent][measure]["within_noise"])
                self.assertEqual(d[intent][measure]["ratio"], 1.0)

    def test_what_is_no_noise(self):
        a = self.run_of("a", [9999] + [100 + i % 3 for i in range(19)])
        b = self.run_of("b", [9999] + [130 + i % 3 for i in range(19)])
        d = json.loads(weir("bench", "--compare", a, b, "--json").stdout)
        self.assertFalse(d["read"]["rate"]["within_noise"])
        self.assertAlmostEqual(d["read"]["rate"]["ratio"], 131 / 101)
        text = weir("bench", "--compare", a, b).stdout
        self.assertRegex(text, r"read +rate .* better")
        self.assertRegex(text, r"read +wait p99 .* worse")
        text = weir("bench", "--compare", b, a).stdout
        self.assertRegex(text, r"read +rate .* worse")

    def test_what_is_narrower_than_a_bucket_is_noise(self):
        a, b = self.run_of("a", [1000] * 20), self.run_of("b", [1010] * 20)
        d = json.loads(weir("bench", "--compare", a, b, "--json").stdout)
        self.assertTrue(d["read"]["wait_p50"]["within_noise"])
        self.assertFalse(d["read"]["rate"]["within_noise"])  # a rate is exact

    def test_few_values_say_nothing(self):
        a, b = self.run_of("a", [1, 10, 10, 10, 10]), self.run_of("b", [1, 99, 99, 99, 99])
        self.assertTrue(json.loads(weir("bench", "--compare", a, b, "--json").stdout)["read"]["rate"]["within_noise"])

    def test_drawing_is_well_formed_and_alone(self):
        a, b = self.run_of('<&"a', [100] * 20), self.run_of("b", [120] * 20)
        svg = self.file("two.svg", "")
        self.assertEqual(weir("bench", "--compare", a, b, "--svg", svg).returncode, 0)
        check_drawing(self, svg, panels=3)
        self.assertIn("run <&\"a (dashed)", "".join(xml.etree.ElementTree.parse(svg).getroot().itertext()))

    def test_what_is_no_run(self):
        good = self.run_of("good", [1] * 20)
        for bad in ("", "{}", "[1]", '{"run": {"format": 1}}', good[:-9],
                    pathlib.Path(self.run_of("x", [1] * 21)).read_text(),
                    pathlib.Path(self.run_of("x", [1], sub_bits=7)).read_text(),
                    pathlib.Path(self.run_of("x", [1], read={"queries": 1})).read_text(),
                    pathlib.Path(self.run_of("x", [1])).read_text().replace("[130, 20]", "[99999, 20]"),
                    pathlib.Path(self.run_of("x", [1])).read_text().replace("[130, 20]", "[130, -20]")):
            with self.subTest(bad=bad[:40]):
                result = weir("bench", "--compare", good, self.file("bad", bad))
                self.assertEqual((result.returncode, result.stdout), (65, ""), result.stderr)
        self.assertEqual(weir("bench", "--compare", good, self.place.name + "/none").returncode, 66)
        self.assertEqual(weir("bench", "--compare", good).returncode, USAGE)
        self.assertEqual(weir("bench", good, good).returncode, USAGE)

    def test_a_place_that_cannot_be_written(self):
        good = self.run_of("good", [1] * 20)
        result = weir("bench", "--compare", good, good, "--svg", self.place.name + "/no/where.svg")
        self.assertEqual((result.returncode, result.stdout), (74, ""))
        self.assertEqual(weir("bench", "--compare", good, good, "--svg", "/dev/full").returncode, 74)


class Options(unittest.TestCase):
    def test_every_option_is_in_every_form(self):
        document = json.loads(weir("options", "--json").stdout)
        text, markdown = weir("options").stdout, weir("options", "--markdown").stdout
        self.assertGreater(len(document["options"]), 30)
        for row in document["options"]:
            self.assertEqual(row["environment"], "WEIR_" + row["name"].upper())
            self.assertIn(row["environment"], text)
            self.assertIn(f"| `{row['name']}` |", markdown)
            self.assertIn(row["reload"], ("no", "yes", "new connections"))
        self.assertGreater(len(document["aliases"]), 30)
        for row in document["aliases"]:
            self.assertIn(row["environment"], text)
            self.assertIn(f"| `{row['environment']}` |", markdown)

    def test_a_name_near_an_alias_is_told_and_left_alone(self):
        result = weir("check", "postgresql://127.0.0.1:1/x", "--timeout-ms", "10", DB_POOL_MAXX="sekrit")
        self.assertIn("DB_POOL_MAXX is none of weir's names: did you mean DB_POOL_MAX?", result.stderr)
        self.assertNotIn("sekrit", result.stderr + result.stdout)

    def test_what_is_in_force_and_who_says_so(self):
        result = weir("options", "--effective", "--json", DATABASE_URL="postgres://me:canary@h1/shop?pool_min=1",
                      DB_POOL_MAX="20", WEIR_ZONE="a", DB_PASSWORD="canary", WEIR_ON_CONNECT_SQL="SET a.b = 'canary'")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertNotIn("canary", result.stdout)
        settings = {s["name"]: (s["value"], s["source"]) for s in json.loads(result.stdout)["settings"]}
        self.assertEqual(settings["pool_max"], ("20", "DB_POOL_MAX"))
        self.assertEqual(settings["pool_min"], ("1", "DATABASE_URL"))
        self.assertEqual(settings["zone"], ("a", "WEIR_ZONE"))
        self.assertEqual(settings["balance"], ("p2c", "default"))
        self.assertEqual(settings["host"][0], "h1:5432")
        self.assertEqual(settings["user"][0], "me")
        self.assertEqual(settings["password"][0], "***")
        self.assertIn("DB_POOL_MAX", weir("options", "--effective", DB_POOL_MAX="20").stdout)
        self.assertEqual(weir("options", "--effective", DB_POOL_MAX="x").returncode, USAGE)
        self.assertEqual(weir("options", "--effective", "--markdown").returncode, USAGE)

    def test_documentation_is_as_the_table(self):
        self.assertEqual(weir("options", "--markdown").stdout, (SOURCE / "docs/options.md").read_text(),
                         "docs/options.md is old: weir options --markdown > docs/options.md")

    def test_no_colours_outside_a_terminal(self):
        self.assertNotIn("\033", weir("options").stdout)


class Nobody(unittest.TestCase):
    """A host that refuses, which a machine without a server can have too."""

    def setUp(self):
        self.socket, port = closed_port()
        self.addCleanup(self.socket.close)
        self.host = f"127.0.0.1:{port}"
        self.url = f"postgresql://u:{SECRET}@{self.host}/d"

    def test_check_is_down(self):
        result = weir("check", self.url, "--timeout-ms", "1000")
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn(self.host, result.stdout)
        self.assertIn("no host is reachable", result.stdout)
        self.assertNotIn(SECRET, result.stdout + result.stderr)

    def test_check_by_environment(self):
        result = weir("check", "--timeout-ms", "1000", "--json", DATABASE_URL=self.url)
        document = json.loads(result.stdout)
        self.assertEqual((result.returncode, document["exit"]), (2, 2))
        self.assertEqual([(h["host"], h["reachable"]) for h in document["hosts"]], [(self.host, False)])
        self.assertNotEqual(document["write"]["status"], "OK")
        self.assertNotIn(SECRET, result.stdout + result.stderr)

    def test_bench_does_not_begin(self):
        result = weir("bench", self.url, "--duration", "60")
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn(f"{self.host} cannot be reached", result.stderr)
        self.assertNotIn(SECRET, result.stdout + result.stderr)


if __name__ == "__main__":
    if not os.access(BIN, os.X_OK):
        print("skipped: TEST_BIN names no program")
        sys.exit(77)
    unittest.main()
