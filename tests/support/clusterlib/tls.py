# SPDX-License-Identifier: BSD-2-Clause
"""Certificates for a cluster: a good set, and what a careful client must refuse.

    ca.crt           the cluster's own authority    wrong-ca.crt      another one, of the same name
    server.crt/key   for localhost and 127.0.0.1    expired.crt/key   the same, over since 2020
    client.crt/key   for the role app               misnamed.crt/key  for a host of another name
    empty.crl        revokes nothing                revoking.crl      revokes server.crt
"""
import os
import socket
import ssl
import struct

from clusterlib.world import Failed, Missing, Program

CONFIGURATION = """
[req]
distinguished_name = name
prompt = no
[name]
CN = weir test
[ca]
default_ca = authority
[authority]
dir = {tls}
database = {tls}/index
new_certs_dir = {tls}
certificate = {tls}/ca.crt
private_key = {tls}/ca.key
default_md = sha256
default_crl_days = 2
rand_serial = yes
unique_subject = no
policy = any
x509_extensions = local
[any]
commonName = supplied
[local]
basicConstraints = critical,CA:FALSE
subjectAltName = {local}
"""
LOCAL = "DNS:localhost,IP:127.0.0.1"
NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class Certificates:
    """Makes them all in directory/tls, as this process's user; servers get copies."""

    def __init__(self, world, directory):
        self.world = world
        self.tls = os.path.join(directory, "tls")
        os.mkdir(self.tls, 0o755)
        with open(self.path("openssl.cnf"), "w", encoding="ascii") as file:
            file.write(CONFIGURATION.format(tls=self.tls, local=LOCAL))
        with open(self.path("index"), "w", encoding="ascii"):
            pass
        self.make()
        for name in os.listdir(self.tls):
            os.chmod(self.path(name), 0o600 if name.endswith(".key") else 0o644)

    def path(self, name):
        return os.path.join(self.tls, name)

    def openssl(self, *words):
        """A running openssl. It works as this process's user: the keys are its own."""
        as_us = Borrowed(self.world)
        try:
            return Program(
                as_us, ["openssl", *words[:1], "-config", self.path("openssl.cnf"), *words[1:]]
            )
        except Failed as error:
            raise Missing("the program openssl is not installed") from error

    def authority(self, name):
        return self.openssl(
            "req",
            "-x509",
            *NEW_KEY,
            "-days",
            "2",
            "-subj",
            "/CN=weir test authority",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout",
            self.path(name + ".key"),
            "-out",
            self.path(name + ".crt")
        )

    def signed(self, name, subject, *extensions):
        more = [
            word
            for extension in ("basicConstraints=critical,CA:FALSE", *extensions)
            for word in ("-addext", extension)
        ]
        return self.openssl(
            "req",
            "-x509",
            "-CA",
            self.path("ca.crt"),
            "-CAkey",
            self.path("ca.key"),
            *NEW_KEY,
            "-days",
            "2",
            "-subj",
            "/CN=" + subject,
            *more,
            "-keyout",
            self.path(name + ".key"),
            "-out",
            self.path(name + ".crt")
        )

    def make(self):
        run = self.world.run_all
        run(
            [
                self.authority("ca"),
                self.authority("wrong-ca"),
                self.openssl(
                    "req",
                    "-new",
                    *NEW_KEY,
                    "-subj",
                    "/CN=localhost",
                    "-keyout",
                    self.path("expired.key"),
                    "-out",
                    self.path("expired.csr")
                ),
            ]
        )
        run(
            [
                self.signed("server", "localhost", "subjectAltName=" + LOCAL),
                self.signed(
                    "misnamed", "elsewhere.invalid", "subjectAltName=DNS:elsewhere.invalid"
                ),
                self.signed("client", "app"),
            ]
        )
        run(
            [
                self.openssl(
                    "ca",
                    "-batch",
                    "-notext",
                    "-startdate",
                    "20200101000000Z",
                    "-enddate",
                    "20200201000000Z",
                    "-in",
                    self.path("expired.csr"),
                    "-out",
                    self.path("expired.crt"),
                )
            ]
        )
        run([self.openssl("ca", "-gencrl", "-out", self.path("empty.crl"))])
        run([self.openssl("ca", "-revoke", self.path("server.crt"))])
        run([self.openssl("ca", "-gencrl", "-out", self.path("revoking.crl"))])

    def facts(self):
        """What the user of a cluster is told, as name: path."""
        return {
            "ca": self.path("ca.crt"),
            "wrong_ca": self.path("wrong-ca.crt"),
            "client_cert": self.path("client.crt"),
            "client_key": self.path("client.key"),
            "server_cert": self.path("server.crt"),
            "expired_cert": self.path("expired.crt"),
            "misnamed_cert": self.path("misnamed.crt"),
            "empty_crl": self.path("empty.crl"),
            "revoking_crl": self.path("revoking.crl"),
        }


class Borrowed:
    """The parts of a world that starting a program takes, without the servers' user."""

    def __init__(self, world):
        self.directory = world.directory
        self.user = {}


def presented(port):
    """The certificate that the server on this port shows to a client now, as DER; none if it shows
    none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
            plain.sendall(struct.pack("!ii", 8, 80877103))  # SSLRequest
            if plain.recv(1) != b"S":
                return None
            with context.wrap_socket(plain) as secure:
                return secure.getpeercert(binary_form=True)
    except OSError:
        return None


def in_file(path):
    with open(path, encoding="ascii") as file:
        return ssl.PEM_cert_to_DER_cert(file.read())
