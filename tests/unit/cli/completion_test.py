# SPDX-License-Identifier: BSD-2-Clause
"""What shells complete and what the manual says is what the help says: asked of real shells, and of man's own checkers.

Needs TEST_BIN. A shell or checker that is not installed is left out."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BIN = os.environ.get("TEST_BIN", "")


def weir(*arguments):
    return subprocess.run([BIN, *arguments], check=True, capture_output=True, text=True, timeout=60).stdout


def words():
    lines = weir("help").split("weir WORD [OPTION]...")[1].splitlines()
    return [line.split()[0] for line in lines if line.startswith("  ") and not line.strip().startswith(("help", "--"))]


def flags(word):
    return re.findall(r"^  (--[a-z0-9-]+)", weir("help", word), re.M)


def names():
    return [row["name"] for row in json.loads(weir("options", "--json"))["options"]]


# Asks a real bash: the line is split as readline does it, the answers are what it would offer.
BASH = """
set -u
source /dev/stdin <<<"$SCRIPT"
complete -p weir >/dev/null || exit 3
cd "$PLACE"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_weir
[[ ${#COMPREPLY[@]} == 0 ]] || printf '%s\\n' "${COMPREPLY[@]}"
"""


@unittest.skipUnless(shutil.which("bash"), "no bash")
class Bash(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.script = weir("completion", "bash")
        cls.place = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.place.cleanup)
        for name in ("a.json", "with space.json"):
            pathlib.Path(cls.place.name, name).touch()

    def offered(self, *line):
        done = subprocess.run(["bash", "--norc", "-c", BASH, "bash", "weir", *line], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "SCRIPT": self.script, "PLACE": self.place.name})
        self.assertEqual((done.returncode, done.stderr), (0, ""), line)
        return done.stdout.splitlines()

    def test_words(self):
        self.assertEqual(sorted(self.offered("")), sorted([*words(), "help"]))
        self.assertEqual(self.offered("ben"), ["bench"])
        self.assertEqual(sorted(self.offered("--")), ["--help", "--version"])
        self.assertEqual(sorted(self.offered("help", "")), sorted(words()))

    def test_options_of_every_word(self):
        for word in words():
            self.assertEqual(sorted(self.offered(word, "--")), sorted(flags(word)), word)

    def test_weirs_own_options(self):
        self.assertEqual(sorted(self.offered("check", "--set", "")), sorted(f"{name}=" for name in names()))
        self.assertEqual(self.offered("check", "--set", "pool_ma"), ["pool_max="])
        self.assertEqual(self.offered("check", "--set", "adaptive", "="), ["off", "on"])
        self.assertEqual(self.offered("check", "--set", "adaptive", "=", "of"), ["off"])
        self.assertEqual(self.offered("check", "--set", "pool_max", "=", "1"), [])

    def test_files(self):
        self.assertEqual(self.offered("bench", "--svg", "a"), ["a.json"])
        self.assertEqual(self.offered("bench", "--svg", "=", "a"), ["a.json"])
        self.assertEqual(self.offered("bench", "--compare", "w"), ["with space.json"])
        self.assertEqual(self.offered("bench", "--threads", ""), [])
        self.assertEqual(self.offered("completion", "b"), ["bash"])

    @unittest.skipUnless(shutil.which("shellcheck"), "no shellcheck")
    def test_shellcheck(self):
        done = subprocess.run(["shellcheck", "-s", "bash", "-"], input=self.script, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stdout, "")


@unittest.skipUnless(shutil.which("fish"), "no fish")
class Fish(unittest.TestCase):
    def offered(self, line):
        with tempfile.TemporaryDirectory() as home:
            done = subprocess.run(["fish", "--no-config", "-c", "source (echo $SCRIPT | psub); complete -C $LINE"], capture_output=True,
                                  text=True, timeout=60, cwd=home, env={**os.environ, "HOME": home, "LINE": line,
                                                                        "SCRIPT": weir("completion", "fish")})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return [row.split("\t")[0] for row in done.stdout.splitlines()]

    def test_all(self):
        self.assertEqual(sorted(self.offered("weir ")), sorted([*words(), "help"]))
        self.assertEqual(sorted(self.offered("weir bench --")), sorted(flags("bench")))
        self.assertEqual(self.offered("weir check --set pool_ma"), ["pool_max="])
        self.assertEqual(self.offered("weir completion z"), ["zsh"])


@unittest.skipUnless(shutil.which("zsh"), "no zsh")
class Zsh(unittest.TestCase):
    def test_it_is_understood(self):
        script = weir("completion", "zsh")
        done = subprocess.run(["zsh", "-f", "-c", "autoload -U compinit && compinit -D -u && eval $SCRIPT && print $_comps[weir]"],
                              capture_output=True, text=True, timeout=60, env={**os.environ, "SCRIPT": script})
        self.assertEqual((done.returncode, done.stdout.strip(), done.stderr), (0, "_weir", ""))
        for word in words():
            for flag in flags(word):
                self.assertRegex(script, rf"'\*?{flag}=?\[")


class Manual(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        place = tempfile.TemporaryDirectory()
        cls.addClassCleanup(place.cleanup)
        weir("man", "--into", place.name)
        cls.pages = {path.name: path for path in pathlib.Path(place.name).rglob("*.?")}

    def test_all_are_there(self):
        wanted = ["weir.1", *[f"weir-{word}.1" for word in words()], "weir_options.5", "libweir.7"]
        self.assertEqual(sorted(self.pages), sorted(wanted))
        self.assertEqual(sorted(weir("man", "--list").split()), sorted(wanted))
        for name, path in self.pages.items():
            self.assertEqual(weir("man", name.rsplit(".", 1)[0]), path.read_text())
        self.assertEqual(weir("man", "bench"), weir("man", "weir-bench"))
        self.assertEqual(weir("man"), weir("man", "weir"))

    def test_they_say_what_the_help_says(self):
        for word in words():
            text = self.pages[f"weir-{word}.1"].read_text()
            self.assertEqual(sorted(re.findall(r"^\.It Fl Fl ([a-z0-9-]+)", text, re.M)), sorted(f[2:] for f in flags(word)))
            endings = re.findall(r"^  (\d+)  ", weir("help", word).split("Exit status:")[1], re.M)
            self.assertEqual(re.findall(r"^\.It (\d+)$", text, re.M), endings)
        self.assertEqual(re.findall(r"^\.It Cm (\w+)", self.pages["weir_options.5"].read_text(), re.M), names())

    def complaints(self, *command):
        for name, path in sorted(self.pages.items()):
            done = subprocess.run([*command, path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout), (0, ""), name)

    @unittest.skipUnless(shutil.which("mandoc"), "no mandoc")
    def test_mandoc_has_nothing_to_say(self):
        self.complaints("mandoc", "-Tlint", "-Wwarning")

    @unittest.skipUnless(shutil.which("groff"), "no groff")
    def test_groff_has_nothing_to_say(self):
        self.complaints("groff", "-ww", "-b", "-z", "-mdoc", "-Tutf8")


if __name__ == "__main__":
    if not os.access(BIN, os.X_OK):
        print("skipped: TEST_BIN names no program")
        sys.exit(77)
    unittest.main()
