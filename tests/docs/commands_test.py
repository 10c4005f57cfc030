# SPDX-License-Identifier: BSD-2-Clause
"""Every command in the documents is run, against a cluster started for it, or has a row here that says why not.

README.md beside this file says how. Needs TEST_SOURCE_DIR, TEST_BUILD_DIR and TEST_CMAKE, which ctest sets."""
import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

import blocks

SOURCE = pathlib.Path(os.environ.get("TEST_SOURCE_DIR", ".")).resolve()
BUILD = os.environ.get("TEST_BUILD_DIR", "")
CMAKE = os.environ.get("TEST_CMAKE", "cmake")
URL = os.environ.get("CLUSTER_URL", "")
ONLY = os.environ.get("TEST_DOCS", "")

# (file or *, a part of the command, why it is not run). Each row must be needed.
NOT_RUN = [
    ("docs/cli.md", "weir top 4711", "there is no such process: the block below it has one"),
    ("docs/cli.md", "weir stats 4711", "the same"),
    ("*", "./dev ", "builds and takes minutes; `./dev test` itself runs this test"),
    ("*", "cmake --install", "writes outside of the test; consumer.install does it elsewhere"),
    ("docs/tracing.md", "libweir.so", "trace.probes does, on a program of its own"),
    ("docs/migrating.md", "spatch", "docs/migrating has a test of its own with the real one"),
]

# Written for people, run as: what stands for it here. Regular expressions, in this order.
STAND_INS = [
    (r"postgresql://\w+(?::\w+)?@h1[^\s'\"/]*/\w+", lambda m: URL),
    (r"(?<![\w/$])URL(?![\w=])", lambda m: f"'{URL}'"),
]

# What would run long, and what is added so that it does not.
SHORTER = [
    (r"^weir bench\b(?!.*--(compare|duration))", "--duration 0.3 --quiet"),
    (r"^weir watch\b(?!.*--(count|seconds))", "--count 1"),
]


def why_not(block, command):
    return next((row for row in NOT_RUN if row[0] in ("*", block.file) and row[1] in command), None)


def stand_in(command):
    command, comment = re.match(r"(.*?)(\s+#.*)?$", command, re.S).groups()
    for what, more in SHORTER:
        if re.search(what, command):
            command += " " + more
    for what, other in STAND_INS:
        command = re.sub(what, other, command)
    return command, comment or ""


def script(block):
    """The block as bash runs it. What is not run here is left out; None if nothing is left."""
    lines = []
    for _, command in block.commands():
        if why_not(block, command):
            continue
        command, comment = stand_in(command)
        ends = re.search(r"# ends with (\d+)", comment)
        if ends:
            command = f"status=0; {command} || status=$?; test $status = {ends.group(1)}"
        lines.append(command)
    return "\n".join(["set -eo pipefail", *lines]) if lines else None


def chosen():
    return [b for b in blocks.all_blocks(SOURCE) if b.language in ("sh", "bash") and (not ONLY or b.file == ONLY)]


class Means(unittest.TestCase):
    """The means of this test do what they should."""

    def test_stand_ins(self):
        self.assertEqual(stand_in("weir check postgresql://app@h1,h2:5433,h3/shop?pool_max=2")[0], f"weir check {URL}?pool_max=2")
        self.assertEqual(stand_in("weir bench URL --reads 50  # half"), (f"weir bench '{URL}' --reads 50 --duration 0.3 --quiet", "  # half"))
        self.assertEqual(stand_in("DATABASE_URL=x weir check $URL")[0], "DATABASE_URL=x weir check $URL")

    def test_a_status_may_be_named(self):
        block = blocks.Block("d.md", 1, "sh", "false # ends with 1\ntrue")
        self.assertEqual(subprocess.run(["bash", "-c", script(block)], timeout=60).returncode, 0)
        block.text = "true # ends with 1"
        self.assertNotEqual(subprocess.run(["bash", "-c", script(block)], timeout=60).returncode, 0)


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = pathlib.Path(tempfile.mkdtemp(prefix="weir-docs-"))
        cls.addClassCleanup(shutil.rmtree, cls.scratch, ignore_errors=True)
        cls.prefix = cls.scratch / "installed"
        subprocess.run([CMAKE, "--install", BUILD, "--prefix", cls.prefix], check=True, stdout=subprocess.DEVNULL, timeout=120)
        (pc,) = cls.prefix.rglob("weir.pc")
        compiler = cls.prefix / "bin/cc"  # as strict as newer ones are by themselves
        compiler.write_text(f'#!/bin/sh\nexec {shutil.which("cc")} -Werror=implicit-function-declaration "$@"\n')
        compiler.chmod(0o755)
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("WEIR_", "PG", "DB_", "TEST_"))}
        cls.environment = {**clean, "DATABASE_URL": URL, "PATH": f"{cls.prefix}/bin:{os.environ['PATH']}",
                           "PKG_CONFIG_PATH": str(pc.parent), "CMAKE_PREFIX_PATH": str(cls.prefix),
                           "LD_LIBRARY_PATH": str(pc.parent.parent), "MANPATH": f"{cls.prefix}/share/man:", "MANPAGER": "cat"}

    def run_block(self, number, block):
        """None, or what went wrong."""
        text = script(block)
        if text is None:
            return None
        place = self.scratch / f"{number}"
        place.mkdir()
        for file in blocks.all_blocks(SOURCE):
            if file.file == block.file and file.name:
                (place / file.name).write_text(file.text)
        for entry in SOURCE.iterdir():
            if entry.name not in (".git", "build"):
                (place / entry.name).symlink_to(entry)
        with subprocess.Popen(["bash", "-c", text], cwd=place, env=self.environment, stdin=subprocess.DEVNULL, start_new_session=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as bash:
            try:
                said, _ = bash.communicate(timeout=60)
            except subprocess.TimeoutExpired as late:
                os.killpg(bash.pid, signal.SIGKILL)
                return f"{block.place}: did not end within {late.timeout} s:\n{text}\n{bash.communicate()[0]}"
        return f"{block.place}: ended with {bash.returncode}:\n{text}\n{said}" if bash.returncode else None

    def test_every_command_runs(self):
        found = chosen()
        self.assertGreater(len(found), 0)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            complaints = [c for c in pool.map(self.run_block, range(len(found)), found) if c]
        if complaints:
            self.fail("\n\n".join(complaints).replace(URL, "URL"))

    @unittest.skipIf(ONLY, "one document alone")
    def test_every_row_is_needed(self):
        used = {id(row) for b in chosen() for _, command in b.commands() if (row := why_not(b, command))}
        self.assertEqual([row for row in NOT_RUN if id(row) not in used], [], "nothing of the kind is in the documents")


if __name__ == "__main__":
    if not BUILD or not URL:
        if not BUILD:
            print("skipped: TEST_BUILD_DIR names no build")
            sys.exit(77)
        # once more, inside a cluster
        os.execv(SOURCE / "tests/support/cluster", ["cluster", "run", "--monitor", "--", sys.executable, "-B", __file__])
    unittest.main()
