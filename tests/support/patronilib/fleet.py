# SPDX-License-Identifier: BSD-2-Clause
"""The cluster: etcd, the members, and what can be done to them as a whole.

All members are started at once. One of them wins the race to make the database, the others copy
it from there; then the role app and its database are made on the leader."""
import os
import secrets
import signal
import subprocess

from clusterlib import ports, processes
from clusterlib.fleet import CONTENT
from clusterlib.guard import Guard
from clusterlib.world import Failed, bare_environment
from patronilib.member import Member

START_SECONDS = 90
CHANGE_SECONDS = 60


class Fleet:
    """Options are those of the command line (see main.py)."""

    def __init__(self, world, binaries, user, root, options):
        self.world = world
        self.binaries = binaries
        self.user = user
        self.options = options
        self.directory = os.path.join(root, "weir-patroni-" + secrets.token_hex(6))
        self.guard = Guard(self.directory, options.max_seconds + 60)
        self.superuser_password = secrets.token_urlsafe(18)
        self.app_password = secrets.token_urlsafe(18)
        self.held = [ports.hold(), ports.hold()]
        self.etcd_port, self.peer_port = (held.getsockname()[1] for held in self.held)
        self.etcd = None
        self.members = []

    def give(self, path):
        """Makes the servers' user the owner."""
        if self.user:
            os.chown(path, self.user["user"], self.user["group"])

    # ---- the whole ----

    def start(self):
        os.mkdir(self.directory, 0o711)
        self.world.directory = self.directory
        self.world.user = self.user
        # Patroni's servers are orphans, ours to reap: it waits for one until it is no zombie either.
        processes.adopt_orphans()
        signal.signal(signal.SIGCHLD, lambda _signum, _frame: processes.reap())
        for name in ("nodes", "patroni", "etcd"):
            os.mkdir(os.path.join(self.directory, name), 0o700)
            self.give(os.path.join(self.directory, name))
        self.start_etcd()
        self.members = [Member(self, index) for index in range(self.options.members)]
        for member in self.members:
            member.start()
        self.await_members()
        self.fill()

    def stop(self):
        """Takes all down and waits until it is gone."""
        self.world.close()
        self.guard.finish()
        for held in self.held + [held for member in self.members for held in member.held]:
            held.close()
        for process in [self.etcd] + [member.process for member in self.members]:
            if process:
                process.poll()
        processes.reap()
        if os.path.lexists(self.directory):
            raise Failed(f"{self.directory} could not be removed")

    def start_etcd(self):
        place = os.path.join(self.directory, "etcd")
        client = f"http://127.0.0.1:{self.etcd_port}"
        peer = f"http://127.0.0.1:{self.peer_port}"
        argv = ["/usr/bin/etcd", "--name", "etcd", "--data-dir", os.path.join(place, "data")]
        argv += ["--listen-client-urls", client, "--advertise-client-urls", client]
        argv += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        argv += ["--initial-cluster", f"etcd={peer}", "--unsafe-no-fsync", "--log-level", "error"]
        with open(os.path.join(self.directory, "etcd.log"), "ab") as log:
            self.etcd = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=place,
                start_new_session=True,
                env=bare_environment(ETCD_UNSUPPORTED_ARCH=os.uname().machine),
                **self.world.user,
            )

    def await_members(self):
        """Waits until one leads and all others stream from it."""
        try:
            self.world.until("the members do not come up", START_SECONDS, self.is_whole, 0.1)
        except Failed as error:
            words = "\n".join(f"{m.name}: {m.last_words()}" for m in self.members)
            raise Failed(f"{error}\n{words}") from error

    def is_whole(self):
        """Whether every member that runs has its part, on one timeline."""
        found = self.view()
        wanted = {member.name for member in self.members if member.running()}
        here = {one["name"]: one for one in found if one["name"] in wanted}
        leaders = [one for one in here.values() if one["role"] == "leader"]
        timelines = {one.get("timeline") for one in here.values()}
        return (
            len(here) == len(wanted)
            and len(leaders) == 1
            and len(timelines) == 1
            and all(one["state"] in ("running", "streaming") for one in here.values())
            and self.streams(leaders[0]["name"]) == len(wanted) - 1
        )

    def streams(self, name):
        """How many standbys stream from the leader."""
        try:
            question = (
                "select count(*) from pg_stat_replication "
                "where state = 'streaming' and application_name like 'node%'"
            )
            return int(self.named(name).sql(question))
        except Failed:
            return -1

    def fill(self):
        leader = self.leader()
        text = CONTENT.format(password=self.app_password)
        text = text.replace(
            "\\connect shop app",
            f'\\connect "postgresql://app:{self.app_password}@127.0.0.1:{leader.port}/shop"',
        )
        leader.sql(text.replace("create database", "grant pg_monitor to app;\ncreate database", 1))
        position = leader.sql("select pg_current_wal_lsn()")
        question = f"select pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '{position}') >= 0"
        for member in self.members:
            if member is not leader:
                self.world.until(
                    f"{member.name} does not catch up",
                    30,
                    lambda standby=member: standby.sql(question) == "t",
                )

    # ---- facts ----

    def view(self):
        """The members as the first API that answers knows them."""
        for member in self.members:
            found = member.cluster() if member.running() and not member.paused else None
            if found:
                return found.get("members", [])
        return []

    def named(self, name):
        for member in self.members:
            if member.name == name:
                return member
        raise Failed(f"there is no member {name}")

    def leader(self):
        for one in self.view():
            if one["role"] == "leader":
                return self.named(one["name"])
        raise Failed("there is no leader")

    def member(self, word):
        if not word.isdigit() or int(word) >= len(self.members):
            raise Failed(f"there is no member {word}: they are 0 to {len(self.members) - 1}")
        return self.members[int(word)]

    def url(self, user, password, database):
        hosts = ",".join(f"127.0.0.1:{member.port}" for member in self.members)
        return f"postgresql://{user}:{password}@{hosts}/{database}"

    def facts(self):
        leaders = [one["name"] for one in self.view() if one["role"] == "leader"]
        return {
            "url": self.url("app", self.app_password, "shop"),
            "superuser_url": self.url("postgres", self.superuser_password, "postgres"),
            "apis": " ".join(member.api for member in self.members),
            "hosts": [member.facts() for member in self.members],
            "leader": self.named(leaders[0]).index if leaders else -1,
            "dir": self.directory,
            "bindir": self.binaries,
            "pid": os.getpid(),
        }

    # ---- orders ----

    def switchover(self, candidate):
        """patronictl switchover, as an operator would; it returns when another one leads."""
        asked = self.members[0]
        for member in self.members:
            if member.running() and not member.paused:
                asked = member
        argv = ["/usr/bin/patronictl", "-c", os.path.join(asked.home, "patroni.yml")]
        argv += ["switchover", "weir", "--force"]
        argv += ["--candidate", candidate.name] if candidate else []
        printed = self.world.run(argv, CHANGE_SECONDS)
        if "Successfully" not in printed:
            raise Failed(f"patronictl: {printed}")

    def add(self):
        member = Member(self, len(self.members))
        self.members.append(member)
        member.start()
        self.await_members()

    def signal_etcd(self, signum):
        processes.send(self.etcd.pid, signum, os.path.join(self.directory, "etcd"))

    def freeze_etcd(self):
        self.signal_etcd(signal.SIGSTOP)

    def thaw_etcd(self):
        self.signal_etcd(signal.SIGCONT)
