# SPDX-License-Identifier: BSD-2-Clause
"""What the demo shows, step by step, and what must hold at the end.

The witness against weir is PostgreSQL. Each server counts the transactions of a database
(pg_stat_database), and on a standby nothing but weir's sessions makes any: its reads, plus for
each session two (one when it begins, one in which weir asks which timeouts are in force), plus a
probe a second and host. A backend hands its counts in when it ends, so they are read when weir's
sessions are gone."""
import math
import secrets
import time

from clusterlib.world import Failed
from demolib import failover, sql
from demolib.words import Verdicts, duration, heading, number, say, table

COMPARE_SECONDS = 4

STATISTICS = """
select pg_catalog.pg_is_in_recovery(), d.sessions, d.xact_commit + d.xact_rollback
from pg_catalog.pg_stat_database d where d.datname = {database}"""
SESSIONS = """
select count(*) from pg_catalog.pg_stat_activity
where datname = {database} and pid <> pg_catalog.pg_backend_pid()
    and application_name like 'weir%'"""


class Stage:
    """Where the demo plays: weir, how to ask the servers past it, and what may be done there."""

    def __init__(self, weir, witness, database, ours, options):
        self.weir = weir
        self.world = weir.world
        self.witness = witness  # for asking the servers past weir; without weir's options
        self.database = database  # an SQL expression: the database that weir uses
        self.ours = ours  # nobody else is there
        self.seconds = options.seconds
        self.threads = options.threads
        self.pq = sql.load()
        self.verdicts = Verdicts()
        self.writing = []  # how a bench is told to write, if it may
        self.schema = None  # made on somebody's own cluster
        self.steps = 0

    def step(self, text):
        self.steps += 1
        heading(f"{self.steps}. {text}")

    def server(self, host):
        return sql.Server(self.world, self.pq, self.witness, host)

    def load(self, *more):
        return ["--threads", str(self.threads), *self.writing, *more]


def check(stage):
    stage.step("Who is there?   weir check")
    status = stage.weir.show("check")
    stage.verdicts.add(
        status == 0 or (status == 1 and not stage.ours),
        "weir found the primary, and who is a replica",
    )
    if status > 1:
        raise Failed("without a primary there is nothing to show")
    _, document = stage.weir.ask("check")
    return [host["host"] for host in document["hosts"] if host["reachable"]]


def quiet(stage, server):
    """Waits until weir's sessions on a server are gone: then they have handed in their counts."""
    question = SESSIONS.format(database=stage.database)
    stage.world.until(
        f"{server.host}: weir's sessions do not end",
        20,
        lambda: server.rows(question) == [["0"]],
        0.02,
    )


def statistics(stage, hosts):
    """For each host: in recovery, sessions, transactions, as the server itself counts them, and how
    often it was asked for this (on our own cluster that is in another database); or why that is not
    known."""
    found = {}
    for host in hosts:
        try:
            with stage.server(host) as server:
                quiet(stage, server)
                recovery, sessions, transactions = server.rows(
                    STATISTICS.format(database=stage.database)
                )[0]
                found[host] = (recovery == "t", int(sessions), int(transactions), server.asked)
        except Failed as error:
            found[host] = str(error)
    return found


def mixed_load(stage):
    stage.step(
        f"{stage.seconds:g} seconds of reads and writes through the router: "
        f"{stage.threads} threads, 80 % reads"
    )
    if not stage.writing:
        say(
            "  Nothing is written here: a write is a query on the primary. "
            "(--write writes, in a schema of its own.)\n"
        )
    status, document = stage.weir.bench(stage.seconds, *stage.load())
    show_load(document)
    stage.verdicts.add(
        status == 0 and document["failures"] == 0,
        f"all of {number(document['queries'])} requests went well",
    )
    for error in document["errors"]:
        say(f"  failed {error['count']} times: {error['first']}")
    return document


def show_load(document):
    rows = []
    for host in document["hosts"]:
        for intent in ("read", "write"):
            cell = host[intent]
            counts = [number(cell["queries"]), number(cell["queries_per_s"])]
            times = quantiles(cell["wait_us"]) + quantiles(cell["query_us"])
            rows.append([host["host"], host["role"], intent, *counts, *times])
    head = "host|role|intent|served|a second|wait p50|p99|max|query p50|p99|max"
    table(head.split("|"), rows, 3)


