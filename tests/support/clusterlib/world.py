# SPDX-License-Identifier: BSD-2-Clause
"""What the fixture asks of the system: waits that end, signals as exceptions, programs run to their
end.

A signal never interrupts anything in the middle. It is noted, and raised as Interrupted by the
next wait; every wait goes through World.wait, so none is deaf. The same place ends a cluster
that has outlived its time."""
import contextlib
import os
import select
import signal
import subprocess
import time


class Failed(Exception):
    """The fixture cannot do what was asked; the text says why."""


class Missing(Failed):
    """This machine lacks what the fixture needs: a reason to skip, not to fail."""


class Interrupted(Exception):
    """A signal, or the end of the fixture's time, asks for the end."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status
        self.command = None  # the status of the command that was interrupted, if there was one


class World:
    """The one object that waits. `directory` and `user` (keywords for Popen) are set once they are
    known."""

    def __init__(self, max_seconds):
        self.end = time.monotonic() + max_seconds
        self.directory = "/"
        self.user = {}
        self.signum = 0
        self.closing = False
        self.wakeup, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # What was started by nohup stays deaf to a hangup.
            if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:
                signal.signal(signum, self.note)

    def note(self, signum, _frame):
        self.signum = self.signum or signum

    def close(self):
        """From now on nothing interrupts: the cluster is taken down, and that ends by itself."""
        self.closing = True

    @contextlib.contextmanager
    def undisturbed(self):
        """For work that an interruption calls for, and that must be finished."""
        before, self.closing = self.closing, True
        try:
            yield
        finally:
            self.closing = before

    def check(self):
        if self.closing:
            return
        if self.signum:
            raise Interrupted(128 + self.signum, f"ended by {signal.Signals(self.signum).name}")
        if time.monotonic() >= self.end:
            raise Interrupted(124, "the time given by --max-seconds is over")

    def wait(self, seconds, *fds, events=select.POLLIN):
        """Waits for one of fds to be readable (or what events says), at most so long; returns those
        that are."""
        self.check()
        poll = select.poll()
        poll.register(self.wakeup, select.POLLIN)
        for fd in fds:
            poll.register(fd, events)
        if not self.closing:
            seconds = min(seconds, self.end - time.monotonic())
        ready = [fd for fd, _ in poll.poll(max(0, seconds) * 1000)]
        if self.wakeup in ready:
            os.read(self.wakeup, 512)
            ready.remove(self.wakeup)
        self.check()
        return ready

    def until(self, what, seconds, holds, pause=0.01):
        """Waits until holds() says something true, and returns it; Failed after so many seconds."""
        end = time.monotonic() + seconds
        while True:
            found = holds()
            if found:
                return found
            if time.monotonic() >= end:
                raise Failed(f"{what}: not within {seconds} s")
            self.wait(pause)

    def run(self, argv, seconds=30, **more):
        """Runs a program to its end; what it printed, or Failed if it fails or takes too long."""
        return self.run_all([Program(self, argv, **more)], seconds)[0]

    def run_all(self, programs, seconds=60):
        """Waits for programs that run side by side; none is left when this returns or raises."""
        end = time.monotonic() + seconds
        try:
            for program in programs:
                while program.process.poll() is None:
                    if time.monotonic() >= end:
                        raise Failed(f"{program.name}: not done within {seconds} s")
                    self.wait(end - time.monotonic(), program.pidfd)
            return [program.printed() for program in programs]
        finally:
            for program in programs:
                program.end()


def bare_environment(**more):
    """This process's environment without what would steer PostgreSQL's programs, and with plain
    English."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith("PG") and k not in ("LANGUAGE", "LC_ALL")
    }
    return {**kept, "LC_ALL": "C", **more}


class Program:
    """A program that is running, as the server's user and inside the cluster's directory, where a
    sweep finds it."""

    def __init__(self, world, argv, text="", environment=None):
        self.name = os.path.basename(argv[0])
        self.output = os.memfd_create("output")
        given = os.memfd_create("input")
        os.write(given, text.encode())
        os.lseek(given, 0, os.SEEK_SET)
        try:
            self.process = subprocess.Popen(
                argv,
                stdin=given,
                stdout=self.output,
                stderr=self.output,
                cwd=world.directory,
                start_new_session=True,
                env=bare_environment(**(environment or {})),
                **world.user,
            )
        except OSError as error:
            os.close(self.output)
            raise Failed(f"{self.name}: {error.strerror}") from error
        finally:
            os.close(given)
        self.pidfd = os.pidfd_open(self.process.pid)

    def printed(self):
        """What it printed, if it did well."""
        os.lseek(self.output, 0, os.SEEK_SET)
        with os.fdopen(os.dup(self.output), "rb") as file:
            text = file.read().decode(errors="replace").rstrip("\n")
        if self.process.returncode:
            raise Failed(f"{self.name}: {text or f'ended with {self.process.returncode}'}")
        return text

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.pidfd)
        os.close(self.output)
