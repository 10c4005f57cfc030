# SPDX-License-Identifier: BSD-2-Clause
"""The command line of tests/support/patroni."""
import argparse
import os
import sys

from clusterlib import main as cluster, postgres
from clusterlib.world import Failed, Interrupted, Missing, World
from patronilib import words
from patronilib.fleet import Fleet

PROGRAMS = {
    "/usr/bin/patroni": "patroni",
    "/usr/bin/patronictl": "patroni",
    "/usr/bin/etcd": "etcd-server",
}


def main(about, argv):
    options = parse(about, argv)
    world = World(options.max_seconds)
    try:
        if options.word == "run":
            return cluster.run(world, options, open_fleet)
        return cluster.serve(world, options, open_fleet, words.obey)
    except Interrupted as end:
        return end.status
    except Failed as error:
        print(f"patroni: {error}", file=sys.stderr)
        return 1


def parse(about, argv):
    parser = argparse.ArgumentParser(
        prog="patroni", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("word", choices=("run", "serve"))
    parser.add_argument("--members", type=int, default=3, metavar="N", help="1 to 5 (3)")
    # As short as they go without a leader that loses its key for a busy processor: Patroni 3.0
    # takes anything, etcd no lease below 2 s, and loop_wait + 2 * retry_timeout is to fit in ttl.
    for name, value in (("ttl", 5), ("loop-wait", 1), ("retry-timeout", 2)):
        parser.add_argument(
            f"--{name}", type=int, default=value, metavar="S", help=f"Patroni's ({value})"
        )
    parser.add_argument(
        "--max-seconds", type=float, default=1800, metavar="S", help="the end after so long (1800)"
    )
    return cluster.parse_command(parser, argv)


def open_fleet(world, options):
    user = postgres.server_user()
    binaries = postgres.binaries()
    for program, package in PROGRAMS.items():
        if not os.access(program, os.X_OK):
            raise Missing(f"{program} is not installed (on Debian: {package})")
    return Fleet(world, binaries, user, postgres.temporary_root(user), options)
