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
