# SPDX-License-Identifier: BSD-2-Clause
"""docs/migrating/checkouts.cocci on sample programs: patched by the real spatch, compiled, and run beside what they were.

Needs TEST_SOURCE_DIR and TEST_BUILD_DIR, which ctest sets. Each sample (migrating/*.c but *_main.c) has `int sample(url)`.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("TEST_SOURCE_DIR", ".")).resolve()
BUILD = pathlib.Path(os.environ.get("TEST_BUILD_DIR", "."))
URL = os.environ.get("CLUSTER_URL", "")
SAMPLES = SOURCE / "tests/pg/migrating"
WARNINGS = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1"]


def done(*command, **more):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("WEIR_", "PG"))}
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120, env=environment, **more)


def pkg(*what):
    return done("pkg-config", *what, "libpq").stdout.split()


class Migrating(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def compiled(self, name, *files, flags=(), libraries=()):
        program = self.folder / name
        made = done("cc", *WARNINGS, *pkg("--cflags"), *flags, *files, "-o", program, *libraries, *pkg("--libs"))
        self.assertEqual((made.returncode, made.stderr), (0, ""))
        return program

    def patched(self, sample):
        """The sample after the patch, and what spatch told of."""
        file = self.folder / sample
        shutil.copy(SAMPLES / sample, file)
        made = done("spatch", "--very-quiet", "--sp-file", SOURCE / "docs/migrating/checkouts.cocci", "-D",
                    "the_router=app_router", "--in-place", file)
        self.assertEqual(made.returncode, 0, made.stderr)
        # the program's own router, which its other files open
        file.write_text(file.read_text().replace("#include <weir/weir.h>",
                                                 "#include <weir/weir.h>\nextern weir_router *app_router;", 1))
        return file, made.stderr

    def with_weir(self, file):
        """The string of the connect is where the router is opened now: a parameter that brought it is left over."""
        return self.compiled("after", file, SAMPLES / "after_main.c",
                             flags=[f"-I{SOURCE / 'include'}", "-Wno-unused-parameter"],
                             libraries=[f"-L{BUILD / 'lib'}", f"-Wl,-rpath,{BUILD / 'lib'}", "-lweir"])

    def both(self, sample):
        before = self.compiled("before", SAMPLES / sample, SAMPLES / "before_main.c")
        file, told = self.patched(sample)
        after = self.with_weir(file)
        return file.read_text(), told, done(before, URL), done(after, URL)

    def test_connections_within_a_function_become_checkouts(self):
        text, told, before, after = self.both("counts.c")
        self.assertEqual(told, "")
        self.assertNotIn("PQconnectdb", text)
        self.assertNotIn("PQfinish", text)
        self.assertEqual((before.returncode, before.stderr), (0, ""))
        self.assertIn("looped: 5\nrefused: ERROR:", before.stdout)
        self.assertEqual((after.returncode, after.stdout), (0, before.stdout))
        self.assertEqual(after.stderr, "checkouts 7, still out 0\n")

    def test_connections_that_live_on_are_left_and_told(self):
        text, told, before, after = self.both("keeps.c")
        self.assertEqual(text, (SAMPLES / "keeps.c").read_text())
        for line in ("PQconnectdb in open_app", "PQconnectdb in open_one", "PQfinish in open_one", "PQfinish in end"):
            self.assertIn(f"{line} is left as it was", told)
        self.assertEqual((before.returncode, before.stdout), (0, "both: 1\n"))
        self.assertEqual((after.returncode, after.stdout), (0, before.stdout))
        self.assertEqual(after.stderr, "checkouts 0, still out 0\n")

    def test_an_error_says_what_it_is_from_either_side(self):
        file, _ = self.patched("counts.c")
        said = done(self.with_weir(file), "postgresql://nobody@127.0.0.1:1/none?checkout_timeout_ms=200&breaker_failures=1")
        self.assertIn("no connection: ", said.stderr)
        self.assertIn("127.0.0.1:1", said.stderr)


if __name__ == "__main__":
    if not shutil.which("spatch"):
        print("skipped: there is no spatch (package coccinelle)")
        sys.exit(77)
    if not URL:  # once more, inside a cluster
        os.execv(SOURCE / "tests/support/cluster", ["cluster", "run", "--", sys.executable, "-B", __file__])
    unittest.main()
