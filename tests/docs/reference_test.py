# SPDX-License-Identifier: BSD-2-Clause
"""The reference by Doxygen: every public name is documented, and every exported function is in it.

Needs TEST_SOURCE_DIR, and doxygen."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("TEST_SOURCE_DIR", ".")).resolve()


def doxygen(place, **more):
    """What it says, and its exit status."""
    settings = {"OUTPUT_DIRECTORY": place, "WARN_AS_ERROR": "FAIL_ON_WARNINGS", "GENERATE_HTML": "NO", "GENERATE_TAGFILE": f"{place}/tags",
                "GENERATE_XML": "YES", **more}
    text = (SOURCE / "docs/doxygen/Doxyfile").read_text() + "".join(f"{name} = {value}\n" for name, value in settings.items())
    done = subprocess.run(["doxygen", "-"], input=text, cwd=SOURCE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200)
    return done.returncode, done.stdout


class Reference(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.place = place.name

    def test_every_public_name_is_documented(self):
        status, said = doxygen(self.place)
        self.assertEqual((status, said), (0, ""), said)
        tags = pathlib.Path(self.place, "tags").read_text()
        for names in (SOURCE / "src").glob("*.map"):
            exported = re.findall(r"^\s+(weir_\w+);", names.read_text(), re.M)
            self.assertGreater(len(exported), 2)
            self.assertEqual([name for name in exported if f"<name>{name}</name>" not in tags], [], names.name)
        # What tables make is there, too: options as members, kinds as enumerators, each with its text.
        xml = "".join(path.read_text() for path in pathlib.Path(self.place, "xml").glob("*.xml"))
        for name, text in (("pool_max", "connections to one host, at most"), ("WEIR_EVENT_LEAK", "a connection is held for longer"),
                           ("WEIR_OUTCOME_UNKNOWN", "outcome unknown")):
            self.assertRegex(xml, rf"(?s)<name>{name}</name>.{{0,400}}{text}")

    def test_what_has_no_comment_is_refused(self):
        folder = pathlib.Path(self.place, "include")
        folder.mkdir()
        (folder / "x.h").write_text("/* SPDX */\n/* About. */\n\n/* Said. */\nint weir_said(void);\n\nint weir_bare(void);\n"
                                    "typedef struct weir_bare_too { int a; } weir_bare_too;\n")
        status, said = doxygen(self.place, INPUT=folder)
        self.assertNotEqual(status, 0)
        self.assertIn("weir_bare(void)", said)
        self.assertIn("weir_bare_too", said)
        self.assertNotIn("weir_said", said)


if __name__ == "__main__":
    if not shutil.which("doxygen"):
        print("skipped: no doxygen")
        sys.exit(77)
    unittest.main()
