# SPDX-License-Identifier: BSD-2-Clause
"""The page of libweir-http in a real browser, on a real cluster: live data, a failover, an end; no word on the console.

Chromium is driven by its own driver, in the words of W3C's WebDriver. Needs TEST_SOURCE_DIR, TEST_BUILD_DIR and
TEST_HTTP_SERVE, which ctest sets. The pictures it takes are in the build directory, below http_browser.
"""
import base64
import http.client
import http.server
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from clusterlib import ports

SERVE = os.environ.get("TEST_HTTP_SERVE", "")
SOURCE = pathlib.Path(os.environ.get("TEST_SOURCE_DIR", "."))
PICTURES = pathlib.Path(os.environ.get("TEST_BUILD_DIR", "build")) / "http_browser"
URL = os.environ.get("CLUSTER_URL", "")
SUPER = os.environ.get("CLUSTER_SUPERUSER_URL", "")
PORTS = [int(port) for port in os.environ.get("CLUSTER_PORTS", "").split()]
BINDIR = os.environ.get("CLUSTER_BINDIR", "")
NAMES = [f"127.0.0.1:{port}" for port in PORTS]
PATIENCE = 90


def clean():
    return {k: v for k, v in os.environ.items() if not k.startswith(("WEIR_", "PG", "DB_", "DATABASE_URL"))}


def pixels(png):
    """How many different values the bytes of a picture have, and how large it is: a blank one has few."""
    size, at, data = struct.unpack(">II", png[16:24]), 8, b""
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        if kind == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += 12 + length
    raw = zlib.decompress(data)
    return size, len({raw[i : i + 3] for i in range(0, len(raw) - 3, 97)})


