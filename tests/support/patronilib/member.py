# SPDX-License-Identifier: BSD-2-Clause
"""One member: a Patroni with its REST API, and the PostgreSQL server that it keeps.

Patroni works in <directory>/patroni/<name>, its server in <directory>/nodes/<name>, so each of
the two is found by where it works (see clusterlib/processes.py), also when they do not know of
each other any more."""
import json
import os
import signal
import subprocess
import urllib.error
import urllib.request

from clusterlib import ports, processes
from clusterlib.world import Failed, bare_environment

STOP_SECONDS = 30

# Beyond what Patroni sets itself; nothing here outlives the run.
SETTINGS = {
    "max_connections": 100,
    "shared_buffers": "16MB",
    "dynamic_shared_memory_type": "mmap",
    "unix_socket_directories": "",
    "fsync": "off",
    "wal_keep_size": "256MB",
    "wal_retrieve_retry_interval": "100ms",
    "wal_receiver_status_interval": "1s",
    "autovacuum": "off",
    "jit": "off",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
}
ACCESS = [
    "host replication postgres 127.0.0.1/32 scram-sha-256",
    "host all postgres 127.0.0.1/32 scram-sha-256",
    "host all app 127.0.0.1/32 scram-sha-256",
]


class Member:
    """`process` is Patroni while it is wanted; `paused` says that it was stopped by a signal."""

    def __init__(self, fleet, index):
        self.fleet = fleet
        self.world = fleet.world
        self.index = index
        self.name = f"node{index}"
        self.home = os.path.join(fleet.directory, "patroni", self.name)
        self.data = os.path.join(fleet.directory, "nodes", self.name)
        self.log = self.home + ".log"
        self.held = [ports.hold(), ports.hold()]
        self.port, self.api_port = (held.getsockname()[1] for held in self.held)
        self.api = f"http://127.0.0.1:{self.api_port}"
        self.process = None
        self.paused = False
        os.mkdir(self.home, 0o700)
        fleet.give(self.home)
        self.write_configuration()

    def configuration(self):
        """For Patroni's YAML reader, of which JSON is a part."""
        fleet = self.fleet
        superuser = {"username": "postgres", "password": fleet.superuser_password}
        address = f"127.0.0.1:{self.port}"
        return {
            "scope": "weir",
            "name": self.name,
            "restapi": {
                "listen": f"127.0.0.1:{self.api_port}",
                "connect_address": f"127.0.0.1:{self.api_port}",
            },
            "etcd3": {"host": f"127.0.0.1:{fleet.etcd_port}"},
            "bootstrap": {
                "dcs": {
                    "ttl": fleet.options.ttl,
                    "loop_wait": fleet.options.loop_wait,
                    "retry_timeout": fleet.options.retry_timeout,
                    "maximum_lag_on_failover": 1 << 20,
                    "postgresql": {"use_pg_rewind": True, "use_slots": True},
                },
                "initdb": [
                    {"encoding": "UTF8"},
                    {"locale": "C"},
                    {"auth": "scram-sha-256"},
                    "no-sync",
                ],
            },
            "postgresql": {
                "listen": address,
                "connect_address": address,
                "data_dir": self.data,
                "bin_dir": fleet.binaries,
                "pgpass": os.path.join(self.home, "pgpass"),
                "authentication": {"superuser": superuser, "replication": superuser},
                "parameters": {**SETTINGS, "cluster_name": self.name},
                "pg_hba": ACCESS,
                "basebackup": [{"checkpoint": "fast"}, "no-sync"],
            },
            "tags": {"zone": f"zone{self.index % 2}"},
        }

    def write_configuration(self):
        path = os.path.join(self.home, "patroni.yml")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(self.configuration(), file)
        self.fleet.give(path)

    # ---- life ----

    def start(self):
        if self.running():
            raise Failed(f"{self.name} runs already")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["/usr/bin/patroni", os.path.join(self.home, "patroni.yml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                start_new_session=True,
                env=bare_environment(),
                **self.world.user,
            )

    def kill(self):
        """SIGKILL for Patroni first, so that it starts nothing again, and for all of its server."""
        if not processes.kill(self.home) or not processes.kill(self.data):
            raise Failed(f"{self.name} could not be killed")
        if self.process:
            self.process.wait()
        self.paused = False

    def stop(self):
        """As an operator would: Patroni shuts its server down, and gives the leader's key back."""
        self.must_run()
        processes.send(self.process.pid, signal.SIGTERM, self.home)
        self.world.until(
            f"{self.name} does not stop",
            STOP_SECONDS,
            lambda: self.process.poll() is not None and not processes.inside(self.data),
        )

    def freeze(self):
        """Patroni alone stands still: its server goes on as what it was."""
        self.must_run()
        self.paused = True
        processes.send(self.process.pid, signal.SIGSTOP, self.home)

    def thaw(self):
        if not self.paused:
            raise Failed(f"{self.name} is not frozen")
        processes.send(self.process.pid, signal.SIGCONT, self.home)
        self.paused = False

    def running(self):
        return self.process is not None and self.process.poll() is None

    def must_run(self):
        if not self.running() or self.paused:
            raise Failed(f"{self.name} {'is frozen' if self.paused else 'does not run'}")

    # ---- what is known of it ----

    def cluster(self):
        """What its API says of all members, or None."""
        try:
            with urllib.request.urlopen(self.api + "/cluster", timeout=2) as answer:
                return json.load(answer)
        except (OSError, ValueError, urllib.error.URLError):
            return None

    def sql(self, text, database="postgres", seconds=30):
        """Runs SQL as the superuser, each statement on its own; rows as psql -At prints them."""
        words = f"-X -q -A -t -v ON_ERROR_STOP=1 -h 127.0.0.1 -p {self.port} -U postgres -f -"
        argv = [os.path.join(self.fleet.binaries, "psql"), *words.split(), "-d", database]
        secrets = {"PGPASSWORD": self.fleet.superuser_password, "PGCONNECT_TIMEOUT": "10"}
        return self.world.run(argv, seconds, text=text + "\n", environment=secrets)

    def postmaster(self):
        first = "".join(processes.lock_file(self.data)[:1])
        return int(first) if first.isdigit() and processes.works_in(int(first), self.data) else 0

    def last_words(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return "".join(file.readlines()[-12:]).rstrip()
        except OSError:
            return "it has not said anything"

    def facts(self):
        return {
            "name": self.name,
            "port": self.port,
            "api": self.api,
            "state": "frozen" if self.paused else "running" if self.running() else "stopped",
            "pid": self.postmaster(),
        }
