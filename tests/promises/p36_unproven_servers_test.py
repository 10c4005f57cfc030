# SPDX-License-Identifier: BSD-2-Clause
"""Promise 36: whoever cannot prove that he is the server gets no credential, by default, off this machine.

A certificate that is expired, of another authority, for another name or revoked; an N to the request for TLS; plain
words stuffed in behind the S: each is refused before user, database or password are sent, and the error says which of
them it was. Servers are threads here that write down every byte that they get, the decrypted ones, too; the client is
the program `weir` with no sslmode given. "Off this machine" is the host name 127.1: nobody can tell that it leads to
loopback before it is looked up.

Needs TEST_BIN and TEST_SOURCE_DIR, which ctest sets.
"""
import json
import os
import pathlib
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

BIN = os.environ.get("TEST_BIN", "")
SOURCE = pathlib.Path(os.environ.get("TEST_SOURCE_DIR", "."))
sys.path.insert(0, str(SOURCE / "tests" / "support"))

from clusterlib import tls  # noqa: E402
from clusterlib.world import World  # noqa: E402

HOST = "127.1"
USER, DATABASE, PASSWORD = "canary_user", "canary_base", "canary-Pa55-word"
CREDENTIALS = [text.encode() for text in (USER, DATABASE, PASSWORD)]
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
GSS_REQUEST = struct.pack("!ii", 8, 80877104)
ASKS_FOR_PASSWORD = b"R" + struct.pack("!ii", 8, 3)
IS_CONTENT = b"R" + struct.pack("!ii", 8, 0)
SECONDS = 20

certificates = None


class Impostor:
    """Listens on loopback, answers the request for TLS as told, and takes whatever comes then for a startup packet
    and a password. `heard` is all that it was sent, in plain."""

    def __init__(self, answer, certificate=None):
        self.answer = answer
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificates.path(certificate + ".crt"),
                                         certificates.path(certificate + ".key"))
        self.heard = b""
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(SECONDS)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(client,), daemon=True).start()

    def note(self, data):
        with self.lock:
            self.heard += data
        return data

    def talk(self, client):
        client.settimeout(SECONDS)
        try:
            with client:
                request = self.note(client.recv(8))
                if request == GSS_REQUEST:
                    client.sendall(b"N")
                    request = self.note(client.recv(8))
                if request == SSL_REQUEST:
                    client.sendall(self.answer)
                if self.context:
                    with self.context.wrap_socket(client, server_side=True) as secure:
                        self.ask(secure)
                else:
                    self.ask(client)
        except OSError:
            pass

    def ask(self, client):
        while self.note(client.recv(65536)):
            client.sendall(ASKS_FOR_PASSWORD)

    def knows_all(self, said=""):
        return all(credential in self.heard for credential in CREDENTIALS)

    def url(self, **parameters):
        more = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"postgresql://{USER}:{PASSWORD}@{HOST}:{self.port}/{DATABASE}?gssencmode=disable&{more}"

    def close(self):
        self.listener.close()


class HangsUp(Impostor):
    """Closes the connection inside TLS, without a word."""

    def ask(self, client):
        self.note(client.recv(65536))


def check(url, is_enough=lambda said: "no answer within" not in said, **variables):
    """What `weir check` says of the one host, for people: with more time where that was too little for the machine."""
    for milliseconds in 2000, 6000, 18000:
        said = check_for(milliseconds, url, variables)
        if is_enough(said):
            break
    return said


