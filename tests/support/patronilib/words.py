# SPDX-License-Identifier: BSD-2-Clause
"""The commands of `patroni serve`: one line each, answered by one line of JSON.

    status                         the facts anew: each member's state, port and pid, who leads
    whole                          wait until one leads and every running member streams from it
    switchover [I]                 patronictl switchover, to I if that is given
    stop I                         SIGTERM for Patroni: it shuts its server down
    kill I                         SIGKILL, Patroni and all of its server
    start I                        start it again, on the same ports
    freeze I                       SIGSTOP for Patroni alone: its server goes on as it was
    thaw I                         and go on
    freeze_etcd, thaw_etcd         the same for etcd
    add                            one more member; waits until it streams
    sql I TEXT                     SQL as superuser in the database shop; as JSON if it has lines
    admin I TEXT                   the same in the database postgres
    quit

I counts from 0; who of them leads, Patroni decides. An answer has "ok": true, and "text" for sql,
or "ok": false and "error"."""
from clusterlib.words import text_of
from clusterlib.world import Failed

OF_ALL = {
    "status": lambda fleet: fleet.facts(),
    "whole": lambda fleet: fleet.await_members(),
    "add": lambda fleet: fleet.add(),
    "freeze_etcd": lambda fleet: fleet.freeze_etcd(),
    "thaw_etcd": lambda fleet: fleet.thaw_etcd(),
}
OF_ONE = {
    "stop": lambda member, _rest: member.stop(),
    "kill": lambda member, _rest: member.kill(),
    "start": lambda member, _rest: member.start(),
    "freeze": lambda member, _rest: member.freeze(),
    "thaw": lambda member, _rest: member.thaw(),
    "sql": lambda member, rest: {"text": member.sql(text_of(rest), "shop")},
    "admin": lambda member, rest: {"text": member.sql(text_of(rest), "postgres")},
}


def obey(fleet, line):
    """Does one command and returns its answer."""
    word, _, rest = line.strip().partition(" ")
    try:
        if word in OF_ALL:
            found = OF_ALL[word](fleet)
        elif word == "switchover":
            found = fleet.switchover(fleet.member(rest.strip()) if rest.strip() else None)
        elif word in OF_ONE:
            index, _, rest = rest.strip().partition(" ")
            found = OF_ONE[word](fleet.member(index), rest.strip())
        else:
            raise Failed(f"unknown command: {word[:40]}")
        return {"ok": True, **(found or {})}
    except (Failed, ValueError, OSError) as error:
        return {"ok": False, "error": str(error)}
