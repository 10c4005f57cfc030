# SPDX-License-Identifier: BSD-2-Clause
"""The guard: a process of its own that outlives the fixture and cleans up behind it, however the
fixture ends.

It holds the read end of a pipe whose write end only the fixture has. When the fixture ends, by
SIGKILL too, the kernel closes that end; the guard then takes down what is in the directory and
goes. It is started before the directory exists, so there is no moment without it, and it is
nobody's child, so that what kills the fixture with all its descendants (as ctest does on a
timeout) does not hit it. It is also the only one that removes the directory in the good case:
one way, used every time."""
import os
import select
import signal
import sys

from clusterlib import processes


class Guard:
    """The fixture's end of it."""

    def __init__(self, directory, seconds):
        watched, self.lifeline = os.pipe()
        self.gone, done = os.pipe()
        child = os.fork()
        if child == 0:
            become_guard(directory, seconds, watched, done)
        os.waitpid(child, 0)
        os.close(watched)
        os.close(done)

    def finish(self, seconds=30):
        """Lets the guard do its work and waits until it is gone."""
        os.close(self.lifeline)
        poll = select.poll()
        poll.register(self.gone, select.POLLIN)
        poll.poll(seconds * 1000)
        os.close(self.gone)


def become_guard(directory, seconds, watched, done):
    """Never returns."""
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        for signum in (
            signal.SIGINT,
            signal.SIGTERM,
            signal.SIGHUP,
            signal.SIGQUIT,
            signal.SIGPIPE,
        ):
            signal.signal(signum, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        os.chdir("/")
        let_go_of_everything_but(watched, done)
        poll = select.poll()
        poll.register(watched, select.POLLIN)
        poll.poll(seconds * 1000)
        processes.tear_down(directory)
    finally:
        os._exit(0)


def let_go_of_everything_but(*kept):
    """A terminal, or a pipe that somebody reads to its end, must not be held by the guard."""
    sys.stdout = sys.stderr = None
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    for fd in [int(name) for name in os.listdir("/proc/self/fd")]:
        if fd > 2 and fd not in kept:
            try:
                os.close(fd)
            except OSError:
                pass
