# SPDX-License-Identifier: BSD-2-Clause
"""The program `weir` on a real cluster: what it says agrees with what the servers say.

Needs TEST_BIN and TEST_SOURCE_DIR, which ctest sets. One cluster serves all tests; each leaves it as it was.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

BIN = os.environ.get("TEST_BIN", "")
SOURCE = pathlib.Path(os.environ.get("TEST_SOURCE_DIR", "."))
URL = os.environ.get("CLUSTER_URL", "")
SUPER = os.environ.get("CLUSTER_SUPERUSER_URL", "")
PORTS = [int(port) for port in os.environ.get("CLUSTER_PORTS", "").split()]
BINDIR = os.environ.get("CLUSTER_BINDIR", "")
NAMES = [f"127.0.0.1:{port}" for port in PORTS]
# A bench begins when each host has answered, or so much later; the interval is also how long an answer may take.
SOME_DAY = f"{URL}?connect_timeout_ms=60000&probe_interval_ms=20000"


def clean(**more):
    return {**{k: v for k, v in os.environ.items() if not k.startswith(("WEIR_", "PG"))}, **more}


def weir(*arguments, status=0, **environment):
    # A check ends when all is known, so it may have the time that this takes on a slow machine.
    if arguments[0] == "check" and "--timeout-ms" not in arguments:
        arguments = (*arguments, "--timeout-ms", "60000", "--set", "probe_interval_ms=20000")
    result = subprocess.run([BIN, *arguments], env=clean(**environment), capture_output=True, text=True, timeout=100)
    if result.returncode != status:
        raise AssertionError(f"ended with {result.returncode}, not {status}:\n{result.stdout}{result.stderr}")
    return result


def document(*arguments, **more):
    return json.loads(weir(*arguments, "--json", **more).stdout)


def in_time(run, is_told):
    """What run(milliseconds) says with longer and longer times, for as long as it is not told what only takes time."""
    for ms in (1500, 6000, 24000):
        said = run(str(ms))
        if is_told(said):
            break
    return said


def ask(sql, port=0):
    """The first column of what one server answers, as lines."""
    url = SUPER.rsplit("@", 1)[0] + f"@127.0.0.1:{PORTS[port]}/shop"
    return subprocess.run([f"{BINDIR}/psql", url, "-XAtqc", sql], env=clean(), check=True, capture_output=True,
                          text=True, timeout=60).stdout.split("\n")[:-1]


def schemas():
    return ask("SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema|public)' ORDER BY 1")


class Check(unittest.TestCase):
    def test_every_host_as_it_is(self):
        d = document("check", URL)
        self.assertEqual([h["host"] for h in d["hosts"]], NAMES)
        self.assertEqual([h["role"] for h in d["hosts"]], ["primary", "replica", "replica"])
        self.assertEqual([h["in_recovery"] for h in d["hosts"]], [False, True, True])
        self.assertEqual({h["server_version"] for h in d["hosts"]}, {int(ask("SHOW server_version_num")[0])})
        self.assertEqual({h["system"] for h in d["hosts"]},
                         set(ask("SELECT system_identifier FROM pg_control_system()")))
        self.assertEqual({h["timeline"] for h in d["hosts"]}, {1})
        self.assertEqual({h["timeouts_ms"]["statement"] for h in d["hosts"]}, {30000})
        self.assertEqual((d["write"]["status"], d["write"]["host"]), ("OK", NAMES[0]))
        self.assertEqual(d["read"]["status"], "OK")
        self.assertIn(d["read"]["host"], NAMES[1:])

    def test_timeouts_in_force_are_the_asked_ones(self):
        d = document("check", URL, "--set", "statement_timeout_ms=1234", "--set", "lock_timeout_ms=2s",
                     WEIR_IDLE_IN_TRANSACTION_TIMEOUT_MS="77s")
        for host in d["hosts"]:
            self.assertEqual(host["timeouts_ms"], {"statement": 1234, "lock": 2000, "idle_in_transaction": 77000,
                                                   "idle_session": 0, "transaction": None})

    def test_what_is_in_force_is_what_the_server_and_the_socket_say(self):
        d = document("check", URL, "--set", "search_path=app, pg_catalog", "--set", "application_name=shop front",
                     "--set", "read_only=on", "--set", "tcp_user_timeout_ms=7s")
        for host in d["hosts"]:
            s = host["session"]
            self.assertEqual((s["applied"], s["through_pooler"], s["insecure"]), ("at startup", False, False))
            self.assertEqual((s["search_path"], s["application_name"]), ("app, pg_catalog", "shop front"))
            self.assertIs(s["read_only"], True)
            self.assertIs(s["keepalives"], True)
            self.assertEqual(s["tcp_user_timeout_ms"], 7000)

    def test_keepalives_of_the_url_are_shown(self):
        one = URL.replace("," + ",".join(NAMES[1:]), "")
        (host,) = document("check", one + "?keepalives_idle=11&keepalives_interval=12&keepalives_count=13")["hosts"]
        s = host["session"]
        self.assertEqual((s["keepalives_idle_s"], s["keepalives_interval_s"], s["keepalives_count"]), (11, 12, 13))
        self.assertIn("11 s, 13 x 12 s", weir("check", one + "?keepalives_idle=11&keepalives_interval=12"
                                              "&keepalives_count=13").stdout)
        (host,) = document("check", one + "?keepalives=0")["hosts"]
        self.assertIs(host["session"]["keepalives"], False)

    def test_what_an_older_server_does_not_know_is_not_in_force(self):
        """transaction_timeout came with 17; the other settings are at their place all the same."""
        if int(ask("SHOW server_version_num")[0]) >= 170000:
            self.skipTest("this server knows it")
        d = document("check", URL, "--set", "transaction_timeout_ms=5s", "--set", "search_path=app")
        for host in d["hosts"]:
            self.assertEqual(host["timeouts_ms"]["transaction"], None)
            self.assertEqual(host["timeouts_ms"]["statement"], 30000)
            self.assertEqual((host["session"]["applied"], host["session"]["search_path"]), ("in part", "app"))

    def test_a_password_in_danger_is_a_warning(self):
        """127.1 is a host that nobody knows to be this machine before it is looked up."""
        distant = URL.replace("," + ",".join(NAMES[1:]), "").replace("127.0.0.1", "127.1")
        result = weir("check", distant + "?sslmode=disable")
        self.assertIn("has not proven who it is", result.stdout)
        self.assertNotIn("has not proven who it is", weir("check", URL).stdout)

    def test_text_names_every_host_and_no_password(self):
        result = weir("check", URL)
        for name in NAMES:
            self.assertIn(name, result.stdout)
        self.assertIn("healthy", result.stdout)
        self.assertNotIn(URL.split(":")[2].split("@")[0], result.stdout + result.stderr)

    def test_a_dead_host_degrades(self):
        dead = URL.replace(f":{PORTS[2]}/", ":1/")
        d = document("check", dead, status=1)
        self.assertEqual([h["reachable"] for h in d["hosts"]], [True, True, False])
        self.assertNotEqual(d["hosts"][2]["last_error"], "")

    def test_without_a_primary_it_is_down(self):
        d = in_time(lambda ms: document("check", URL.replace(f"127.0.0.1:{PORTS[0]},", ""), "--timeout-ms", ms, status=2),
                    lambda d: "unknown" not in [h["role"] for h in d["hosts"]] and d["read"]["status"] == "OK")
        self.assertEqual([h["role"] for h in d["hosts"]], ["replica", "replica"])
        self.assertEqual(d["read"]["status"], "OK")
        self.assertNotEqual(d["write"]["status"], "OK")

    def test_a_single_primary_is_healthy(self):
        d = document("check", URL.replace("," + ",".join(NAMES[1:]), ""))
        self.assertEqual((d["read"]["host"], d["write"]["host"]), (NAMES[0], NAMES[0]))

    def test_a_wrong_password_is_told(self):
        secret = URL.split(":")[2].split("@")[0]
        result = in_time(lambda ms: weir("check", URL.replace(secret, "n0tth1s"), "--timeout-ms", ms, status=2),
                         lambda result: "password authentication failed" in result.stdout)
        self.assertNotIn("n0tth1s", result.stdout + result.stderr)
        self.assertIn("password authentication failed", result.stdout)


class Size(unittest.TestCase):
    def test_servers_are_asked_what_they_give(self):
        d = document("size", URL, "--rate", "500", "--service-ms", "2")
        (most, reserved), = [line.split("|") for line in ask("SELECT current_setting('max_connections'), "
                                                             "current_setting('superuser_reserved_connections')")]
        self.assertEqual((d["max_connections"], d["reserved"], d["replicas"]), (int(most), int(reserved), 2))
        self.assertEqual([p["pool"] for p in d["pools"]], ["primary", "each replica", "each replica, one lost"])
        self.assertGreaterEqual(d["in_use_by_others"], 0)

    def test_what_is_said_counts_more(self):
        d = document("size", URL, "--rate", "500", "--service-ms", "2", "--max-connections", "20", "--reserved", "0", "--replicas", "0")
        self.assertEqual((d["server_budget"], d["replicas"]), (20, 0))

    def test_nobody_there(self):
        dead = URL.rsplit("@", 1)[0] + "@127.0.0.1:1/shop"
        result = weir("size", dead, "--rate", "5", "--service-ms", "2", "--set", "checkout_timeout_ms=500", status=2)
        self.assertIn("could not be asked", result.stderr)


class Bench(unittest.TestCase):
    def split(self, d):
        """Reads and writes of each host."""
        return [(h["read"]["queries"], h["write"]["queries"]) for h in d["hosts"]]

    def test_reads_on_standbys_and_writes_on_the_primary(self):
        d = document("bench", SOME_DAY, "--duration", "1", "--threads", "4", "--quiet")
        (r0, w0), (r1, w1), (r2, w2) = self.split(d)
        self.assertEqual((r0, w1, w2), (0, 0, 0))
        for n in (w0, r1, r2):
            self.assertGreater(n, 0)
        self.assertEqual(w0 + r1 + r2, d["queries"])
        self.assertEqual((d["checkouts"], d["failures"]), (d["queries"], 0))

    def test_counts_are_those_of_the_servers(self):
        """Every statement takes a number from a sequence that only the bench touches."""
        ask("CREATE SEQUENCE public.cli_test; GRANT ALL ON public.cli_test TO app")
        try:
            d = document("bench", SOME_DAY, "--duration", "1", "--threads", "3", "--quiet", "--reads", "50",
                         "--sql-write", "SELECT nextval('public.cli_test')")
            (_, writes), *_ = self.split(d)
            self.assertEqual(ask("SELECT last_value FROM public.cli_test"), [str(writes)])
        finally:
            ask("DROP SEQUENCE public.cli_test")

    def test_a_schema_of_its_own(self):
        for how in ([], ["--per-request"]):
            d = document("bench", SOME_DAY, "--duration", "1", "--quiet", "--write-schema", 'odd "name"', *how)
            self.assertGreater(d["schema"]["rows"], 0)
            self.assertEqual(d["schema"]["rows"], d["schema"]["inserted"])
            self.assertTrue(d["schema"]["dropped"])
            self.assertEqual(schemas(), [])

    def test_a_schema_of_somebody_else_is_left_alone(self):
        ask("CREATE SCHEMA theirs CREATE TABLE t (a int)")
        try:
            result = weir("bench", SOME_DAY, "--duration", "1", "--quiet", "--write-schema", "theirs", status=2)
            self.assertIn("already exists", result.stderr)
            self.assertEqual(schemas(), ["theirs"])
            self.assertEqual(ask("SELECT count(*) FROM theirs.t"), ["0"])
        finally:
            ask("DROP SCHEMA theirs CASCADE")

    def test_the_schema_is_dropped_after_a_signal(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            bench = subprocess.Popen([BIN, "bench", SOME_DAY, "--duration", "60", "--write-schema", "brief"], env=clean(),
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            line = bench.stderr.readline()  # the first one of progress: the load runs
            self.assertEqual(schemas(), ["brief"], line)
            bench.send_signal(number)
            out, _ = bench.communicate(timeout=100)
            self.assertEqual(bench.returncode, 128 + number)
            self.assertIn("dropped", out)
            self.assertEqual(schemas(), [])

    def test_a_run_is_drawn_and_kept(self):
        with tempfile.TemporaryDirectory() as place:
            svg, kept = f"{place}/run.svg", f"{place}/run.json"
            d = document("bench", SOME_DAY, "--duration", "1", "--quiet", "--reads", "60", "--hold-us", "200", "--svg", svg, "--save", kept)
            text = pathlib.Path(svg).read_text()
            xml.etree.ElementTree.fromstring(text)
            for part in ("Times of reads", "Times of writes", "Rates over time"):
                self.assertIn(part, text)
            run = json.loads(pathlib.Path(kept).read_text())
            self.assertEqual(run["queries"], d["queries"])
            self.assertEqual(run["run"]["read"]["queries"] + run["run"]["write"]["queries"], d["queries"])
            for intent in ("read", "write"):
                part = run["run"][intent]
                for time in ("wait", "query", "hold"):
                    self.assertEqual(sum(n for _, n in part[time]["buckets"]), part["queries"])
                self.assertEqual(len(part["slices"]["rate"]), 20)
                # What begins in a slice is counted there: their sum is all.
                self.assertAlmostEqual(sum(part["slices"]["rate"]) * run["run"]["slice_s"], part["queries"], delta=1)
                self.assertGreaterEqual(part["hold"]["max_ns"], 200000)
            self.assertEqual(document("bench", "--compare", kept, kept)["read"]["rate"]["ratio"], 1.0)

    def test_a_run_that_ends_early_is_kept_as_far_as_it_went(self):
        with tempfile.TemporaryDirectory() as place:
            bench = subprocess.Popen([BIN, "bench", SOME_DAY, "--duration", "20", "--save", f"{place}/run.json"], env=clean(),
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            bench.stderr.readline()  # the first line of progress, after 2 s: the first slices are over
            bench.send_signal(signal.SIGINT)
            bench.communicate(timeout=100)
            run = json.loads(pathlib.Path(place, "run.json").read_text())["run"]
            self.assertIn(len(run["read"]["slices"]["rate"]), range(2, 20))

    def test_nothing_is_kept_of_no_run(self):
        with tempfile.TemporaryDirectory() as place:
            weir("bench", SOME_DAY, "--duration", "0.5", "--write-schema", "pg_no", "--quiet", "--svg", f"{place}/run.svg", status=2)
            self.assertEqual(os.listdir(place), [])

    def test_per_request_goes_to_the_same_hosts(self):
        d = document("bench", SOME_DAY, "--duration", "3", "--threads", "4", "--quiet", "--per-request", "--reads", "50")
        (r0, w0), (r1, w1), (r2, w2) = self.split(d)
        self.assertEqual((r0, w1, w2, d["failures"], d["mode"]), (0, 0, 0, 0, "per-request"))
        for n in (w0, r1, r2):
            self.assertGreater(n, 0)

    def test_failures_are_told_by_kind(self):
        d = document("bench", SOME_DAY, "--duration", "0.5", "--quiet", "--reads", "100", "--sql-read", "SELECT nosuch",
                     status=2)
        self.assertEqual({(e["status"], e["during"], e["intent"], e["sqlstate"]) for e in d["errors"]},
                         {("QUERY", "query", "read", "42703")})
        self.assertEqual(sum(e["count"] for e in d["errors"]), d["failures"])
        self.assertGreater(d["failures"], 0)

    def test_timeouts_are_told_by_kind(self):
        for seconds in ("1", "6", "36"):
            try:
                d = document("bench", SOME_DAY, "--duration", seconds, "--quiet", "--threads", "8", "--pool-max", "1", "--timeout-ms",
                             "5", "--hold-us", "50000", status=1)
                break
            except AssertionError:  # nobody was served, as the one connection came too late
                if seconds == "36":
                    raise
        self.assertEqual({(e["status"], e["during"]) for e in d["errors"]}, {("TIMEOUT", "checkout")})

    def test_a_slow_statement_ends_with_the_run(self):
        d = document("bench", SOME_DAY, "--duration", "0.5", "--quiet", "--threads", "2", "--reads", "100", "--sql-read",
                     "SELECT pg_sleep(25)", status=2)
        self.assertLess(d["elapsed_s"], 20)
        self.assertEqual((d["cut_off"], d["failures"]), (2, 0))

    def test_a_killed_backend_is_a_failure_and_no_end(self):
        bench = subprocess.Popen([BIN, "bench", SOME_DAY, "--duration", "100", "--threads", "2", "--json", "--quiet",
                                  "--sql-read", "SELECT pg_sleep(0.05)"],
                                 env=clean(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        sessions = "FROM pg_stat_activity WHERE application_name = 'weir-bench' AND query ~ 'pg_sleep'"
        killed = 0
        while not killed:
            killed = int(ask(f"SELECT count(pg_terminate_backend(pid)) {sessions}", 1)[0])
        while ask(f"SELECT count(*) {sessions}", 1) == ["0"]:  # it goes on, there as well
            time.sleep(0.01)
        bench.send_signal(signal.SIGINT)
        out, _ = bench.communicate(timeout=100)
        d = json.loads(out)
        self.assertGreater(d["queries"], 0)
        self.assertLessEqual(d["failures"], killed)
        self.assertEqual({e["during"] for e in d["errors"]} - {"query"}, set())


if __name__ == "__main__":
    if not os.access(BIN, os.X_OK):
        print("skipped: TEST_BIN names no program")
        sys.exit(77)
    if not URL:  # once more, inside a cluster
        os.execv(SOURCE / "tests/support/cluster",
                 ["cluster", "run", "--monitor", "--", sys.executable, "-B", __file__])
    unittest.main()
