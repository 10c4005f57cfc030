# SPDX-License-Identifier: BSD-2-Clause
"""The servers of a run: a real PostgreSQL, and PgBouncer before it. Both are gone when it ends."""
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from urllib.parse import urlsplit

from clusterlib import ports, postgres

# As PgBouncer's manual has it for transaction pooling; the size is that of weir's pool.
PGBOUNCER = """[databases]
{database} = host={host} port={port} dbname={database} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 200
logfile = {folder}/log
pidfile = {folder}/pid
"""
READY_SECONDS = 20


class Failed(Exception):
    """A server did not start; the text says why."""


@contextlib.contextmanager
def database(root, max_seconds):
    """A PostgreSQL server without standbys; its URL."""
    argv = [os.path.join(root, "tests", "support", "cluster"), "serve", "--standbys", "0"]
    argv += ["--max-connections", "200", "--max-seconds", str(max_seconds)]
    server = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        facts = json.loads(server.stdout.readline() or "{}")
        if not facts.get("ok"):
            raise Failed(facts.get("error", "the server did not start"))
        yield facts["url"]
    finally:
        with contextlib.suppress(BrokenPipeError):
            server.stdin.write("quit\n")
            server.stdin.close()
        server.wait()


def answers(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


def await_answer(process, port, folder):
    end = time.monotonic() + READY_SECONDS
    while not answers(port):
        if process.poll() is not None or time.monotonic() > end:
            with open(os.path.join(folder, "log"), encoding="utf-8", errors="replace") as log:
                raise Failed("PgBouncer did not start: " + log.read()[-300:].strip())
        time.sleep(0.02)


@contextlib.contextmanager
def pgbouncer(url, size):
    """PgBouncer before the server of `url`, with so many connections to it; its own URL."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if not program:
        raise Failed("PgBouncer is not installed")
    there, user, held = urlsplit(url), postgres.server_user(), ports.hold()
    folder = tempfile.mkdtemp(prefix="weir-pgbouncer-")
    process = None
    try:
        listen = held.getsockname()[1]
        for name, text in (
            (
                "ini",
                PGBOUNCER.format(
                    database=there.path[1:],
                    host=there.hostname,
                    port=there.port,
                    user=there.username,
                    password=there.password,
                    listen=listen,
                    size=size,
                    folder=folder,
                ),
            ),
            ("log", ""),
        ):
            path = os.path.join(folder, name)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with open(os.open(path, flags, 0o600), "w", encoding="ascii") as file:
                file.write(text)
            if user:
                os.chown(path, user["user"], user["group"])
        if user:
            os.chown(folder, user["user"], user["group"])
        process = subprocess.Popen(
            [program, "-q", os.path.join(folder, "ini")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **user,
        )
        await_answer(process, listen, folder)
        yield f"postgresql://{there.username}@127.0.0.1:{listen}{there.path}"
    finally:
        if process:
            process.terminate()
            process.wait()
        held.close()
        shutil.rmtree(folder)