def check_for(milliseconds, url, variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WEIR_", "PG"))}
    environment.update(variables)
    result = subprocess.run([BIN, "check", url, "--json", "--timeout-ms", str(milliseconds)], env=environment,
                            capture_output=True, text=True, timeout=100)
    document = json.loads(result.stdout)
    return document["hosts"][0]["last_error"] + "\n" + document["write"]["error"]


class Promise(unittest.TestCase):
    def refused(self, impostor, *words, **parameters):
        try:
            said = check(impostor.url(**parameters))
            for word in words:
                self.assertIn(word, said)
            self.assertNotIn(PASSWORD, said)
            self.assertIn(SSL_REQUEST, impostor.heard)
            for credential in CREDENTIALS:
                self.assertNotIn(credential, impostor.heard)
        finally:
            impostor.close()

    def verified(self, impostor, *words, **parameters):
        self.refused(impostor, *words, sslrootcert=certificates.path("ca.crt"), **parameters)

    def test_the_right_server_is_told_everything(self):
        """Else nothing below would show anything: who is trusted does hear the canaries."""
        impostor = Impostor(b"S", "server")
        check(impostor.url(sslrootcert=certificates.path("ca.crt")), impostor.knows_all)
        impostor.close()
        self.assertTrue(impostor.knows_all())

    def test_expired(self):
        self.verified(Impostor(b"S", "expired"), "the server's certificate has expired")

    def test_another_authority(self):
        self.refused(Impostor(b"S", "server"), "no authority that is trusted", "vouches for the server",
                     sslrootcert=certificates.path("wrong-ca.crt"))

    def test_no_authority_at_all(self):
        self.refused(Impostor(b"S", "server"), "does not exist", "no sslmode was given, so weir asked for verify-full",
                     sslrootcert="/dev/null/none")

    def test_another_name(self):
        self.verified(Impostor(b"S", "misnamed"), "elsewhere.invalid", "does not match host name", HOST)

    def test_revoked(self):
        self.verified(Impostor(b"S", "server"), "the server's certificate has been revoked",
                      sslcrl=certificates.path("revoking.crl"))

    def test_says_no_to_tls(self):
        self.verified(Impostor(b"N"), "server does not support SSL, but SSL was required",
                      "no sslmode was given, so weir asked for verify-full")

    def test_words_stuffed_in_before_tls(self):
        """By somebody in between; the handshake that follows is the right server's own."""
        self.verified(Impostor(b"S" + IS_CONTENT, "server"), "unencrypted data after SSL response")

    def test_words_instead_of_tls(self):
        self.verified(Impostor(b"S" + IS_CONTENT), "SSL error")

    def through_a_service(self, **variables):
        impostor = Impostor(b"N")
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as services:
            services.write(f"[shop]\nhost={HOST}\nport={impostor.port}\nuser={USER}\npassword={PASSWORD}\n"
                           f"dbname={DATABASE}\nsslmode=prefer\ngssencmode=disable\n")
            services.flush()
            said = check("service=shop sslrootcert=" + certificates.path("ca.crt"), PGSERVICEFILE=services.name,
                         **variables)
        impostor.close()
        self.assertIn("server does not support SSL, but SSL was required", said)
        self.assertIn(SSL_REQUEST, impostor.heard)
        for credential in CREDENTIALS:
            self.assertNotIn(credential, impostor.heard)

    def test_a_service_file_names_it(self):
        """Only libpq learns where it is; and what the file says of sslmode is no choice either."""
        self.through_a_service()

    def test_a_service_file_does_not_undo_what_the_environment_asks_for(self):
        self.through_a_service(PGSSLMODE="verify-full")

    def test_a_certificate_that_was_not_asked_for_is_not_blamed(self):
        impostor = HangsUp(b"S", "server")
        said = check(impostor.url(sslmode="require"))
        impostor.close()
        self.assertIn("EOF", said)
        self.assertNotIn("vouches", said)

    def test_by_choice_it_is_as_open_as_libpq(self):
        """And the impostor that is refused by default hears it all: it is the default that keeps it out."""
        impostor = Impostor(b"N")
        check(impostor.url(sslmode="prefer"), impostor.knows_all)
        impostor.close()
        self.assertTrue(impostor.knows_all())


def run(test):
    """A test by itself, beside others."""
    result, began = unittest.TestResult(), time.monotonic()
    test.run(result)
    return test, time.monotonic() - began, result.failures + result.errors


def run_all():
    """Side by side, as each waits until the time of `weir check` is over. Returns how many failed."""
    tests = list(unittest.defaultTestLoader.loadTestsFromTestCase(Promise))
    wrong = 0
    with ThreadPoolExecutor(len(tests)) as threads:
        for test, seconds, failures in threads.map(run, tests):
            print(f"{'FAILED' if failures else 'ok'}: {test} ({seconds:.1f} s)")
            for _, trace in failures:
                print(trace)
            wrong += bool(failures)
    print(f"{len(tests)} tests, {wrong} failed")
    return wrong if tests else 1


def main():
    global certificates
    if not shutil.which("openssl"):
        print("skipped: there is no program openssl")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="weir-p36-") as directory:
        world = World(120)
        world.directory = directory
        certificates = tls.Certificates(world, directory)
        world.close()
        sys.exit(1 if run_all() else 0)


if __name__ == "__main__":
    main()
