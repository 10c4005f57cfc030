# SPDX-License-Identifier: BSD-2-Clause
"""What is measured (scenes) and who takes part (cases)."""
import os
from dataclasses import dataclass, field

CORES = os.cpu_count() or 1
PLENTY = max(16, CORES)  # connections of a pool in which nobody has to wait


@dataclass(frozen=True)
class Scene:
    """One row of the comparison: everybody does this work."""

    bench: str
    work: str  # as the programs know it
    threads: int
    connections: int
    hold_us: int = 0
    parts: int = 1  # runs a round, each of them shorter

    @property
    def args(self):
        holds = {"hold_us": self.hold_us} if self.work == "crowd" else {}
        return {"connections": self.connections, **holds}

    @property
    def title(self):
        words = f"{self.bench}: {self.threads} threads on {self.connections} connections"
        return words + (f", {self.hold_us} us hold" if self.work == "crowd" else "")


SCENES = [
    Scene("warm_pair", "pair", 1, PLENTY),
    Scene("warm_pair", "pair", CORES, PLENTY),
    Scene("crowd", "crowd", 8, 2, 0),
    Scene("crowd", "crowd", 8, 2, 10),
    Scene("crowd", "crowd", 32, 8, 10),
    # What a query takes depends on where the scheduler happens to put both ends: several short runs
    # say more than a long one.
    Scene("query", "query", 1, 1, parts=2),
    Scene("query", "query", 2, 2, parts=2),
    Scene("query", "query", 8, 8, parts=2),
    Scene("crowd_query", "query", 8, 2, parts=2),
    Scene("pgbouncer", "request", 8, 8),
    Scene("pgbouncer", "request", 32, 8),
    Scene("spike", "spike", 50, 20),
]

# Where a thread of its own stands for a raw connection of its own: as many as the pool has.
RAW_BENCH = "query"


@dataclass(frozen=True)
class Case:
    """Somebody who takes part: which program, and with which word for it in each bench. A bench
    that is in neither list is not its subject; one in `cannot` becomes a row that says why."""

    name: str
    program: str
    variant: dict
    raw: str = None  # whose figure is the floor in this language
    cannot: dict = field(default_factory=dict)
    slow_start: bool = False  # compiles while it runs: a longer warm-up

    def takes_part(self, scene):
        return scene.bench in self.variant


def everywhere(word):
    return {bench: word for bench in ("warm_pair", "crowd", "query", "crowd_query", "spike")}


NO_CONNECTIONS = "pools anything but opens no connections: see pgxpool, which is built on it"
A_PROXY = "a proxy: a checkout of its own cannot be timed, only a request through it"
A_TWIN = "a pool of fixed size by design: it opens no connection when they come"

CASES = [
    Case(
        "weir",
        "weir",
        {
            "warm_pair": "fake",
            "crowd": "fake",
            "query": "libpq",
            "crowd_query": "libpq",
            "pgbouncer": "libpq",
            "spike": "libpq",
        },
        raw="raw-libpq",
    ),
    Case("weir-libpq", "weir", {"warm_pair": "libpq", "crowd": "libpq"}),
    Case(
        "mutex",
        "plain",
        {bench: "plain" for bench in ("warm_pair", "crowd", "query", "crowd_query")},
        raw="raw-libpq",
        cannot={"spike": A_TWIN},
    ),
    Case("libzdb", "libzdb", everywhere("libzdb"), raw="raw-libpq"),
    Case("apr_reslist", "apr_reslist", everywhere("apr_reslist"), raw="raw-libpq"),
    Case("hikaricp", "java", everywhere("hikaricp"), raw="raw-pgjdbc", slow_start=True),
    Case(
        "puddle",
        "go",
        {"warm_pair": "puddle", "crowd": "puddle"},
        cannot={bench: NO_CONNECTIONS for bench in ("query", "crowd_query", "spike")},
    ),
    Case("pgxpool", "go", everywhere("pgxpool"), raw="raw-pgx"),
    Case("r2d2", "r2d2", everywhere("r2d2"), raw="raw-libpq"),
    Case("psycopg_pool", "python", everywhere("psycopg_pool"), raw="raw-psycopg"),
    Case("sqlalchemy", "python", everywhere("sqlalchemy"), raw="raw-psycopg2"),
    Case("psycopg2_pool", "python", everywhere("psycopg2_pool"), raw="raw-psycopg2"),
    Case(
        "pgbouncer",
        "raw",
        {"pgbouncer": "raw"},
        cannot={bench: A_PROXY for bench in ("warm_pair", "crowd", "query", "crowd_query", "spike")},
    ),
    Case("raw-libpq", "raw", {"query": "raw"}),
    Case("raw-pgjdbc", "java", {"query": "raw"}, slow_start=True),
    Case("raw-pgx", "go", {"query": "raw"}),
    Case("raw-psycopg", "python", {"query": "raw_psycopg"}),
    Case("raw-psycopg2", "python", {"query": "raw_psycopg2"}),
]

# Debian packages whose versions are told, by the name a reader knows.
PACKAGES = {
    "libzdb": "libzdb11",
    "apr_reslist (apr-util)": "libaprutil1",
    "HikariCP": "libhikaricp-java",
    "pgjdbc": "libpostgresql-jdbc-java",
    "OpenJDK": "openjdk-17-jre-headless",
    "puddle": "golang-github-jackc-puddle-dev",
    "pgx and pgxpool": "golang-github-jackc-pgx-v4-dev",
    "Go": "golang-1.19-go",
    "r2d2": "librust-r2d2-dev",
    "Rust": "rustc",
    "psycopg": "python3-psycopg",
    "psycopg_pool": "python3-psycopg-pool",
    "psycopg2": "python3-psycopg2",
    "SQLAlchemy": "python3-sqlalchemy",
    "Python": "python3",
    "PgBouncer": "pgbouncer",
    "PostgreSQL": "postgresql-15",
    "libpq": "libpq5",
}
