# SPDX-License-Identifier: BSD-2-Clause
"""Builds the programs of the peers, from what Debian has installed and without a network. Those in C
are CMake's (target peers). What cannot be built becomes a reason, in words."""
import os
import shutil
import subprocess

JARS = ("HikariCP", "slf4j-api", "slf4j-nop", "postgresql")
CARGO = """[source.crates-io]
replace-with = "debian"
[source.debian]
directory = "/usr/share/cargo/registry"
"""
# Enough values to meet each kind of bucket: exact ones, the first edges, a large one.
PROBES = [0, 1, 31, 32, 63, 64, 65, 127, 128, 1000, 65535, 65536, 123456789, 10**12, 2**62]


def bucket_of(value):
    shift = max(0, value.bit_length() - 6)
    return shift * 32 + (value >> shift)


class Missing(Exception):
    """Why a program is not there."""


def run(argv, folder, **environment):
    """Builds with Debian's own tools, whatever else is in the path."""
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            env={**os.environ, "PATH": "/usr/bin:/bin", **environment},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{argv[0]}: {error}") from error
    if done.returncode:
        words = (done.stderr + done.stdout).strip().splitlines()
        raise Missing(f"{os.path.basename(argv[0])} failed: {words[-1] if words else 'no word'}")


class Builder:
    def __init__(self, root):
        self.source = os.path.join(root, "bench", "peers")
        self.out = os.path.join(root, "build", "peers")
        self.c = os.path.join(root, "build", "release", "bench", "peers")

    def folder(self, name):
        path = os.path.join(self.out, name)
        os.makedirs(path, exist_ok=True)
        return path

    def program(self, name):
        """The words that start a program. Raises Missing."""
        make = {"go": self.go, "java": self.java, "r2d2": self.r2d2, "python": self.python}.get(
            name, lambda: self.in_c(name)
        )
        words = make()
        self.check_buckets(words)
        return words

    def check_buckets(self, words):
        """The histograms can be compared only if their edges are the same."""
        asked = [*words, "buckets", *map(str, PROBES)]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
        if done.stdout.split() != [str(bucket_of(value)) for value in PROBES]:
            words = done.stderr.strip().splitlines()
            raise Missing(words[-1] if words else "its histogram differs from the others'")

    def in_c(self, name):
        path = os.path.join(self.c, name)
        if not os.access(path, os.X_OK):
            raise Missing("not built: its library is not installed (./dev peers installs it)")
        return [path]

    def go(self):
        folder = self.folder("go")
        path = os.path.join(folder, "pools")
        run(
            ["/usr/bin/go", "build", "-o", path, "."],
            os.path.join(self.source, "go"),
            GO111MODULE="off",
            GOPATH="/usr/share/gocode",
            GOCACHE=os.path.join(folder, "cache"),
            GOFLAGS="",
        )
        return [path]

    def java(self):
        folder, source = self.folder("java"), os.path.join(self.source, "java")
        jars = [f"/usr/share/java/{jar}.jar" for jar in JARS]
        for jar in jars:
            if not os.path.exists(jar):
                raise Missing(f"{jar} is not installed")
        path = ":".join([folder, *jars])
        files = sorted(file for file in os.listdir(source) if file.endswith(".java"))
        run(["/usr/bin/javac", "-cp", path, "-d", folder, *files], source)
        return ["/usr/bin/java", "-cp", path, "Peer"]

    def r2d2(self):
        """Cargo writes beside the sources, so it gets a copy of them."""
        folder, source = self.folder("rust"), os.path.join(self.source, "rust")
        for file in os.listdir(source):
            shutil.copy(os.path.join(source, file), folder)
        os.makedirs(os.path.join(folder, ".cargo"), exist_ok=True)
        with open(os.path.join(folder, ".cargo", "config.toml"), "w", encoding="ascii") as file:
            file.write(CARGO)
        run(
            ["/usr/bin/cargo", "build", "--offline", "--release", "--quiet"],
            folder,
            CARGO_HOME=os.path.join(folder, "home"),
            RUSTC="/usr/bin/rustc",
        )
        return [os.path.join(folder, "target", "release", "r2d2_peer")]

    def python(self):
        """Debian's interpreter: its packages are no other's."""
        return ["/usr/bin/python3", "-B", os.path.join(self.source, "python", "loops.py")]
