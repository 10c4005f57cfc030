# SPDX-License-Identifier: BSD-2-Clause
"""The programs of examples/, each as a user would run it, on a real primary with two standbys.

Needs TEST_SOURCE_DIR and TEST_BUILD_DIR, which ctest sets.
"""
import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import sys
import time
import unittest

SOURCE = pathlib.Path(os.environ.get("TEST_SOURCE_DIR", "."))
EXAMPLES = pathlib.Path(os.environ.get("TEST_BUILD_DIR", ".")) / "examples"
URL = os.environ.get("CLUSTER_URL", "")
SUPER = os.environ.get("CLUSTER_SUPERUSER_URL", "")
PORTS = [int(port) for port in os.environ.get("CLUSTER_PORTS", "").split()]
BINDIR = os.environ.get("CLUSTER_BINDIR", "")
PATIENCE = 60


def clean(**more):
    return {**{k: v for k, v in os.environ.items() if not k.startswith(("WEIR_", "PG", "DB_", "DATABASE_"))}, **more}


def ask(sql, port=0):
    """The first column of what one server answers, as lines."""
    url = SUPER.rsplit("@", 1)[0] + f"@127.0.0.1:{PORTS[port]}/shop"
    return subprocess.run([f"{BINDIR}/psql", url, "-XAtqc", sql], env=clean(), check=True, capture_output=True,
                          text=True, timeout=PATIENCE).stdout.split("\n")[:-1]


class Program:
    """An example that runs. Its standard error is this test's."""

    def __init__(self, name, *arguments, **environment):
        self.process = subprocess.Popen([EXAMPLES / name, *arguments], env=clean(**environment), stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)

    def line(self, pattern):
        """The first line of its output, which has to match; what the pattern's group found."""
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            raise AssertionError("it says nothing")
        line = self.process.stdout.readline()
        found = re.search(pattern, line)
        if not found:
            raise AssertionError(f"{line!r}, and: {self.process.communicate(timeout=PATIENCE)}")
        return found[1]

    def end(self, number=None):
        """Its exit status and what it said, after a signal if there is to be one."""
        if number:
            self.process.send_signal(number)
        out, errors = self.process.communicate(timeout=PATIENCE)
        secret = URL.split(":")[2].split("@")[0]
        assert secret not in out + errors
        return self.process.returncode, out, errors


class WithProgram(unittest.TestCase):
    def until(self, asked, is_right):
        """Until the answer is right (a host whose probe is late is not known for a moment); that."""
        end = time.monotonic() + PATIENCE
        while not is_right(answer := asked()):
            self.assertLess(time.monotonic(), end, answer)
            time.sleep(0.01)
        return answer

    def start_behind(self, table, name, *arguments):
        """A program's port, which makes its table while the standbys are stopped short of it, and then go on."""
        ask(f"DROP TABLE IF EXISTS {table}")
        for port in (1, 2):
            ask("SELECT pg_wal_replay_pause()", port)
            self.addCleanup(ask, "SELECT pg_wal_replay_resume()", port)
        program = self.start(name, URL, *arguments)
        self.until(lambda: ask(f"SELECT to_regclass('{table}')"), lambda found: found == [table])
        said_early = select.select([program.process.stdout], [], [], 0.5)[0]
        for port in (1, 2):
            ask("SELECT pg_wal_replay_resume()", port)
        self.assertFalse(said_early, "it serves, and no standby has its table")
        return program, int(program.line(r"listening on 127\.0\.0\.1:(\d+)"))

    def start(self, name, *arguments, **environment):
        program = Program(name, *arguments, **environment)
        self.addCleanup(lambda: program.process.poll() is None and (program.process.kill(),
                                                                       program.process.communicate(timeout=PATIENCE)))
        return program


