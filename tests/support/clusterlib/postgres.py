# SPDX-License-Identifier: BSD-2-Clause
"""Where PostgreSQL's programs are, and as whom a server may run (PostgreSQL refuses to run as
root)."""
import glob
import os
import pwd
import shutil
import subprocess

from clusterlib.world import Missing

PROGRAMS = ("postgres", "initdb", "pg_basebackup", "psql")


def binaries():
    """The directory with the programs: $PG_BINDIR if set, else version 15 where Debian puts it,
    else what there is."""
    wished = os.environ.get("PG_BINDIR")
    if wished:
        return checked([wished], f"PG_BINDIR={wished} has no PostgreSQL server")
    places = ["/usr/lib/postgresql/15/bin"]
    places += sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=version_in_path, reverse=True)
    found = shutil.which("postgres")
    places += [os.path.dirname(os.path.realpath(found))] if found else []
    places += [asked_of_pg_config()]
    return checked(
        places, "PostgreSQL's server is not installed (on Debian: postgresql-15), or set PG_BINDIR"
    )


def checked(places, complaint):
    for place in places:
        if place and all(os.access(os.path.join(place, program), os.X_OK) for program in PROGRAMS):
            return place
    raise Missing(complaint)


def version_in_path(path):
    word = path.split("/")[-2]
    return int(word) if word.isdigit() else 0


def asked_of_pg_config():
    try:
        return subprocess.run(
            ["pg_config", "--bindir"], capture_output=True, text=True, timeout=10, check=False
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None


def server_user():
    """Who runs the servers: nobody new if we are an ordinary user, else postgres. As keywords for
    Popen."""
    if os.geteuid() != 0:
        return {}
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        raise Missing(
            "PostgreSQL does not run as root, and this machine has no user postgres"
        ) from None
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [entry.pw_gid]}


def temporary_root(user):
    """Where the cluster's directory goes: $TMPDIR if the servers' user can get there, else /tmp."""
    wanted = os.path.realpath(os.environ.get("TMPDIR") or "/tmp")
    if not os.path.isdir(wanted):
        return "/tmp"
    place = wanted
    while user and place != "/":
        if not os.stat(place).st_mode & 0o001:
            return "/tmp"
        place = os.path.dirname(place)
    return wanted
