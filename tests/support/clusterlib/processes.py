# SPDX-License-Identifier: BSD-2-Clause
"""Finding, stopping and ending the processes of a cluster, and removing its directory.

Every PostgreSQL process works in its data directory, and every helper program is started in the
cluster's directory, so the working directory says whose a process is: no list can be out of
date, and nobody else's process can be in a directory that this run made. A signal goes through a
pidfd taken before a last look, so a number that was given to another process meanwhile is never
hit."""
import ctypes
import glob
import os
import shutil
import signal
import time


def inside(directory):
    """The living processes that work in the directory or below (zombies work nowhere)."""
    return [
        int(name)
        for name in os.listdir("/proc")
        if name.isdigit() and works_in(int(name), directory)
    ]


def works_in(pid, directory):
    try:
        place = os.readlink(f"/proc/{pid}/cwd").removesuffix(" (deleted)")
    except OSError:
        return False
    return place == directory or place.startswith(directory + "/")


def send(pid, signum, directory):
    """Sends a signal to a process if it is still there and still works in the directory."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if works_in(pid, directory):
            signal.pidfd_send_signal(fd, signum)
    except ProcessLookupError:
        pass
    finally:
        os.close(fd)


def stat(pid):
    """The fields of /proc/PID/stat from the state on, or none if the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def name(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def reap():
    """Takes the status of children that nobody waits for by name: orphans that came to us (see
    adopt_orphans)."""
    for child in glob.glob("/proc/self/task/*/children"):
        with open(child, encoding="ascii") as file:
            pids = file.read().split()
        for pid in pids:
            if stat(pid)[:1] == ["Z"] and name(pid) == "postgres":
                try:
                    os.waitpid(int(pid), os.WNOHANG)
                except ChildProcessError:
                    pass


def adopt_orphans():
    """Makes this process the parent of its descendants' orphans, so that killed servers leave no
    zombies."""
    PR_SET_CHILD_SUBREAPER = 36
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent(signum):
    """For a child between fork and exec: it gets the signal when its parent is gone."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signum), 0, 0, 0)


def lock_file(data):
    """The lines of a data directory's postmaster.pid: pid, directory, start, port, ..., shared
    memory, status."""
    try:
        with open(os.path.join(data, "postmaster.pid"), encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def kill(directory, seconds=10):
    """Ends every process in the directory at once and waits until each has ended; says whether that
    is so."""
    end = time.monotonic() + seconds
    seen = set()
    while True:
        found = inside(directory)
        seen.update(found)
        for pid in found:
            send(pid, signal.SIGKILL, directory)
        if not found and all(stat(pid)[:1] in ([], ["Z"]) for pid in seen):
            reap()
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(0.005)


def remove_segment(data):
    """Removes the shared memory segment that a server leaves when it is killed; one still in use is
    left alone."""
    words = " ".join(lock_file(data)[6:7]).split()
    if len(words) != 2:
        return
    key, segment = (int(word) for word in words)
    try:
        with open("/proc/sysvipc/shm", encoding="ascii") as file:
            rows = [row.split() for row in file.readlines()[1:]]
    except OSError:
        return
    for row in rows:
        if int(row[0]) == key and int(row[1]) == segment and int(row[6]) == 0:
            ctypes.CDLL(None, use_errno=True).shmctl(segment, 0, None)  # 0 is IPC_RMID


def tear_down(directory, grace=5):
    """Takes down whatever the directory holds, by facts alone: servers quit, the rest is killed,
    all is removed."""
    postmasters = set()
    for data in glob.glob(os.path.join(glob.escape(directory), "nodes", "*")):
        first = "".join(lock_file(data)[:1])
        if first.isdigit():
            postmasters.add(int(first))
    for pid in inside(directory):
        if pid in postmasters:
            send(pid, signal.SIGQUIT, directory)
        elif name(pid) != "postgres":
            send(pid, signal.SIGKILL, directory)
        send(pid, signal.SIGCONT, directory)
    end = time.monotonic() + grace
    while inside(directory) and time.monotonic() < end:
        reap()
        time.sleep(0.005)
    kill(directory)
    for data in glob.glob(os.path.join(glob.escape(directory), "nodes", "*")):
        remove_segment(data)
    for _ in range(10):
        shutil.rmtree(directory, ignore_errors=True)
        if not os.path.lexists(directory):
            return
        time.sleep(0.05)