class Server:
    """The program that shows itself."""

    def __init__(self):
        pool = URL.rsplit("@", 1)[0] + f"@{NAMES[0]}/shop"
        self.process = subprocess.Popen([SERVE, URL, pool], env=clean(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        words = self.process.stdout.readline().split()
        assert words[:2] == ["listening", "on"], words
        self.port = int(words[2])

    def get_all(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body, answer.getheader("Content-Type")

    def get(self, path):
        status, body, _ = self.get_all(path)
        return status, body.decode()

    def stop(self):
        self.process.stdin.close()
        status = self.process.wait(PATIENCE)
        self.process.stdout.close()
        return status

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Prefix:
    """A proxy that shows a server below /weir/, and has nothing else."""

    def __init__(self, server):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802, the name is http.server's
                below = self.path.startswith("/weir/")
                status, body, kind = server.get_all(self.path[len("/weir") :]) if below else (404, b"", "text/plain")
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/weir/"

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Browser:
    """Chromium without a screen, by its driver."""

    def __init__(self, directory):
        self.held = ports.hold()  # nobody else's until this ends
        self.port = self.held.getsockname()[1]
        self.driver = subprocess.Popen(["chromedriver", f"--port={self.port}"], env={**clean(), "HOME": directory, "TMPDIR": directory},
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.session = None
        try:
            self.await_driver()
            self.begin(directory)
        except BaseException:
            self.close()
            raise

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
        value = json.loads(connection.getresponse().read())["value"]
        connection.close()
        if isinstance(value, dict) and "error" in value:
            raise AssertionError(f"{path}: {value['error']}: {value['message']}")
        return value

    def await_driver(self):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if self.call("GET", "/status")["ready"]:
                    return
            except (OSError, http.client.HTTPException):
                pass
            if time.monotonic() > end or self.driver.poll() is not None:
                raise AssertionError("chromedriver does not answer")
            time.sleep(0.05)

    def begin(self, directory):
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
                     "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
                     f"--user-data-dir={directory}/profile", "--window-size=1280,1400", "--force-device-scale-factor=1", "--lang=en-GB"]
        value = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:loggingPrefs": {"browser": "ALL"}, "goog:chromeOptions": {"args": arguments}}}})
        self.session = "/session/" + value["sessionId"]

    def open(self, url):
        self.call("POST", self.session + "/url", {"url": url})

    def run(self, script, *arguments):
        return self.call("POST", self.session + "/execute/sync", {"script": script, "args": list(arguments)})

    def devtools(self, command, **parameters):
        return self.call("POST", self.session + "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def picture(self, name):
        png = base64.b64decode(self.call("GET", self.session + "/screenshot"))
        PICTURES.mkdir(exist_ok=True)
        (PICTURES / name).write_bytes(png)
        return png

    def console(self):
        return self.call("POST", self.session + "/se/log", {"type": "browser"})

    def close(self):
        try:
            if self.session:
                self.call("DELETE", self.session)
        except (OSError, AssertionError, http.client.HTTPException):
            pass
        try:
            os.killpg(self.driver.pid, signal.SIGKILL)  # a group of its own, the browser in it
        except ProcessLookupError:
            pass
        self.driver.wait()
        self.held.close()


class Tests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="weir-browser-")
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        cls.server = Server()
        cls.addClassCleanup(cls.server.kill)
        cls.browser = Browser(cls.directory)
        cls.addClassCleanup(cls.browser.close)
        cls.browser.open(f"http://127.0.0.1:{cls.server.port}/")

    def until(self, what, script, *arguments):
        """Until the script says something true; that."""
        end = time.monotonic() + PATIENCE
        while True:
            value = self.browser.run(script, *arguments)
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"not seen: {what}; the page says:\n" + self.browser.run("return document.body.innerText"))
            time.sleep(0.1)

    def check_picture(self, name):
        size, kinds = pixels(self.browser.picture(name))
        self.assertGreater(min(size), 300)
        self.assertGreater(kinds, 60, "the picture is blank")

    def test_a_live_data_is_shown(self):
        self.until("live", "return document.querySelector('#live').dataset.is === 'live'")
        self.assertEqual(self.browser.run("return document.title"), "weir: shop, direct")
        self.until("all roles",
                   """const rows = [...document.querySelectorAll("section:first-child .hosts tbody tr")];
                      return arguments.length === rows.length && [...arguments].every((name, i) =>
                          rows[i].children[0].textContent.startsWith(name) && rows[i].children[1].innerText === (i ? "replica" : "primary"))""",
                   *NAMES)
        self.until("a rate", "return parseFloat(document.querySelector('.numbers .checkouts').textContent) > 1")
        self.until("latencies", "return /p50 .* p99/.test(document.querySelector('[data-of=query] figcaption').innerText)")
        self.until("a curve", "return document.querySelector('[data-of=rate] .line')")
        self.until("events", "return document.querySelectorAll('.events tbody tr').length > 3")
        self.assertEqual(len(self.browser.run("return [...document.querySelectorAll('section')].map(s => s.innerText)")), 2)

    def test_b_it_is_fit_to_be_seen(self):
        self.server.get("/health")
        self.until("a verdict", "return /healthy/.test(document.querySelector('.verdict').textContent)")
        self.until("some history", "return document.querySelector('[data-of=rate] .line').getAttribute('d').split('L').length > 4")
        self.check_picture("day.png")
        self.browser.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        self.check_picture("night.png")
        self.browser.devtools("Emulation.setEmulatedMedia", features=[])
        self.browser.devtools("Emulation.setDeviceMetricsOverride", width=390, height=1500, deviceScaleFactor=1, mobile=True)
        self.until("nothing sticks out", "return document.documentElement.scrollWidth <= innerWidth")
        self.check_picture("phone.png")
        self.browser.devtools("Emulation.clearDeviceMetricsOverride")

    def test_c_a_failover_changes_what_is_shown(self):
        url = SUPER.rsplit("@", 1)[0] + f"@{NAMES[1]}/postgres"
        subprocess.run([f"{BINDIR}/psql", url, "-XAtqc", "SELECT pg_promote()"], env=clean(), check=True, capture_output=True, timeout=PATIENCE)
        self.until("the new primary",
                   """return [...document.querySelectorAll("section:first-child .hosts tbody tr")].some(row =>
                          row.children[0].textContent.startsWith(arguments[0]) && row.children[1].innerText === "primary")""", NAMES[1])
        self.until("the event", "return /ROLE_CHANGED/.test(document.querySelector('.events').innerText)")
        self.check_picture("failover.png")

    def test_c_it_may_lie_behind_a_prefix(self):
        proxy = Prefix(self.server)
        try:
            self.browser.open(proxy.url)
            self.until("live", "return document.querySelector('#live').dataset.is === 'live'")
            self.until("its style", "return getComputedStyle(document.querySelector('table.hosts')).borderCollapse === 'collapse'")
            self.until("its icon", "return document.querySelector('h1 img').naturalWidth > 0")
        finally:
            self.browser.open(f"http://127.0.0.1:{self.server.port}/")
            proxy.close()
        self.until("live", "return document.querySelector('#live').dataset.is === 'live'")

    def test_d_nothing_is_wrong_and_nothing_is_betrayed(self):
        secret = URL.split(":")[2].split("@")[0]
        for path in ("/", "/page.js", "/state.json", "/health", "/ready", "/metrics"):
            self.assertNotIn(secret, self.server.get(path)[1])
        self.assertEqual(self.browser.console(), [])
        self.assertEqual(self.browser.run("return performance.getEntriesByType('resource').filter(e => !e.name.startsWith(location.origin)).length"), 0)

    def test_e_an_end_is_told(self):
        self.assertEqual(self.server.stop(), 0)
        self.until("that nobody answers", "return document.querySelector('#live').dataset.is === 'gone'")
        self.assertIn("has not answered", self.browser.run("return document.querySelector('#stale').innerText"))
        self.check_picture("gone.png")


if __name__ == "__main__":
    if not os.access(SERVE, os.X_OK):
        print("skipped: TEST_HTTP_SERVE names no program")
        sys.exit(77)
    for program in ("chromium", "chromedriver"):
        if not shutil.which(program):
            print(f"skipped: there is no {program}")
            sys.exit(77)
    if not URL:  # once more, inside a cluster
        os.execv(SOURCE / "tests/support/cluster", ["cluster", "run", "--monitor", "--", sys.executable, "-B", __file__])
    unittest.main()
