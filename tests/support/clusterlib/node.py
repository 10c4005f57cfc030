# SPDX-License-Identifier: BSD-2-Clause
"""One server: its data directory, its port, its postmaster, and what can be done to it."""
import os
import shutil
import signal
import subprocess

from clusterlib import ports, processes, tls
from clusterlib.world import Failed, bare_environment

START_SECONDS = 30
STOP_SECONDS = 20


class PortTaken(Failed):
    """Somebody else listens on the port that this server was to have."""


class Node:
    """What is told apart: `process` is the postmaster while it is wanted, `paused` says it was
    stopped by a signal."""

    def __init__(self, fleet, index):
        self.fleet = fleet
        self.world = fleet.world
        self.index = index
        self.name = f"node{index}"
        self.data = os.path.join(fleet.directory, "nodes", self.name)
        self.log = self.data + ".log"
        self.held = ports.hold()
        self.port = self.held.getsockname()[1]
        self.process = None
        self.paused = False
        self.is_standby = index > 0

    # ---- life ----

    def launch(self):
        """Starts the postmaster and does not wait for it. Per-server settings are on its command
        line, so that data directories are alike and can be copied."""
        if self.running():
            raise Failed(f"{self.name} runs already")
        settings = {"port": self.port, "cluster_name": self.name}
        if self.fleet.certificates:
            settings |= {
                "ssl": "on",
                "ssl_ca_file": self.fleet.certificates.path("ca.crt"),
                "ssl_cert_file": self.data + ".crt",
                "ssl_key_file": self.data + ".key",
            }
        argv = [self.fleet.program("postgres"), "-D", self.data]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.data,
                start_new_session=True,
                env=bare_environment(),
                **self.world.user,
            )

    def await_ready(self):
        """Waits until the server takes connections, as it says itself in postmaster.pid (pg_ctl
        looks there too)."""

        def ready():
            if self.process.poll() is not None:
                text = self.last_words()
                kind = PortTaken if "Address already in use" in text else Failed
                raise kind(f"{self.name} did not start:\n{text}")
            lines = processes.lock_file(self.data)
            return (
                len(lines) >= 8
                and lines[0] == str(self.process.pid)
                and lines[7].strip() == "ready"
            )

        self.world.until(f"{self.name} does not come up", START_SECONDS, ready)

    def start(self):
        self.launch()
        self.await_ready()

    def stop(self, mode="fast"):
        self.must_run()
        signum = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode]
        processes.send(self.process.pid, signum, self.data)
        self.world.until(
            f"{self.name} does not stop",
            STOP_SECONDS,
            lambda: self.process.poll() is not None and not processes.inside(self.data),
        )

    def kill(self):
        """SIGKILL for the postmaster and all of its processes at once; the postmaster is stopped
        first, lest it forks."""
        if not self.running():
            raise Failed(f"{self.name} does not run")
        processes.send(self.process.pid, signal.SIGSTOP, self.data)
        if not processes.kill(self.data):
            raise Failed(f"{self.name} could not be killed")
        self.process.wait()
        self.paused = False

    def pause(self):
        self.must_run()
        self.paused = True
        self.signal_all(signal.SIGSTOP, lambda state: state == "T")

    def resume(self):
        if not self.paused:
            raise Failed(f"{self.name} is not paused")
        self.signal_all(signal.SIGCONT, lambda state: state != "T")
        self.paused = False

    def signal_all(self, signum, reached):
        """Signals the postmaster, then the rest, until all of them are in the wanted state."""

        def done():
            others = [pid for pid in processes.inside(self.data) if pid != self.process.pid]
            waiting = [
                pid
                for pid in (self.process.pid, *others)
                if not reached((processes.stat(pid) or "-")[0])
            ]
            for pid in waiting[:1] if waiting[:1] == [self.process.pid] else waiting:
                processes.send(pid, signum, self.data)
            return not waiting

        self.world.until(f"{self.name}: signal {signum}", 30, done)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def must_run(self):
        if not self.running():
            raise Failed(f"{self.name} does not run")
        if self.paused:
            raise Failed(f"{self.name} is paused")

    # ---- content ----

    def sql(self, text, database="postgres", seconds=30):
        """Runs SQL as the superuser, each statement on its own; rows as psql -At prints them."""
        self.must_run()
        argv = [
            self.fleet.program("psql"),
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-U",
            "postgres",
            "-d",
            database,
            "-f",
            "-",
        ]
        return self.world.run(
            argv,
            seconds,
            text=text + "\n",
            environment={
                "PGPASSWORD": self.fleet.superuser_password,
                "PGCONNECT_TIMEOUT": "10",
                "PGAPPNAME": "cluster",
            },
        )

    def follow(self, upstream):
        """Names the server to stream from; takes effect at the next start, or at a reload."""
        path = os.path.join(self.data, "postgresql.auto.conf")
        with open(path, encoding="utf-8") as file:
            kept = [line for line in file if not line.startswith("primary_conninfo")]
        conninfo = (
            f"host=127.0.0.1 port={upstream.port} "
            f"user=postgres password={self.fleet.superuser_password} "
            f"application_name={self.name}"
        )
        with open(path, "w", encoding="utf-8") as file:
            file.writelines([*kept, f"primary_conninfo = '{conninfo}'\n"])

    def reload(self):
        processes.send(self.process.pid, signal.SIGHUP, self.data)

    def remove(self):
        """Takes the server down the hard way and removes its data."""
        if self.running():
            self.kill()
        processes.remove_segment(self.data)
        shutil.rmtree(self.data)

    def present(self, name):
        """Puts a certificate in place for this server; returns its path. Takes effect at the next
        start or reload."""
        source = self.fleet.certificates.path(name)
        for kind in (".key", ".crt"):
            new = self.data + kind + ".new"
            shutil.copyfile(source + kind, new)
            os.chmod(new, 0o600)
            self.fleet.give(new)
            os.replace(new, self.data + kind)
        return source + ".crt"

    def change_certificate(self, name):
        wanted = tls.in_file(self.present(name))
        if self.running() and not self.paused:
            self.reload()
            self.world.until(
                f"{self.name} does not show the certificate",
                30,
                lambda: tls.presented(self.port) == wanted,
            )

    def last_words(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-8:]).rstrip()

    def facts(self):
        return {
            "name": self.name,
            "port": self.port,
            "role": "standby" if self.is_standby else "primary",
            "state": "paused" if self.paused else "running" if self.running() else "stopped",
            "pid": self.process.pid if self.running() else 0,
            "data": self.data,
        }
