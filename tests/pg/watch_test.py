# SPDX-License-Identifier: BSD-2-Clause
"""`weir watch` on a real cluster: on a terminal, as lines, as documents; while replay pauses and a standby is promoted.

Needs TEST_BIN and TEST_SOURCE_DIR, which ctest sets. The tests run in the order of their names: the last one promotes.
"""
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unittest

BIN = os.environ.get("TEST_BIN", "")
SOURCE = pathlib.Path(os.environ.get("TEST_SOURCE_DIR", "."))
URL = os.environ.get("CLUSTER_URL", "")
SUPER = os.environ.get("CLUSTER_SUPERUSER_URL", "")
PORTS = [int(port) for port in os.environ.get("CLUSTER_PORTS", "").split()]
BINDIR = os.environ.get("CLUSTER_BINDIR", "")
NAMES = [f"127.0.0.1:{port}" for port in PORTS]
PATIENCE = 60


def clean(**more):
    """Without what would connect elsewhere, or take the colours away."""
    unwanted = ("WEIR_", "PG", "NO_COLOR", "CLICOLOR")
    return {**{k: v for k, v in os.environ.items() if not k.startswith(unwanted)}, **more}


def ask(sql, port=0):
    url = SUPER.rsplit("@", 1)[0] + f"@{NAMES[port]}/postgres"
    subprocess.run([f"{BINDIR}/psql", url, "-XAtqc", sql], env=clean(), check=True, capture_output=True, timeout=60)


def secrets():
    return URL.split(":")[2].split("@")[0]


class Watch:
    """A `weir watch` that runs, its output read as it comes."""

    running = []

    def __init__(self, *arguments, url=URL, terminal=False, **environment):
        self.text, self.fd, slave = "", None, None
        if terminal:
            self.fd, slave = pty.openpty()
            self.resize(30, 200)
            out = slave
        else:
            out = subprocess.PIPE
        self.process = subprocess.Popen([BIN, "watch", url, *arguments], env=clean(TERM="xterm", **environment), stdout=out,
                                        stderr=subprocess.PIPE)
        self.running.append(self.process)
        if terminal:
            os.close(slave)
        else:
            self.fd = self.process.stdout.fileno()

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_some(self, patience):
        if not select.select([self.fd], [], [], patience)[0]:
            return False
        try:
            more = os.read(self.fd, 65536)
        except OSError:  # the terminal's other side is closed
            more = b""
        self.text += more.decode()
        return bool(more)

    def until(self, pattern, begin=0):
        """Reads until the pattern is there; where it ends."""
        end = time.monotonic() + PATIENCE
        while not (found := re.compile(pattern).search(self.text, begin)):
            if time.monotonic() > end or not self.read_some(end - time.monotonic()):
                raise AssertionError(f"no {pattern!r} in:\n{self.text}")
        return found.end()

    def until_right(self, is_right):
        """Reads until is_right(text), which says something true of all that came so far; that."""
        end = time.monotonic() + PATIENCE
        while not (found := is_right(self.text)):
            if time.monotonic() > end or not self.read_some(end - time.monotonic()):
                raise AssertionError(f"never right:\n{self.text}")
        return found

    def end(self, number=None):
        """All the output and the exit status, after a signal if there is to be one."""
        if number:
            self.process.send_signal(number)
        while self.read_some(PATIENCE):
            pass
        status = self.process.wait(PATIENCE)
        errors = self.process.stderr.read().decode()
        self.process.stderr.close()
        if self.process.stdout:
            self.process.stdout.close()
        else:
            os.close(self.fd)
        assert secrets() not in self.text + errors
        return status, errors


