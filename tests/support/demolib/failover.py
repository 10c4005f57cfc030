# SPDX-License-Identifier: BSD-2-Clause
"""The demo's last step: the primary is killed under load, a standby promoted, and weir goes on.

When writes stopped and went on again is read from the rows themselves: each says when it was
written and by which server. The primary waits for a standby with each commit, so whatever it
acknowledged before it died is on the standby that has received the most, which is promoted."""
import time

from clusterlib.world import Failed
from demolib.words import number, say, table, tinted

BEFORE, AFTER = 2.0, 3.0  # seconds of load before the kill, and after the promotion
PROMOTE_SECONDS = 30
BUCKET = 0.1  # seconds a line of the chart
BAR = 40
SOON_MS = 1000

RECEIVED = """
select greatest(pg_catalog.pg_last_wal_receive_lsn(),
    pg_catalog.pg_last_wal_replay_lsn()) - '0/0'::pg_catalog.pg_lsn"""
WRITTEN = """
select port, in_recovery, count(*), extract(epoch from min(at)), extract(epoch from max(at))
from demo_writes where id > {last} group by 1, 2 order by 4"""
CHART = """
select floor((extract(epoch from at) - {killed}) / {bucket})::int, port, count(*)
from demo_writes where id > {last} and at >= to_timestamp({killed}) - interval '0.4 s'
group by 1, 2 order by 1, 2"""


class Scene:
    """What happened, and when, in seconds since 1970."""

    def __init__(self, stage, fleet):
        self.stage = stage
        self.fleet = fleet
        self.old = fleet.primary
        self.new = None
        self.other = None
        self.killed = self.promoted = 0.0
        self.last = self.old.sql("select coalesce(max(id), 0) from demo_writes", "shop")

    def play(self):
        """While the load runs."""
        self.stage.world.wait(BEFORE)
        self.killed = time.time()
        self.old.kill()
        standbys = [node for node in self.fleet.nodes if node is not self.old]
        received = {node.name: int(node.sql(RECEIVED)) for node in standbys}
        self.new = max(standbys, key=lambda node: received[node.name])
        self.other = next(node for node in standbys if node is not self.new)
        self.promote()
        self.fleet.follow(self.other)
        self.stage.world.wait(AFTER)

    def promote(self):
        """Sees to the millisecond when it is done: pg_promote itself looks ten times a second."""
        with self.stage.server(f"127.0.0.1:{self.new.port}") as server:
            server.rows("select pg_catalog.pg_promote(false)")
            self.stage.world.until(
                f"{self.new.name} is not promoted",
                PROMOTE_SECONDS,
                lambda: server.rows("select pg_catalog.pg_is_in_recovery()") == [["f"]],
                0.002,
            )
        self.promoted = time.time()
        self.fleet.promoted(self.new)


def kill_and_promote(stage, fleet):
    stage.step("The primary is killed (SIGKILL) under load, and a standby promoted")
    fleet.primary.sql("alter system set synchronous_standby_names = 'ANY 1 (*)'")
    fleet.primary.reload()
    scene = Scene(stage, fleet)
    seconds = BEFORE + AFTER + 2
    _, document = stage.weir.bench(
        seconds,
        *stage.load("--reads", "50", "--set", "probe_interval_ms=100", "--quiet"),
        meanwhile=scene.play,
    )
    written = rows_by_server(scene)
    show_chart(scene)
    judge_times(stage, scene, written)
    show_hosts(document, scene)
    judge_failures(stage, scene, document)
    judge_rows(stage, scene, document, written)


def rows_by_server(scene):
    """Port, in recovery or not, how many, when the first and the last."""
    found = scene.new.sql(WRITTEN.format(last=scene.last), "shop").splitlines()
    return [
        [int(port), recovery, int(count), float(first), float(last)]
        for port, recovery, count, first, last in (row.split("|") for row in found)
    ]


# ---- what is shown ----


