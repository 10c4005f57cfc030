# SPDX-License-Identifier: BSD-2-Clause
"""The commands of `cluster serve`: one line each, answered by one line of JSON.

    status                         the facts anew: each server's role, state, port and pid
    sync                           wait until running standbys have replayed what the primary wrote
    stop I [fast|immediate]        shut down             start I     start again, on the same port
    kill I                         SIGKILL, all of it    restart I   stop fast, start
    pause I                        SIGSTOP, all of it    resume I    and go on
    promote I                      make a standby the primary; the old one is left as it is
    follow I                       make a running standby stream from the present primary
    rejoin I                       make I a standby of the primary, from a fresh base backup
    pause_replay I                 keep receiving, stop replaying;       resume_replay I
    certificate I NAME             with --tls: show server, expired or misnamed to clients
    sql I TEXT                     SQL as superuser in the database shop; as JSON if it has lines
    admin I TEXT                   the same in the database postgres: shop's statistics stay clean
    quit

I counts from 0, the first primary. An answer has "ok": true, and "text" for sql, or "ok": false
and "error"."""
import json
import os

from clusterlib.world import Failed

LONGEST_LINE = 1 << 20


def text_of(rest):
    return json.loads(rest) if rest.startswith('"') else rest


def restart(_fleet, node, _rest):
    node.stop()
    node.start()


def stop(_fleet, node, rest):
    if rest not in ("", "fast", "immediate"):
        raise Failed(f"stop is fast or immediate, not {rest}")
    node.stop(rest or "fast")


def certificate(fleet, node, rest):
    if not fleet.certificates:
        raise Failed("this cluster was started without --tls")
    if rest not in ("server", "expired", "misnamed"):
        raise Failed(f"a certificate is server, expired or misnamed, not {rest}")
    node.change_certificate(rest)


WORDS = {
    "stop": stop,
    "start": lambda fleet, node, rest: node.start(),
    "restart": restart,
    "kill": lambda fleet, node, rest: node.kill(),
    "pause": lambda fleet, node, rest: node.pause(),
    "resume": lambda fleet, node, rest: node.resume(),
    "promote": lambda fleet, node, rest: fleet.promote(node),
    "follow": lambda fleet, node, rest: fleet.follow(node),
    "rejoin": lambda fleet, node, rest: fleet.rejoin(node),
    "pause_replay": lambda fleet, node, rest: fleet.pause_replay(node),
    "resume_replay": lambda fleet, node, rest: fleet.resume_replay(node),
    "certificate": certificate,
    "sql": lambda fleet, node, rest: {"text": node.sql(text_of(rest), "shop")},
    "admin": lambda fleet, node, rest: {"text": node.sql(text_of(rest), "postgres")},
}


def obey(fleet, line):
    """Does one command and returns its answer."""
    word, _, rest = line.strip().partition(" ")
    try:
        if word == "status":
            return {"ok": True, **fleet.facts()}
        if word == "sync":
            fleet.await_standbys()
            return {"ok": True}
        if word not in WORDS:
            raise Failed(f"unknown command: {word[:40]}")
        index, _, rest = rest.strip().partition(" ")
        found = WORDS[word](fleet, fleet.node(index), rest.strip())
        return {"ok": True, **(found or {})}
    except (Failed, ValueError, OSError) as error:
        return {"ok": False, "error": str(error)}


def answer(facts):
    os.write(1, (json.dumps(facts, ensure_ascii=False) + "\n").encode())


def lines(world):
    """The lines of standard input, as they come, until its end."""
    rest = b""
    while True:
        line, found, rest = rest.partition(b"\n")
        if found:
            yield line.decode(errors="replace")
            continue
        rest = line
        if len(rest) > LONGEST_LINE:
            raise Failed("a command of more than a megabyte")
        if not world.wait(3600, 0):
            continue
        more = os.read(0, 65536)
        if not more:
            return
        rest += more


def serve(fleet, do=obey):
    """Answers commands until `quit` or the end of the input; says whether it was told to quit."""
    answer({"ok": True, **fleet.facts()})
    for line in lines(fleet.world):
        if line.strip() == "quit":
            return True
        if line.strip():
            answer(do(fleet, line))
    return False