def quantiles(times):
    return [duration((times or {}).get(name)) for name in ("p50", "p99", "max")]


def replicas(document):
    return [host for host in document["hosts"] if host["role"] == "replica"]


def judge_routing(stage, document):
    """What weir's own counts say about where reads and writes went."""
    standbys = replicas(document)
    fallbacks = sum(host["read"]["fallbacks"] for host in document["hosts"])
    if not standbys:
        say("\n  There is no replica here: the primary serves the reads.")
        return
    shares = " and ".join(f"{number(host['read']['queries'])}" for host in standbys)
    stage.verdicts.add(
        all(host["read"]["queries"] > 0 for host in standbys),
        f"every replica served reads: {shares}",
    )
    if stage.ours:
        stage.verdicts.add(fallbacks == 0, "no read fell back to the primary")
    stage.verdicts.add(
        sum(host["write"]["checkouts"] for host in standbys) == 0, "weir sent no write to a replica"
    )


def compare_statistics(stage, document, before, after):
    stage.step("What the servers say themselves   pg_stat_database")
    rows, agree, known = [], True, 0
    for host in document["hosts"]:
        name, counted = host["host"], host["read"]["queries"] + host["write"]["queries"]
        if not all(isinstance(side.get(name), tuple) for side in (before, after)):
            rows.append([name, host["role"], number(counted), "not known", "", "", ""])
            say(f"  {after.get(name) if isinstance(after.get(name), str) else before.get(name)}")
            continue
        sessions, transactions = (after[name][i] - before[name][i] for i in (1, 2))
        asked = 0 if stage.ours else before[name][3] + after[name][3]
        more, explained = transactions - counted, explanation(document, sessions) + asked
        numbers = [number(n) for n in (counted, transactions, more, sessions, explained)]
        rows.append([name, host["role"], *numbers])
        if host["role"] == "replica":
            known += 1
            agree = agree and 0 <= more <= explained
    table(
        ["host", "role", "weir's count", "the server's", "more", "sessions", "explained up to"],
        rows,
    )
    say(
        "\n  What a server counts beyond weir's requests are weir's sessions "
        "(two transactions each: the login, and the check"
    )
    say("  of the timeouts in force) and its probes (one a second and host).")
    judge_statistics(stage, known, agree)


def explanation(document, sessions):
    """The most transactions that a host may have seen beside the requests that were done."""
    probes = math.ceil(document["elapsed_s"]) + 5
    return 2 * sessions + probes + document["failures"] + document["cut_off"]


def judge_statistics(stage, known, agree):
    if stage.ours or (known and agree):
        stage.verdicts.add(
            known > 0 and agree, "the standbys' own statistics agree with weir's count of reads"
        )
    elif known:
        say(
            "  They differ by more than that: others use this database too, "
            "or the host is a proxy. Not judged."
        )


def judge_recovery(stage, document, before, after):
    standbys = [host["host"] for host in replicas(document)]
    held = all(
        isinstance(side.get(name), tuple) and side[name][0]
        for name in standbys
        for side in (before, after)
    )
    if standbys and (stage.ours or held):
        stage.verdicts.add(
            held, "the standbys were in recovery before and after, and cannot have taken a write"
        )


def writes_of(document):
    return sum(host["write"]["queries"] for host in document["hosts"])


def unsure_of(document):
    """Requests whose statement may have been done although its answer was not waited for."""
    return document["failures"] + document["cut_off"]


