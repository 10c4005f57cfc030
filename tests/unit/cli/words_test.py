# SPDX-License-Identifier: BSD-2-Clause
"""The program `weir` without a server: bad usage is refused with a clear word, nothing secret is shown, the options agree.

Needs TEST_BIN (the program) and TEST_SOURCE_DIR, which ctest sets. Nothing here opens a connection: each call ends while it
reads its arguments, or finds nobody at a port where nobody listens.
"""
import json
import os
import pathlib
import socket
import subprocess
import sys
import unittest

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


class Options(unittest.TestCase):
    def test_every_option_is_in_every_form(self):
        document = json.loads(weir("options", "--json").stdout)
        text, markdown = weir("options").stdout, weir("options", "--markdown").stdout
        self.assertGreater(len(document["options"]), 30)
        for row in document["options"]:
            self.assertEqual(row["environment"], "WEIR_" + row["name"].upper())
            self.assertIn(row["environment"], text)
            self.assertIn(f"| `{row['name']}` |", markdown)

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
