# SPDX-License-Identifier: BSD-2-Clause
"""The command line of tests/support/cluster, and the order in which things begin and end."""
import argparse
import os
import sys

from clusterlib import foreground, postgres, words
from clusterlib.fleet import Fleet
from clusterlib.world import Failed, Interrupted, Missing, World


def main(about, argv):
    options = parse(about, argv)
    world = World(options.max_seconds)
    try:
        if options.word == "run":
            return run(world, options, open_fleet)
        return serve(world, options, open_fleet, words.obey)
    except Interrupted as end:
        return end.status
    except Failed as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1


def parse(about, argv):
    parser = argparse.ArgumentParser(
        prog="cluster", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("word", choices=("run", "serve"))
    parser.add_argument(
        "--standbys", type=int, default=2, metavar="N", help="streaming standbys, 0 to 8 (2)"
    )
    parser.add_argument(
        "--tls", action="store_true", help="with certificates; clients may still do without"
    )
    parser.add_argument("--monitor", action="store_true", help="give app the role pg_monitor")
    parser.add_argument(
        "--max-connections", type=int, default=100, metavar="N", help="of each server (100)"
    )
    parser.add_argument(
        "--setting",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a server setting; repeatable",
    )
    parser.add_argument(
        "--max-seconds", type=float, default=1800, metavar="S", help="the end after so long (1800)"
    )
    options = parse_command(parser, argv)
    if not 0 <= options.standbys <= 8:
        parser.error("--standbys: 0 to 8")
    if not all(
        setting.partition("=")[0].replace("_", "").replace(".", "").isalnum()
        and "=" in setting
        and "\n" not in setting
        for setting in options.setting
    ):
        parser.error("--setting: NAME=VALUE")
    return options


def parse_command(parser, argv):
    """The options before --, and the command after it as options.command."""
    before, dashes, command = argv, [], []
    if "--" in argv:
        at = argv.index("--")
        before, dashes, command = argv[:at], argv[at : at + 1], argv[at + 1 :]
    options = parser.parse_args(before)
    options.command = command
    if (options.word == "run") != bool(command) or bool(dashes) != bool(command):
        parser.error("run takes a command after --, serve takes none")
    return options


def open_fleet(world, options):
    user = postgres.server_user()
    return Fleet(world, postgres.binaries(), user, postgres.temporary_root(user), options)


def serve(world, options, make, obey):
    """make(world, options) is a fleet, obey(fleet, line) does what it is told."""
    fleet, quitting = None, False
    try:
        fleet = make(world, options)
        fleet.start()
        quitting = words.serve(fleet, obey)
        status, text = 0, None
    except Missing as error:
        status, text = 77, {"ok": False, "skip": True, "error": str(error)}
    except Failed as error:
        status, text = 1, {"ok": False, "skip": False, "error": str(error)}
    except BrokenPipeError:
        status, text = 1, None
    finally:
        if fleet:
            fleet.stop()
    try:
        if text or quitting:
            words.answer(text or {"ok": True})
    except BrokenPipeError:
        pass
    return status


def run(world, options, make):
    fleet = None
    try:
        fleet = make(world, options)
        fleet.start()
        return foreground.run(world, options.command, environment(fleet.facts()))
    except Interrupted as end:
        return end.status if end.command is None or end.status == 124 else end.command
    except Missing as error:
        print(f"skipped: {error}", file=sys.stderr)
        return 77
    except Failed as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    finally:
        if fleet:
            fleet.stop()


def environment(facts):
    """The facts as environment variables. Not WEIR_: that prefix belongs to weir's options."""
    named = {
        f"CLUSTER_{name.upper()}": str(value) for name, value in facts.items() if name != "hosts"
    }
    named["CLUSTER_PORTS"] = " ".join(str(host["port"]) for host in facts["hosts"])
    return {**os.environ, **named, "DATABASE_URL": facts["url"]}