def rows_where_written(stage, document, fleet):
    """On the fixture, every row of the table tells which server wrote it."""
    stage.step("Where the writes went")
    found = [
        row.split("|")
        for row in fleet.primary.sql(
            "select port, in_recovery, count(*) from demo_writes group by 1, 2 order by 1, 2",
            "shop",
        ).splitlines()
    ]
    table(
        ["written by the server on port", "in recovery", "rows"],
        [[port, "yes" if recovery == "t" else "no", number(int(n))] for port, recovery, n in found],
    )
    fleet.await_standbys()
    copies = [int(node.sql("select count(*) from demo_writes", "shop")) for node in fleet.nodes]
    total, sure = sum(int(n) for _, _, n in found), writes_of(document)
    stage.verdicts.add(
        [(port, recovery) for port, recovery, _ in found] == [(str(fleet.primary.port), "f")]
        and sure <= total <= sure + unsure_of(document),
        f"no write reached a standby: {number(sure)} writes by weir, "
        f"{number(total)} rows, all by the primary",
    )
    stage.verdicts.add(
        copies == [total] * len(copies), "both standbys have got every row by replication"
    )


def judge_schema(stage, document):
    """On somebody's own cluster, the schema that the bench made and dropped."""
    schema = document["schema"]
    sure = writes_of(document)
    stage.verdicts.add(schema and schema["dropped"], "the demo's schema is dropped again")
    stage.verdicts.add(
        schema
        and schema["rows"] is not None
        and sure <= schema["rows"] <= sure + unsure_of(document),
        f"every write is a row on the primary: {number(sure)}",
    )


def compare_with_connecting(stage, pooled):
    stage.step(
        f"The same for {COMPARE_SECONDS} seconds, with a connection for each request instead"
    )
    if stage.schema:
        choose_schema(stage)
    status, single = stage.weir.bench(COMPARE_SECONDS, *stage.load("--per-request"))
    factor = (
        pooled["queries_per_s"] / single["queries_per_s"] if single["queries_per_s"] else math.inf
    )
    table(
        ["", "requests a second", "getting a connection, p50", "p99"],
        [
            ["through weir", number(pooled["queries_per_s"]), *waits(pooled)],
            ["connecting each time", number(single["queries_per_s"]), *waits(single)],
        ],
        1,
    )
    say(f"\n  weir: {factor:.1f} times as many.")
    stage.verdicts.add(status == 0 or not stage.ours, "connecting for each request works, too")
    if stage.ours:
        stage.verdicts.add(
            factor > 1, f"pooling pays: {factor:.1f} times as many requests a second"
        )


def waits(document):
    """The worst over hosts and intents of the wait for a connection, at p50 and p99."""
    cells = [host[intent]["wait_us"] for host in document["hosts"] for intent in ("read", "write")]
    worst = (max((cell[name] for cell in cells if cell), default=None) for name in ("p50", "p99"))
    return [duration(us) for us in worst]


def choose_schema(stage):
    stage.schema = "weir_demo_" + secrets.token_hex(6)
    stage.writing = ["--write-schema", stage.schema]


def drop_leftover(stage, hosts):
    """The bench drops its schema however it ends, unless it was killed. Then we do, on whichever
    host is the primary."""
    for host in hosts if stage.schema else ():
        try:
            with stage.server(host) as server:
                found = server.rows(
                    "select 1 from pg_catalog.pg_namespace "
                    f"where nspname = '{stage.schema}' and not pg_catalog.pg_is_in_recovery()"
                )
                if found:
                    server.rows(f"drop schema {stage.schema} cascade")
                    say(f"  dropped the schema {stage.schema}, which was left")
        except Failed:
            continue  # gone or silent: not where the schema was made, or beyond our reach


def tell(stage, fleet):
    """The whole of it; returns how many things did not hold."""
    begin = time.monotonic()
    hosts = check(stage)
    try:
        before = statistics(stage, hosts)
        document = mixed_load(stage)
        after = statistics(stage, hosts)
        judge_routing(stage, document)
        compare_statistics(stage, document, before, after)
        judge_recovery(stage, document, before, after)
        if fleet:
            rows_where_written(stage, document, fleet)
        elif stage.schema:
            judge_schema(stage, document)
        compare_with_connecting(stage, document)
        if fleet:
            failover.kill_and_promote(stage, fleet)
    finally:
        with stage.world.undisturbed():
            drop_leftover(stage, hosts)
    heading(f"What had to hold   ({time.monotonic() - begin:.0f} s)")
    stage.verdicts.show()
    return stage.verdicts.failed()
