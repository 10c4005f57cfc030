# SPDX-License-Identifier: BSD-2-Clause
"""A command in the foreground: it has the terminal, gets Ctrl-C by itself, and is over when we go
on."""
import os
import signal
import subprocess
import time

from clusterlib import processes
from clusterlib.world import Failed, Interrupted


def run(world, argv, variables, seconds=86400, stdout=None, meanwhile=None):
    """Runs a command and returns its status as a shell would tell it; what is to be done meanwhile
    is done beside it. If we are interrupted, the command gets time to end well, and Interrupted
    then carries its status as `command`."""
    try:
        process = subprocess.Popen(
            argv,
            env=variables,
            stdout=stdout,
            preexec_fn=lambda: processes.end_with_parent(signal.SIGTERM),
        )
    except OSError as error:
        raise Failed(f"{argv[0]}: {error.strerror}") from error
    pidfd = os.pidfd_open(process.pid)
    end = time.monotonic() + seconds
    try:
        if meanwhile:
            meanwhile()
        while process.poll() is None:
            if time.monotonic() >= end:
                raise Failed(f"{os.path.basename(argv[0])}: not done within {seconds:.0f} s")
            world.wait(end - time.monotonic(), pidfd)
    except (Interrupted, Failed) as stop:
        with world.undisturbed():
            persuade(world, process, pidfd, getattr(stop, "status", 0) - 128)
        stop.command = shell_status(process.wait())
        raise
    finally:
        os.close(pidfd)
    return shell_status(process.returncode)


def shell_status(returncode):
    return returncode if returncode >= 0 else 128 - returncode


def persuade(world, process, pidfd, signum):
    """Passes an interruption on, at last with SIGKILL. Ctrl-C has reached the command by itself, so
    it gets time to act on that first."""
    steps = [(None, 2)] if signum == signal.SIGINT else []
    steps += [
        (signum if signum > 0 else signal.SIGTERM, 10),
        (signal.SIGTERM, 5),
        (signal.SIGKILL, 5),
    ]
    for wanted, seconds in steps:
        if process.poll() is None and wanted:
            process.send_signal(wanted)
        if process.poll() is None:
            world.wait(seconds, pidfd)
