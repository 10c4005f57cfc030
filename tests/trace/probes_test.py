# SPDX-License-Identifier: BSD-2-Clause
"""The static probes are where tracers look for them, and fire as often as what they tell of happens.

probes_test.py TARGET LIBRARY

TARGET prints how many checkouts and so on it makes. readelf has to list every probe of docs/tracing.md with as many
arguments as it has there; gdb has to stop at each as often as TARGET says; and where the kernel allows it, each
one-liner of docs/tracing.md is run on TARGET."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

TARGET, LIBRARY = sys.argv[1:3]
PAGE = (pathlib.Path(os.environ["TEST_SOURCE_DIR"]) / "docs/tracing.md").read_text()
ARGUMENTS = {name: len(re.sub(r"\([^()]*\)", "", what).split(","))
             for name, what in re.findall(r"^\| `weir:(\w+)` \|[^|]*\|([^|]*)\|$", PAGE, re.M)}
PATH = "/usr/lib/x86_64-linux-gnu/libweir.so.0.1"


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def noted(file):
    """The probes of a file: name -> the arguments at each place."""
    found = {}
    text = run("readelf", "-nW", file).stdout
    for name, where in re.findall(r"Provider: weir\s+Name: (\w+)\s+Location:.*\n\s+Arguments:(.*)", text):
        found.setdefault(name, []).append(where.split())
    return found


class Probes(unittest.TestCase):
    def test_the_page_has_them_all(self):
        self.assertEqual(ARGUMENTS, {"checkout": 1, "checkin": 1, "grant": 2, "timeout": 2, "connect": 3, "close": 3,
                                     "query": 4})

    def test_readelf_lists_each(self):
        for file in (LIBRARY, TARGET):
            found = noted(file)
            self.assertEqual(sorted(found), sorted(ARGUMENTS), file)
            for name, places in found.items():
                for where in places:
                    self.assertEqual(len(where), ARGUMENTS[name], f"{file}: {name}: {where}")

    def test_gdb_stops_at_each(self):
        if not shutil.which("gdb"):
            self.skipTest("no gdb")
        with tempfile.NamedTemporaryFile("w", suffix=".gdb") as script:
            names = sorted(ARGUMENTS)
            script.write("set debuginfod enabled off\nset disable-randomization off\nset breakpoint pending off\n")
            for number, name in enumerate(names, 1):
                script.write(f"break -probe-stap weir:{name}\n")
                if name == "timeout":
                    script.write('commands\nsilent\nprintf "TOLD %s %ld\\n", (char *)$_probe_arg0, '
                                 '(long)$_probe_arg1\ncontinue\nend\n')
                elif name == "query":
                    script.write('commands\nsilent\nprintf "ASKED %s\\n", (char *)$_probe_arg3\ncontinue\nend\n')
                else:
                    script.write(f"ignore {number} 1000000\n")
            script.write("run\ninfo breakpoints\n")
            script.flush()
            said = run("gdb", "-batch", "-nx", "-x", script.name, TARGET)
        if re.search(r"ptrace: Operation not permitted|Could not trace the inferior", said.stdout + said.stderr):
            self.skipTest("gdb may not trace here")
        expected = dict(re.findall(r"(\w+)=(\d+)", re.search(r"^checkout=.*$", said.stdout, re.M)[0]))
        hits = {}
        for number, times in re.findall(r"^(\d+) .*\n(?:\s+.*\n)*?\s+breakpoint already hit (\d+) time", said.stdout,
                                        re.M):
            hits[names[int(number) - 1]] = times
        for name, times in expected.items():
            self.assertEqual(hits.get(name), times, f"{name}: {said.stdout}{said.stderr}")
        for name in ("grant", "connect", "close"):
            self.assertGreaterEqual(int(hits.get(name, 0)), 1, name)
        waited = int(re.search(r"^TOLD 127\.0\.0\.1:5432 (\d+)$", said.stdout, re.M)[1])
        self.assertGreaterEqual(waited, 20_000_000)
        self.assertRegex(said.stdout, r"(?m)^ASKED a report$")

    def test_one_liners(self):
        if not shutil.which("bpftrace"):
            self.skipTest("no bpftrace")
        if run("bpftrace", "-e", "BEGIN { exit(); }").returncode:
            self.skipTest("bpftrace may not trace here")
        lines = re.findall(r"^bpftrace -p PID -e '(.*)'$", PAGE, re.M)
        self.assertEqual(len(lines), 5)
        for line in lines:
            said = run("bpftrace", "-c", TARGET, "-e", line.replace(PATH, TARGET))
            self.assertEqual(said.returncode, 0, said.stderr)
            self.assertRegex(said.stdout, r"(?m)^@(held_us|waited_us\[127\.|connects\[127\.|us\[a report\])|"
                                          r"127\.0\.0\.1:5432: no connection within \d+ ms", said.stderr)


if __name__ == "__main__":
    result = unittest.main(argv=sys.argv[:1], exit=False).result
    for test, why in result.skipped:
        print(f"skipped: {why} ({test.id()})")
    if result.wasSuccessful() and result.testsRun == len(result.skipped):
        sys.exit(77)
    sys.exit(not result.wasSuccessful())
