# SPDX-License-Identifier: BSD-2-Clause
"""A real Prometheus scrapes a process each second; each metric of weir's list is then asked of Prometheus itself.

Needs TEST_SOURCE_DIR and TEST_HTTP_SERVE, which ctest sets. The list is src/report/metrics.def, so a metric that is
added there is looked for here.
"""
import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from clusterlib import ports

SERVE = os.environ.get("TEST_HTTP_SERVE", "")
SOURCE = pathlib.Path(os.environ.get("TEST_SOURCE_DIR", "."))
URL = os.environ.get("CLUSTER_URL", "")
PORTS = [int(port) for port in os.environ.get("CLUSTER_PORTS", "").split()]
NAMES = [f"127.0.0.1:{port}" for port in PORTS]
PATIENCE = 90
ENDINGS = {"COUNTER": "_total", "INFO": "_info", "TIMES": "_count"}


def clean():
    return {k: v for k, v in os.environ.items() if not k.startswith(("WEIR_", "PG", "DB_", "DATABASE_URL"))}


def listed():
    """Every metric of the list: name as it is asked for, and its scope."""
    text = re.sub(r"/\*.*?\*/", "", (SOURCE / "src/report/metrics.def").read_text(), flags=re.S)
    found = [(name + ENDINGS.get(kind, ""), scope) for scope, kind, name in re.findall(r"^(?:VALUE|SET)\((\w+), (\w+), (\w+)", text, re.M)]
    return found + [(name + "_count", scope) for scope, name in re.findall(r"^TIMES\((\w+), (\w+)", text, re.M)]


class Server:
    """The program that is scraped."""

    def __init__(self):
        pool = URL.rsplit("@", 1)[0] + f"@{NAMES[0]}/shop"
        self.process = subprocess.Popen([SERVE, URL, pool], env=clean(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        words = self.process.stdout.readline().split()
        assert words[:2] == ["listening", "on"], words
        self.port = int(words[2])

    def stop(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()

    def get(self, path, accept):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", path, headers={"Accept": accept})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.getheader("Content-Type"), body


class Prometheus:
    def __init__(self, directory, target):
        self.held = ports.hold()  # nobody else's until this ends
        self.port = self.held.getsockname()[1]
        config = pathlib.Path(directory) / "prometheus.yml"
        config.write_text("global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
                          f"scrape_configs: [{{job_name: weir, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]\n")
        self.log = open(pathlib.Path(directory) / "log", "w+")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory}/data", f"--web.listen-address=127.0.0.1:{self.port}"],
            env={**clean(), "GOMAXPROCS": "1"}, cwd=directory, stdout=self.log, stderr=self.log)

    def ask(self, query):
        """The series of a query, or None while it does not answer."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            connection.request("GET", "/api/v1/query?query=" + urllib.parse.quote(query))
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            return json.loads(body)["data"]["result"] if answer.status == 200 else None
        except OSError:
            return None

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.held.close()
        self.log.close()


class Tests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.mkdtemp(prefix="weir-prometheus-")
        cls.addClassCleanup(shutil.rmtree, directory, ignore_errors=True)
        cls.server = Server()
        cls.addClassCleanup(cls.server.stop)
        cls.prometheus = Prometheus(directory, cls.server.port)
        cls.addClassCleanup(cls.prometheus.stop)

    def until(self, query, right=bool):
        end = time.monotonic() + PATIENCE
        while True:
            result = self.prometheus.ask(query)
            if result is not None and right(result):
                return result
            if time.monotonic() > end or self.prometheus.process.poll() is not None:
                raise AssertionError(f"{query}: {result}")
            time.sleep(0.2)

    def value(self, query, right=lambda value: value > 0):
        """Until the one value of a query is as it should be; that."""
        return float(self.until(query, lambda r: len(r) == 1 and right(float(r[0]["value"][1])))[0]["value"][1])

    def test_a_the_process_is_scraped_each_second(self):
        self.value('up{job="weir"}', lambda up: up == 1)
        self.value("count_over_time(up[1m])", lambda n: n >= 3)

    def test_b_each_metric_of_the_list_is_there(self):
        names = listed()
        self.assertGreater(len(names), 50)
        for name, scope in names:
            series = self.until(f"{name}{{job='weir'}}")
            for one in series:
                self.assertGreaterEqual(float(one["value"][1]), 0, one)
            if scope in ("POOL", "OTEL"):  # three hosts, and the pool beside them
                self.assertGreaterEqual(len(series), 4, name)
            elif scope == "HOST":
                self.assertLessEqual({one["metric"].get("host") for one in series}, set(NAMES), name)

    def test_c_the_values_are_plausible(self):
        self.value('weir_hosts{role="primary"}', lambda n: n == 1)
        self.value('weir_hosts{role="replica"}', lambda n: n == 2)
        self.value("sum(weir_host_up)", lambda n: n == 3)
        self.value('sum(rate(weir_pool_checkouts_total{source="shop"}[10s]))', lambda n: 1 < n < 5000)
        self.value('sum(rate(weir_queries_total{intent="read"}[10s]))')
        self.value('sum(weir_transactions_total{outcome="committed"})')
        self.value("sum(db_client_connection_count{source='shop'}) <= sum(db_client_connection_max{source='shop'})")
        self.value("max(db_client_connection_max)", lambda n: n == 4)
        self.value("histogram_quantile(0.5, sum by (le) (rate(db_client_operation_duration_seconds_bucket[30s])))", lambda s: 0 < s < 10)
        self.value("histogram_quantile(0.9, sum by (le) (db_client_connection_create_time_seconds_bucket))", lambda s: 0 < s < 60)
        self.value("sum(weir_pool_checkouts_total) - sum(weir_pool_checkins_total)", lambda n: abs(n) < 20)
        self.value('sum(weir_checkouts_total{intent="write"})')
        self.value("max(weir_host_probe_age_seconds)", lambda s: 0 <= s < 60)

    def test_d_both_texts_are_good_for_promtool(self):
        kind, body = self.server.get("/metrics", "text/plain;version=0.0.4")
        self.assertIn("version=0.0.4", kind)
        done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, timeout=PATIENCE)
        self.assertNotIn(b"error", done.stderr.lower())
        kind, body = self.server.get("/metrics", "application/openmetrics-text;version=1.0.0")
        self.assertIn("openmetrics-text; version=1.0.0", kind)
        self.assertTrue(body.endswith(b"# EOF\n"))


if __name__ == "__main__":
    if not os.access(SERVE, os.X_OK):
        print("skipped: TEST_HTTP_SERVE names no program")
        sys.exit(77)
    for program in ("prometheus", "promtool"):
        if not shutil.which(program):
            print(f"skipped: there is no {program}")
            sys.exit(77)
    if not URL:  # once more, inside a cluster
        os.execv(SOURCE / "tests/support/cluster", ["cluster", "run", "--monitor", "--", sys.executable, "-B", __file__])
    unittest.main()
