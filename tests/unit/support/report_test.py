# SPDX-License-Identifier: BSD-2-Clause
"""The report of `./dev test`: what counts as passed, and what a second try by itself may mend."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

REPORT = pathlib.Path(os.environ.get("TEST_SOURCE_DIR", ".")) / "tests" / "report.py"
PASSED = '<testcase name="{}" status="run" time="1"/>'
FAILED = '<testcase name="{}" status="fail" time="1"><failure message="Failed"/><system-out>it said {}</system-out></testcase>'
SKIPPED = ('<testcase name="{}" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/>'
           '<system-out>skipped: no {}</system-out></testcase>')


class Report(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def write(self, run, *cases):
        text = "".join(case.format(name, name) for case, name in cases)
        (pathlib.Path(self.folder.name) / f"{run}.xml").write_text(f"<testsuite>{text}</testsuite>")

    def ask(self, *arguments):
        done = subprocess.run([sys.executable, "-B", REPORT, *arguments], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout

    def test_counts_and_reasons(self):
        self.write("dev", (PASSED, "a"), (SKIPPED, "b"), (FAILED, "pg.c"))
        status, said = self.ask(self.folder.name, "dev")
        self.assertEqual(status, 1)
        self.assertIn("skipped  dev: b: no b\n", said)
        self.assertIn("failed   dev: pg.c: Failed\n         | it said pg.c\n", said)
        self.assertTrue(said.endswith("\n1 passed, 1 failed, 1 skipped\n"))

    def test_a_second_try_counts_and_is_told(self):
        self.write("dev", (PASSED, "a"), (FAILED, "pg.b"), (FAILED, "pg.c"))
        self.write("dev.again", (PASSED, "pg.b"), (FAILED, "pg.c"))
        status, said = self.ask(self.folder.name, "dev")
        self.assertEqual(status, 1)
        self.assertIn("unsteady dev: pg.b: Failed, beside others; passed by itself\n         | it said pg.b\n", said)
        self.assertIn("failed   dev: pg.c", said)
        self.assertTrue(said.endswith("\n2 passed, 1 failed, 0 skipped\n"))
        self.write("dev.again", (PASSED, "pg.b"), (PASSED, "pg.c"))
        self.assertEqual(self.ask(self.folder.name, "dev")[0], 0)

    def test_a_stage_without_results_failed(self):
        self.assertEqual(self.ask(self.folder.name, "tsan")[0], 1)

    def test_names_for_a_second_try(self):
        self.write("dev", (PASSED, "a"), (FAILED, "pg.b"), (FAILED, "pg.c"))
        self.assertEqual(self.ask("--failed", self.folder.name, "dev"), (0, "^(pg\\.b|pg\\.c)$\n"))
        self.write("dev", (PASSED, "a"))
        self.assertEqual(self.ask("--failed", self.folder.name, "dev"), (0, "\n"))
        broken = FAILED.replace("it said {}", "12 ok\nBROKEN fresh: an old value of {}")
        self.write("dev", (FAILED, "pg.b"), (broken, "check.short"))  # that is a find, however busy the machine was
        self.assertEqual(self.ask("--failed", self.folder.name, "dev"), (0, "^(pg\\.b)$\n"))
        self.write("dev", *((FAILED, f"pg.{i}") for i in range(13)))  # that is no moment of the machine's
        self.assertEqual(self.ask("--failed", self.folder.name, "dev"), (0, "\n"))


if __name__ == "__main__":
    unittest.main()