class Tests(unittest.TestCase):
    def tearDown(self):
        """None outlives its test, whatever became of that."""
        while Watch.running:
            process = Watch.running.pop()
            process.kill()
            process.wait(PATIENCE)

    def test_a_lines_name_each_host_and_who_serves(self):
        watch = Watch()
        for name, role in zip(NAMES, ("primary", "replica", "replica")):
            watch.until(rf"{name}  {role}, timeline 1\n")
        watch.until(rf"writes  on {NAMES[0]}: a write")
        watch.until(rf"reads  on ({NAMES[1]}|{NAMES[2]}): a read")
        self.assertEqual(watch.end(signal.SIGINT), (0, ""))
        self.assertNotIn("\033", watch.text)

    def is_told_of_all(self, text):
        """The last document, if the probes of all hosts have been answered, and each intent was served."""
        last = json.loads(([line for line in text.splitlines(True) if line.endswith("\n")] or ["{}"])[-1])
        hosts = last.get("hosts", [])
        seen = [(h["host"], h["role"], h["follows"]) for h in hosts]
        return seen == list(zip(NAMES, ("primary", "replica", "replica"), ("", NAMES[0], NAMES[0]))) and \
            last["write"]["reason"] == "WRITE" and last["read"]["reason"] in ("BALANCED", "SPILLED") and \
            hosts[0]["chosen"]["WRITE"] > 0 and sum(sum(h["chosen"].values()) for h in hosts[1:]) > 0 and last

    def test_b_documents_are_one_a_line_and_add_up(self):
        watch = Watch("--json", "--interval", "0.1")
        last = watch.until_right(self.is_told_of_all)
        self.assertEqual(watch.end(signal.SIGINT), (0, ""))
        documents = [json.loads(line) for line in watch.text.splitlines()]
        self.assertEqual([h["timeline"] for h in last["hosts"]], [1, 1, 1])
        self.assertIs(last["split"], False)
        self.assertEqual((last["write"]["status"], last["read"]["status"]), ("OK", "OK"))
        events = [e["event"] for d in documents for e in d["events"]]
        self.assertIn("CONNECTED", events)
        self.assertEqual(sorted(d["at"] for d in documents), [d["at"] for d in documents])

    def test_c_it_ends_by_count_by_time_and_by_signals(self):
        watch = Watch("--json", "--count", "3", "--interval", "0.1")
        self.assertEqual(watch.end(), (0, ""))
        self.assertEqual(len([json.loads(line) for line in watch.text.splitlines()]), 3)
        watch = Watch("--seconds", "0.5", "--interval", "30")
        self.assertEqual(watch.end(), (0, ""))
        for number in (signal.SIGTERM, signal.SIGHUP):
            watch = Watch("--interval", "30")
            watch.until("primary, timeline")
            self.assertEqual(watch.end(number), (0, ""))

    def test_d_a_terminal_is_drawn_and_left_as_it_was(self):
        watch = Watch("--interval", "3600", terminal=True)
        watch.until(r"writes  .*ok")
        self.assertTrue(watch.text.startswith("\033[?1049h"))
        self.assertIn("\033[1mhost", watch.text)
        self.settle(watch)
        before = len(watch.text)
        watch.resize(12, 80)
        watch.process.send_signal(signal.SIGWINCH)
        end = time.monotonic() + PATIENCE
        while not (drawn := self.last_picture(watch, before)) or drawn.count("\n") > 12:
            self.assertLess(time.monotonic(), end, drawn)
        self.assertRegex(drawn, r"writes  .*ok")
        self.assertEqual(watch.end(signal.SIGINT), (0, ""))
        rest = watch.text[watch.text.index("\033[?1049l"):]
        self.assertIn(NAMES[0], rest)  # the last picture stays
        self.assertNotIn("\033[?25l", rest)

    def settle(self, watch):
        """Until nothing comes for a second: its first connections are open."""
        while watch.read_some(1):
            pass

    def last_picture(self, watch, begin):
        """Of those that were drawn from there on; an event may have been drawn before what is waited for."""
        self.settle(watch)
        return "".join(watch.text[begin:].split("\033[H\033[J")[1:][-1:])

    def test_e_no_colour_where_nobody_wants_it(self):
        watch = Watch("--count", "1", terminal=True, NO_COLOR="1")
        self.assertEqual(watch.end(), (0, ""))
        self.assertNotRegex(watch.text, "\033\\[[0-9]+m")

    def test_f_a_pause_and_a_promotion_are_seen(self):
        watch, documents = Watch("--interval", "0.2"), Watch("--json", "--interval", "0.2")
        terminal = Watch(terminal=True)
        watch.until(r"writes  on")
        ask("SELECT pg_wal_replay_pause()", 2)
        watch.until(rf"{NAMES[2]}  replay is paused")
        terminal.until(r"replay is paused")
        ask("SELECT pg_wal_replay_resume()", 2)
        watch.until(rf"{NAMES[2]}  all is well again")
        ask("SELECT pg_promote()", 1)
        watch.until(rf"{NAMES[1]}  replica -> primary, timeline 1 -> 2")
        watch.until(rf"writes  on {NAMES[1]}: a write")
        terminal.until(rf"ROLE_CHANGED.*{NAMES[1]}  was replica, is primary")
        documents.until(rf'"write":{{"status":"OK","host":"{NAMES[1]}"')
        for one in (watch, terminal, documents):
            self.assertEqual(one.end(signal.SIGTERM), (0, ""))
        told = [e for line in documents.text.splitlines() for e in json.loads(line)["events"]]
        self.assertIn(("ROLE_CHANGED", NAMES[1]), [(e["event"], e["host"]) for e in told])

    def test_g_nobody_there_is_told_too(self):
        watch = Watch(url=f"postgresql://u:{secrets()}@127.0.0.1:1/d")
        watch.until("unknown, unreachable")
        watch.until("writes  none: (UNAVAILABLE|CONNECT|TIMEOUT)")
        self.assertEqual(watch.end(signal.SIGTERM), (0, ""))


if __name__ == "__main__":
    if not os.access(BIN, os.X_OK):
        print("skipped: TEST_BIN names no program")
        sys.exit(77)
    if not URL:  # once more, inside a cluster
        os.execv(SOURCE / "tests/support/cluster",
                 ["cluster", "run", "--monitor", "--", sys.executable, "-B", __file__])
    unittest.main()
