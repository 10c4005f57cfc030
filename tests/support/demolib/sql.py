# SPDX-License-Identifier: BSD-2-Clause
"""Asking one server past weir: libpq (which weir needs anyway) through ctypes, without blocking, so
that no server that has gone silent can keep the demo, and no password comes near a command line."""
import ctypes
import ctypes.util
import re
import select
import time

from clusterlib.world import Failed

CONNECT_SECONDS = 10
QUERY_SECONDS = 20
OK, BAD = 0, 1  # ConnStatusType
READING, WRITING, DONE = 1, 2, 3  # PostgresPollingStatusType
COMMAND_OK, TUPLES_OK = 1, 2  # ExecStatusType


def load():
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    try:
        pq = ctypes.CDLL("libpq.so.5")
    except OSError as error:
        raise Failed(f"libpq: {error}") from error
    for name, result, *arguments in (
        ("PQconnectStartParams", pointer, pointer, pointer, number),
        ("PQconnectPoll", number, pointer),
        ("PQstatus", number, pointer),
        ("PQsocket", number, pointer),
        ("PQerrorMessage", text, pointer),
        ("PQfinish", None, pointer),
        ("PQsendQuery", number, pointer, text),
        ("PQconsumeInput", number, pointer),
        ("PQisBusy", number, pointer),
        ("PQgetResult", pointer, pointer),
        ("PQresultStatus", number, pointer),
        ("PQresultErrorMessage", text, pointer),
        ("PQntuples", number, pointer),
        ("PQnfields", number, pointer),
        ("PQgetvalue", text, pointer, number, number),
        ("PQclear", None, pointer),
    ):
        function = getattr(pq, name)
        function.restype, function.argtypes = result, arguments
    return pq


def without(conninfo, names):
    """A connection string without weir's own parameters, which libpq would refuse."""
    ours = "|".join(re.escape(name) for name in names)
    if "://" not in conninfo:
        return re.sub(rf"(?:^|(?<=\s))(?:{ours})\s*=\s*(?:'(?:\\.|[^'\\])*'|\S*)\s*", "", conninfo)
    address, mark, query = conninfo.partition("?")
    kept = [part for part in query.split("&") if part and not re.fullmatch(rf"(?:{ours})=.*", part)]
    return address + mark * bool(kept) + "&".join(kept)


class Server:
    """A connection to one host of a connection string."""

    def __init__(self, world, pq, conninfo, host):
        self.world, self.pq, self.host = world, pq, host
        self.asked = 0
        name, _, port = host.rpartition(":")
        pairs = {
            "dbname": conninfo,
            "host": name.strip("[]"),
            "port": port,
            "target_session_attrs": "any",
            "application_name": "demo",
        }
        keys = (ctypes.c_char_p * (len(pairs) + 1))(*[key.encode() for key in pairs], None)
        values = (ctypes.c_char_p * (len(pairs) + 1))(
            *[value.encode() for value in pairs.values()], None
        )
        self.conn = pq.PQconnectStartParams(keys, values, 1)
        self.finish_connecting()

    def finish_connecting(self):
        end = time.monotonic() + CONNECT_SECONDS
        step = WRITING
        while step != DONE:
            if not self.conn or self.pq.PQstatus(self.conn) == BAD or time.monotonic() > end:
                self.fail("no answer in time")
            self.world.wait(
                end - time.monotonic(),
                self.pq.PQsocket(self.conn),
                events=select.POLLOUT if step == WRITING else select.POLLIN,
            )
            step = self.pq.PQconnectPoll(self.conn)

    def fail(self, otherwise):
        """Says what is wrong by the first line of libpq's words: it names no secret once the
        connection string is parsed."""
        words = (
            (self.pq.PQerrorMessage(self.conn) or b"")
            .decode(errors="replace")
            .strip()
            .split("\n")[0]
        )
        parsed = self.conn and self.pq.PQsocket(self.conn) >= 0
        self.close()
        raise Failed(f"{self.host}: {words if words and parsed else otherwise}")

    def rows(self, sql):
        """The rows of one statement, as lists of texts."""
        end = time.monotonic() + QUERY_SECONDS
        self.asked += 1
        if not self.pq.PQsendQuery(self.conn, sql.encode()):
            self.fail("cannot send")
        while self.pq.PQisBusy(self.conn):
            if time.monotonic() > end:
                self.fail("no answer in time")
            self.world.wait(end - time.monotonic(), self.pq.PQsocket(self.conn))
            if not self.pq.PQconsumeInput(self.conn):
                self.fail("connection lost")
        result = self.pq.PQgetResult(self.conn)
        try:
            return self.read(result)
        finally:
            while result:
                self.pq.PQclear(result)
                result = self.pq.PQgetResult(self.conn)

    def read(self, result):
        if self.pq.PQresultStatus(result) not in (COMMAND_OK, TUPLES_OK):
            words = (
                (self.pq.PQresultErrorMessage(result) or b"?")
                .decode(errors="replace")
                .strip()
                .split("\n")[0]
            )
            raise Failed(f"{self.host}: {words}")
        return [
            [
                self.pq.PQgetvalue(result, row, column).decode(errors="replace")
                for column in range(self.pq.PQnfields(result))
            ]
            for row in range(self.pq.PQntuples(result))
        ]

    def close(self):
        if self.conn:
            self.pq.PQfinish(self.conn)
            self.conn = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
