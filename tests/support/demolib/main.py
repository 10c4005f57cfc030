# SPDX-License-Identifier: BSD-2-Clause
"""weir at work on a real PostgreSQL primary with standbys, with proof.

    demo.sh                a cluster made for this, on this machine, and gone afterwards
    demo.sh URL            your own cluster: looks and reads, writes nothing
    demo.sh URL --write    the same with writes, in a schema weir_demo_... that is dropped again,
                           also after Ctrl-C

It shows who is there, puts a mixed load on the router, compares weir's counts with the servers'
own, and connects for each request to compare. On its own cluster it then kills the primary under
load and promotes a standby: when writes stopped and went on, and what failed. It ends by itself.
Exit status: 0 if all that it promises held, 1 if not, 2 for wrong usage, 77 if there is no
PostgreSQL here, 128 + the signal's number.

Others can see what stands on a command line: a password is better in PGPASSWORD or ~/.pgpass.
"""
import argparse
import sys
import time
from types import SimpleNamespace

from clusterlib import postgres
from clusterlib.fleet import Fleet
from clusterlib.world import Failed, Interrupted, Missing, World
from demolib import story
from demolib.sql import without
from demolib.weir import Weir
from demolib.words import BAD, GOOD, heading, say, tinted

TABLE = """
create table demo_writes (
	id bigint generated always as identity primary key,
	at timestamptz not null default pg_catalog.clock_timestamp(),
	port int not null default pg_catalog.inet_server_port(),
	in_recovery boolean not null default pg_catalog.pg_is_in_recovery());
alter table demo_writes owner to app;
"""


def parse(argv):
    parser = argparse.ArgumentParser(
        prog="demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "url",
        nargs="?",
        metavar="URL",
        help="every host of your cluster: postgresql://app@h1,h2/shop",
    )
    parser.add_argument("--write", action="store_true", help="with a URL: write, too")
    parser.add_argument("--seconds", type=float, default=10, metavar="S", help="of mixed load (10)")
    parser.add_argument("--threads", type=int, default=8, metavar="N", help="(8)")
    options = parser.parse_args(argv)
    if options.write and not options.url:
        parser.error(
            "--write goes with a URL; without one the demo writes anyway, in its own cluster"
        )
    if not 1 <= options.seconds <= 600 or not 1 <= options.threads <= 64:
        parser.error("--seconds is 1 to 600, --threads 1 to 64")
    return options


def main(argv):
    options = parse(argv)
    options.max_seconds = options.seconds + 300
    world = World(options.max_seconds)
    try:
        failed = (elsewhere if options.url else here)(world, options)
    except Missing as error:
        print(f"skipped: {error}", file=sys.stderr)
        return 77
    except Failed as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except Interrupted as end:
        print(f"\ndemo: {end}", file=sys.stderr)
        return end.status
    say(
        tinted("\nAll of it held.", GOOD)
        if not failed
        else tinted(f"\nNot all of it held: {failed}.", BAD)
    )
    return 1 if failed else 0


def here(world, options):
    """On a cluster of our own."""
    wanted = SimpleNamespace(
        standbys=2,
        tls=False,
        monitor=False,
        max_connections=100,
        setting=[],
        max_seconds=options.max_seconds,
    )
    user = postgres.server_user()
    heading("weir: reads on the standbys, writes on the primary, and the proof of it")
    begin = time.monotonic()
    fleet = Fleet(world, postgres.binaries(), user, postgres.temporary_root(user), wanted)
    try:
        fleet.start()
        say("  A PostgreSQL primary with two streaming standbys runs for this on 127.0.0.1,")
        say(f"  started in {time.monotonic() - begin:.1f} s.")
        fleet.primary.sql(TABLE, "shop")
        fleet.await_standbys()
        facts = fleet.facts()
        weir = Weir(world, facts["url"])
        stage = story.Stage(weir, facts["superuser_url"], "'shop'", True, options)
        stage.writing = ["--write-table", "demo_writes"]
        failed = story.tell(stage, fleet)
    finally:
        begin = time.monotonic()
        fleet.stop()
    say(f"\n  The cluster is down and removed ({time.monotonic() - begin:.1f} s).")
    return failed


def elsewhere(world, options):
    """On somebody's own cluster."""
    doing = "writing in a schema of its own" if options.write else "reading only"
    heading(f"weir on your cluster, {doing}")
    weir = Weir(world, options.url)
    witness = without(options.url, weir.option_names())
    stage = story.Stage(weir, witness, "pg_catalog.current_database()", False, options)
    if options.write:
        story.choose_schema(stage)
    return story.tell(stage, None)
