# SPDX-License-Identifier: BSD-2-Clause
"""The cluster: a primary, its standbys, and what can be done to them as a whole.

Start in four steps: initdb once; copy the data directory for each standby (the copy of a server
that was never started is a base backup that costs nothing); start all at once; fill the primary,
and wait until every standby has replayed that. A standby that is made again later (rejoin) comes
from pg_basebackup, as it would in life."""
import os
import secrets
import shutil

from clusterlib import processes, tls
from clusterlib.guard import Guard
from clusterlib.node import Node, PortTaken
from clusterlib.world import Failed, Program

READY_SECONDS = 30

SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = {max_connections}
shared_buffers = 16MB
dynamic_shared_memory_type = mmap     # files that go with the directory
fsync = off                           # nothing here outlives the run
wal_level = replica
hot_standby = on
max_wal_senders = 10
wal_keep_size = 256MB                 # a standby may be down for a while
wal_retrieve_retry_interval = 100ms
wal_receiver_status_interval = 1s
autovacuum = off
jit = off
password_encryption = scram-sha-256
timezone = UTC
log_line_prefix = '%m [%p] %q%a '
"""

ACCESS = """# type  database  user  address  method
host replication postgres 127.0.0.1/32 scram-sha-256
host all postgres 127.0.0.1/32 scram-sha-256
"""
ACCESS_BY_CERTIFICATE = """hostssl vault app 127.0.0.1/32 cert
hostnossl vault app 127.0.0.1/32 reject
"""
ACCESS_OF_APP = "host all app 127.0.0.1/32 scram-sha-256\n"

CONTENT = """
create role app login password '{password}';
create database shop owner app;
\\connect shop app
create table items (id int primary key, name text not null, stock int not null);
insert into items select i, 'item ' || i, i % 7 from generate_series(1, 1000) i;
"""


class Fleet:
    """Options are those of the command line (see main.py)."""

    def __init__(self, world, binaries, user, root, options):
        self.world = world
        self.binaries = binaries
        self.options = options
        self.user = user
        self.directory = os.path.join(root, "weir-cluster-" + secrets.token_hex(6))
        self.guard = Guard(self.directory, options.max_seconds + 60)
        self.superuser_password = secrets.token_urlsafe(18)
        self.app_password = secrets.token_urlsafe(18)
        self.certificates = None
        self.nodes = []
        self.primary = None

    def program(self, name):
        return os.path.join(self.binaries, name)

    def give(self, path):
        """Makes the servers' user the owner."""
        if self.user:
            os.chown(path, self.user["user"], self.user["group"])

    # ---- the whole ----

    def start(self):
        """Starts everything, and over again if somebody else was faster to take a port."""
        os.mkdir(self.directory, 0o711)
        self.world.directory = self.directory
        self.world.user = self.user
        processes.adopt_orphans()
        if self.options.tls:
            self.certificates = tls.Certificates(self.world, self.directory)
        for last in (False, False, True):
            try:
                return self.start_once()
            except PortTaken:
                self.drop_nodes()
                if last:
                    raise
        return None

    def start_once(self):
        os.mkdir(os.path.join(self.directory, "nodes"), 0o700)
        self.give(os.path.join(self.directory, "nodes"))
        self.nodes = [Node(self, index) for index in range(self.options.standbys + 1)]
        self.primary = self.nodes[0]
        self.make_primary()
        self.copy_to_standbys()
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.await_ready()
        self.fill()
        self.await_standbys()

    def drop_nodes(self):
        for node in self.nodes:
            if node.running():
                node.kill()
            processes.remove_segment(node.data)
            node.held.close()
        shutil.rmtree(os.path.join(self.directory, "nodes"))
        self.nodes = []

    def stop(self):
        """Takes all down and waits until it is gone."""
        self.world.close()
        self.guard.finish()
        for node in self.nodes:
            node.held.close()
            if node.process:
                node.process.poll()
        processes.reap()
        if os.path.lexists(self.directory):
            raise Failed(f"{self.directory} could not be removed")

    # ---- the start, step by step ----

    def make_primary(self):
        node = self.primary
        secret = os.path.join(self.directory, "secret")
        with open(
            os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii"
        ) as file:
            file.write(self.superuser_password + "\n")
        self.give(secret)
        self.world.run(
            [
                self.program("initdb"),
                "-D",
                node.data,
                "-U",
                "postgres",
                "--pwfile",
                secret,
                "--no-sync",
                "--no-instructions",
                "-E",
                "UTF8",
                "--locale=C",
                "--auth=scram-sha-256",
            ]
        )
        os.unlink(secret)
        with open(os.path.join(node.data, "postgresql.conf"), "a", encoding="ascii") as file:
            file.write(SETTINGS.format(max_connections=self.options.max_connections))
            for setting in self.options.setting:
                name, _, value = setting.partition("=")
                quoted = value.replace("'", "''")
                file.write(f"{name} = '{quoted}'\n")
        with open(os.path.join(node.data, "pg_hba.conf"), "w", encoding="ascii") as file:
            file.write(
                ACCESS + (ACCESS_BY_CERTIFICATE if self.certificates else "") + ACCESS_OF_APP
            )
        if self.options.max_connections < 100 or self.options.setting:
            self.settle_limits()

    def settle_limits(self):
        """A standby refuses limits below those that pg_control remembers of its primary, and initdb
        left the defaults there: let a server see the real ones once before the copies are made."""
        argv = [
            self.program("postgres"),
            "--single",
            "-D",
            self.primary.data,
            "-c",
            f"port={self.primary.port}",
        ]
        words = self.world.run([*argv, "postgres"], 30)
        if "FATAL" in words:
            raise Failed(f"{self.primary.name} did not start:\n{words}")

    def copy_to_standbys(self):
        standbys = self.nodes[1:]
        self.world.run_all(
            [
                Program(self.world, ["cp", "-R", "--reflink=auto", self.primary.data, node.data])
                for node in standbys
            ]
        )
        for node in standbys:
            node.follow(self.primary)
            self.mark_standby(node)
        if self.certificates:
            for node in self.nodes:
                node.present("server")

    def mark_standby(self, node):
        path = os.path.join(node.data, "standby.signal")
        with open(path, "w", encoding="ascii"):
            pass
        self.give(path)
        node.is_standby = True

    def fill(self):
        text = CONTENT.format(password=self.app_password).replace(
            "\\connect shop app", f'\\connect "{self.url_of(self.primary)}"'
        )
        if self.options.monitor:
            text = text.replace("create database", "grant pg_monitor to app;\ncreate database", 1)
        if self.certificates:
            text = text.replace("\\connect", "create database vault owner app;\n\\connect", 1)
        self.primary.sql(text)

    # ---- facts ----

    def node(self, word):
        if not word.isdigit() or int(word) >= len(self.nodes):
            raise Failed(f"there is no server {word}: they are 0 to {len(self.nodes) - 1}")
        return self.nodes[int(word)]

    def url_of(self, node):
        return f"postgresql://app:{self.app_password}@127.0.0.1:{node.port}/shop"

    def url(self, user, password, database):
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"postgresql://{user}:{password}@{hosts}/{database}"

    def facts(self):
        facts = {
            "url": self.url("app", self.app_password, "shop"),
            "superuser_url": self.url("postgres", self.superuser_password, "postgres"),
            "hosts": [node.facts() for node in self.nodes],
            "dir": self.directory,
            "bindir": self.binaries,
            "pid": os.getpid(),
        }
        if self.certificates:
            facts |= self.certificates.facts()
            facts["certificate_url"] = self.url("app", "none", "vault").replace(":none@", "@")
        return facts

    # ---- replication ----

    def await_standbys(self):
        """Waits until every running standby of the primary streams and has replayed all that the
        primary has written."""
        names = [
            node.name
            for node in self.nodes
            if node.is_standby and node.running() and not node.paused
        ]
        if not names:
            return
        position = self.primary.sql("select pg_current_wal_lsn()")
        listed = ",".join(f"'{name}'" for name in names)
        question = (
            "select count(distinct application_name) from pg_stat_replication "
            "where state = 'streaming' "
            f"and replay_lsn >= '{position}' and application_name in ({listed})"
        )
        try:
            self.world.until(
                "standbys do not catch up",
                READY_SECONDS,
                lambda: self.primary.sql(question) == str(len(names)),
                pause=0.02,
            )
        except Failed as error:
            words = "\n".join(
                f"{node.name}: {node.last_words()}" for node in self.nodes if node.name in names
            )
            raise Failed(f"{error}\n{words}") from error

    def promote(self, node):
        if node.sql("select pg_promote(true, 30)") != "t":
            raise Failed(f"{node.name} was not promoted within 30 s")
        self.promoted(node)

    def promoted(self, node):
        """It has been, by whatever means."""
        node.is_standby = False
        self.primary = node

    def follow(self, node):
        """Makes a running standby stream from the present primary; true data that it has beyond it
        are refused by PostgreSQL."""
        node.must_run()
        if not node.is_standby:
            raise Failed(f"{node.name} is no standby: rejoin it")
        node.follow(self.primary)
        node.reload()
        self.await_standby(node)

    def rejoin(self, node):
        """Throws a server's data away and makes it a standby of the primary by a base backup."""
        if node is self.primary:
            raise Failed(f"{node.name} is the primary")
        self.primary.must_run()
        node.remove()
        self.world.run(
            [
                self.program("pg_basebackup"),
                "-D",
                node.data,
                "-R",
                "-X",
                "stream",
                "-c",
                "fast",
                "--no-sync",
                "-h",
                "127.0.0.1",
                "-p",
                str(self.primary.port),
                "-U",
                "postgres",
            ],
            60,
            environment={"PGPASSWORD": self.superuser_password},
        )
        node.follow(self.primary)
        self.mark_standby(node)
        node.start()
        self.await_standby(node)

    def await_standby(self, node):
        question = (
            "select 1 from pg_stat_replication "
            f"where state = 'streaming' and application_name = '{node.name}'"
        )
        self.world.until(
            f"{node.name} does not stream",
            READY_SECONDS,
            lambda: self.primary.sql(question) == "1",
            pause=0.05,
        )

    def pause_replay(self, node):
        node.sql("select pg_wal_replay_pause()")
        self.world.until(
            f"{node.name} goes on replaying",
            30,
            lambda: node.sql("select pg_get_wal_replay_pause_state()") == "paused",
        )

    def resume_replay(self, node):
        node.sql("select pg_wal_replay_resume()")