@unittest.skipUnless((EXAMPLES / "http_service").exists(), "weir was built without libmicrohttpd")
class HttpService(WithProgram):
    def setUp(self):
        self.service = self.start("http_service", URL, "--port", "0", WEIR_CHECKOUT_TIMEOUT_MS="60000")
        self.port = int(self.service.line(r"listening on 127\.0\.0\.1:(\d+)"))

    def ask(self, method, path, body=None, cookie=None):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            client.request(method, path, body, {"Cookie": f"seen={cookie}"} if cookie else {})
            answer = client.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            client.close()

    def post(self, name):
        status, headers, body = self.ask("POST", "/users", name)
        self.assertEqual(status, 201, body)
        self.assertIn("HttpOnly", headers["Set-Cookie"])
        return re.match("seen=([0-9a-z-]+);", headers["Set-Cookie"])[1], json.loads(body)

    def test_users(self):
        for i in range(30):
            cookie, user = self.post(f"o'user {i}")
            self.assertEqual(user["name"], f"o'user {i}")
            status, headers, body = self.ask("GET", "/users", cookie=cookie)
            self.assertEqual(status, 200)
            self.assertIn(user, json.loads(body))  # who has written sees it, wherever he reads
        self.until(lambda: self.ask("GET", "/users")[1]["X-Served-By"], lambda by: "(replica)" in by)
        self.assertEqual(ask("SELECT count(*) FROM users WHERE name LIKE 'o''user%'"), ["30"])
        for method, path, body, cookie, status in (
                ("POST", "/users", "", None, 400), ("POST", "/users", "x" * 201, None, 400), ("PUT", "/users", "x", None, 404),
                ("GET", "/", None, None, 404), ("GET", "/users", None, "not-a-token", 400)):
            self.assertEqual(self.ask(method, path, body, cookie)[0], status, (method, path))

    def test_health_and_metrics(self):
        self.until(lambda: self.ask("GET", "/health"), lambda a: (a[0], a[2].split("\n")[0]) == (200, "healthy"))
        status, headers, body = self.ask("GET", "/metrics")
        self.assertEqual(status, 200)
        self.assertIn("version=0.0.4", headers["Content-Type"])
        self.assertRegex(body, r"(?m)^weir_\w+.* \d+")

    def test_its_first_reads_find_its_table(self):
        self.service.end(signal.SIGTERM)
        self.service, self.port = self.start_behind("users", "http_service", "--port", "0")
        for _ in range(20):
            self.assertEqual(self.ask("GET", "/users")[::2], (200, "[]"))

    def test_it_ends_with_what_is_under_way(self):
        holder = subprocess.Popen([f"{BINDIR}/psql", SUPER.rsplit("@", 1)[0] + f"@127.0.0.1:{PORTS[0]}/shop", "-XAtq"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean(), text=True)
        self.addCleanup(holder.communicate, timeout=PATIENCE)
        holder.stdin.write("BEGIN; LOCK TABLE users; SELECT 'locked';\n")
        holder.stdin.flush()
        self.assertEqual(holder.stdout.readline(), "locked\n")
        with concurrent.futures.ThreadPoolExecutor() as threads:
            late = threads.submit(self.ask, "POST", "/users", "late")
            self.until(lambda: ask("SELECT count(*) FROM pg_locks WHERE NOT granted"), lambda n: n != ["0"])
            self.service.process.send_signal(signal.SIGTERM)
            while True:  # it listens no longer: that is when the signal has arrived
                try:
                    socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE).close()
                    time.sleep(0.01)
                except ConnectionError:
                    break
            holder.stdin.write("COMMIT;\n")
            holder.stdin.flush()
            self.assertEqual(late.result(PATIENCE)[0], 201)
        self.assertEqual(self.service.end()[0], 0)