def show_chart(scene):
    """Writes by tenths of a second around the kill."""
    question = CHART.format(killed=scene.killed, bucket=BUCKET, last=scene.last)
    counts = {}
    for row in scene.new.sql(question, "shop").splitlines():
        bucket, port, count = map(int, row.split("|"))
        counts.setdefault(bucket, []).append((port, count))
    promoted = int((scene.promoted - scene.killed) / BUCKET)
    most = max((count for found in counts.values() for _, count in found), default=1)
    for bucket in range(-3, promoted + 6):
        if bucket == 0:
            say(tinted(f"            {scene.old.port} is killed", "31"))
        line = "  ".join(
            f"{'#' * max(1, BAR * count // most)} {number(count)} by {port}"
            for port, count in counts.get(bucket, [])
        )
        say(f"  {bucket * BUCKET * 1000:+6.0f} ms  {line}".rstrip())
        if bucket == promoted:
            say(tinted(f"            {scene.new.port} is the primary", "32"))
    say()


def show_hosts(document, scene):
    names = {scene.old.port: "killed", scene.new.port: "promoted", scene.other.port: "standby"}
    rows = []
    for host in document["hosts"]:
        fate = names.get(int(host["host"].rpartition(":")[2]), "")
        served = [number(host[intent]["queries"]) for intent in ("read", "write")]
        failed = [number(host[intent]["failures"]) for intent in ("read", "write")]
        rows.append([host["host"], fate, *served, *failed])
    table(["host", "", "reads served", "writes served", "reads failed", "writes failed"], rows)
    for error in document["errors"]:
        first = (error["first"].splitlines() or [""])[0]
        say(
            f"  {error['count']} x {error['status']} during a {error['intent']} {error['during']}"
            f" at {error['host'] or '-'}: {first[:90]}"
        )
    say()


# ---- what must hold ----


def judge_times(stage, scene, written):
    lasts = [last for port, _, _, _, last in written if port == scene.old.port]
    firsts = [first for port, _, _, first, _ in written if port == scene.new.port]
    if not lasts or not firsts:
        raise Failed("writes did not go on after the failover")
    stopped, resumed = max(lasts), min(firsts)
    after = (resumed - scene.promoted) * 1000
    say(
        f"  The last write by {scene.old.port} was {(stopped - scene.killed) * 1000:+.0f} ms "
        f"from the kill; {scene.new.port} was the primary at "
        f"{(scene.promoted - scene.killed) * 1000:+.0f} ms,"
    )
    say(
        f"  and took its first write at {(resumed - scene.killed) * 1000:+.0f} ms: "
        f"{max(0, after):.0f} ms after its promotion was done.\n"
    )
    stage.verdicts.add(
        after <= SOON_MS,
        f"the primary was killed: writes stood still for {(resumed - stopped) * 1000:.0f} ms, "
        f"and went on {max(0, after):.0f} ms after the promotion",
    )


def judge_failures(stage, scene, document):
    """Nobody who asked for a connection was turned away; what failed was under way at the server
    that was killed."""
    old = f"127.0.0.1:{scene.old.port}"
    failed = sum(error["count"] for error in document["errors"])
    in_flight = all(
        error["during"] == "query" and error["host"] == old for error in document["errors"]
    )
    stage.verdicts.add(
        in_flight and failed <= 2 * stage.threads,
        f"only what was under way at the killed primary failed: {failed} of "
        f"{number(document['queries'])} requests, by {stage.threads} threads",
    )


def judge_rows(stage, scene, document, written):
    writes = {
        int(host["host"].rpartition(":")[2]): host["write"]["queries"]
        for host in document["hosts"]
    }
    servers = {(port, recovery) for port, recovery, _, _, _ in written}
    rows, sure = sum(row[2] for row in written), sum(writes.values())
    stage.verdicts.add(
        writes[scene.other.port] == 0
        and servers == {(scene.old.port, "f"), (scene.new.port, "f")},
        f"no write reached a standby: {number(writes[scene.old.port])} by the old primary, "
        f"{number(writes[scene.new.port])} by the new one",
    )
    stage.verdicts.add(
        sure <= rows <= sure + document["failures"] + document["cut_off"],
        f"nothing that was acknowledged is lost: {number(sure)} writes acknowledged, "
        f"{number(rows)} rows",
    )