class Prefork(WithProgram):
    def setUp(self):
        self.server = self.start("prefork", URL, "--workers", "3")
        self.port = int(self.server.line(r"listening on 127\.0\.0\.1:(\d+)"))

    def say(self, *lines):
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as client:
            client.sendall("".join(f"{line}\n" for line in lines).encode())
            client.shutdown(socket.SHUT_WR)
            return client.makefile().read().splitlines()

    def workers(self):
        return pathlib.Path(f"/proc/{self.server.process.pid}/task/{self.server.process.pid}/children").read_text().split()

    def await_workers(self, are_right):
        return self.until(self.workers, are_right)

    def test_workers_share_the_budget_and_lose_no_count(self):
        with concurrent.futures.ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(lambda _: self.say(*["ADD hits"] * 10), range(8)))
        self.assertEqual(sorted(int(a.split()[1]) for answer in answers for a in answer), list(range(1, 81)))
        self.assertLessEqual(int(ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'weir'")[0]), 32)
        self.assertEqual(self.say("NONSENSE"), ["? GET name, or ADD name"])
        self.until(lambda: self.say("GET hits"), lambda said: said == ["hits 80"])  # a replica comes to it

    def test_its_first_reads_find_its_table(self):
        self.server.end(signal.SIGTERM)
        self.server, self.port = self.start_behind("prefork_counter", "prefork")
        self.assertEqual(self.say(*["GET none"] * 20), ["none 0"] * 20)

    def test_a_worker_that_dies_is_started_anew(self):
        victim = self.await_workers(lambda workers: len(workers) == 3)[0]
        os.kill(int(victim), signal.SIGKILL)
        self.await_workers(lambda workers: victim not in workers and len(workers) == 3)
        self.assertEqual(len(self.say("ADD again", "GET again")), 2)

    def test_it_ends(self):
        children = self.await_workers(lambda workers: len(workers) == 3)
        status, _, errors = self.server.end(signal.SIGTERM)
        self.assertEqual((status, errors), (0, ""))
        self.assertFalse([pid for pid in children if pathlib.Path(f"/proc/{pid}").exists()])


class Worker(WithProgram):
    def test_each_job_is_done_once(self):
        ask("DROP TABLE IF EXISTS worker_job, worker_account")
        worker = self.start("worker", URL, "--enqueue", "300", "--threads", "8", "--until-empty")
        while worker.process.poll() is None:  # its connections are killed while it works
            ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'weir' "
                "AND query LIKE 'UPDATE worker_account%' LIMIT 1")
        status, out, errors = worker.end()
        self.assertEqual(status, 0, errors)
        done, unknown = map(int, re.search(r"done (\d+), again \d+, unknown (\d+)", out).groups())
        # what was unknown has been done, or was done again by another thread, which then counted it
        self.assertLessEqual(done, 300)
        self.assertGreaterEqual(done + unknown, 300)
        self.assertEqual(ask("SELECT count(*) FROM worker_job WHERE done_at IS NULL"), ["0"])
        self.assertEqual(ask("SELECT sum(total) FROM worker_account"), [str(300 * 301 // 2)])

    def test_it_ends_between_two_jobs(self):
        worker = self.start("worker", URL, "--threads", "2")
        # Between two jobs is where a session stays: whoever has found none has rolled back.
        self.until(lambda: ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'weir' AND query = 'ROLLBACK'"),
                   lambda n: n != ["0"])
        status, out, errors = worker.end(signal.SIGTERM)
        self.assertEqual((status, errors), (0, ""))
        self.assertRegex(out, r"^done \d+, again \d+, unknown 0, failed 0\n$")


@unittest.skipUnless((EXAMPLES / "load").exists(), "weir was built without libweir-http")
class Load(WithProgram):
    def test_requests_are_all_made(self):
        ask("DROP TABLE IF EXISTS load_row")  # its reads begin at once, and standbys know nothing of the table yet
        status, out, errors = self.start("load", URL, "--rate", "400", "--seconds", "1", "--reads", "70").end()
        self.assertEqual((status, errors), (0, ""))
        self.assertRegex(out, r"answered 400, failed 0, \d+ a second; ms: p50 ")
        self.assertEqual(ask("SELECT sum(n) FROM load_row"), ["120"])

    def test_the_page_is_there_while_it_runs(self):
        load = self.start("load", URL, "--seconds", "300", "--http", "0")
        port = int(load.line(r"http://127\.0\.0\.1:(\d+)/"))
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        client.request("GET", "/")
        answer = client.getresponse()
        self.assertEqual((answer.status, answer.headers.get_content_type()), (200, "text/html"))
        client.close()
        status, out, errors = load.end(signal.SIGTERM)
        self.assertEqual((status, errors), (0, ""))
        self.assertRegex(out, r"answered \d+, failed 0, ")

    def test_it_says_what_it_takes(self):
        for arguments in (["--rate", "0"], ["--nonsense", "1"], ["--threads", "0"]):
            status, out, errors = self.start("load", URL, *arguments).end()
            self.assertEqual((status, out), (64, ""))
            self.assertIn("load [URL]", errors)


if __name__ == "__main__":
    if not os.access(EXAMPLES / "worker", os.X_OK):
        print("skipped: the examples are not built")
        sys.exit(77)
    if not URL:  # once more, inside a cluster
        os.execv(SOURCE / "tests/support/cluster", ["cluster", "run", "--", sys.executable, "-B", __file__])
    unittest.main()
