# SPDX-License-Identifier: BSD-2-Clause
"""Every code block of the documents says what it is, every C block compiles, and what a synopsis names exists.

README.md beside this file says how. Needs TEST_SOURCE_DIR, TEST_CC, and for the synopses TEST_BIN."""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import unittest

import blocks

SOURCE = pathlib.Path(os.environ.get("TEST_SOURCE_DIR", ".")).resolve()
BIN = os.environ.get("TEST_BIN", "")
CC = os.environ.get("TEST_CC", "cc")
ONLY = os.environ.get("TEST_DOCS", "")

# What a fragment of C takes for granted. Rows may be added; a fragment's own declarations hide these.
PRELUDE = """
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <libpq-fe.h>
#include <weir/weir.h>
extern weir_router *router, *r;
extern weir_pool *pool;
extern weir_conn *conn, *c;
extern weir_options options;
extern weir_error error, e;
extern weir_status status;
extern PGresult *result;
extern const char *url;
_Noreturn void die(const char *);
void show(PGresult *);
void handle(const weir_error *);
"""
# A line that begins so is a command; outside a fence for sh it is one that nobody would run.
COMMAND = re.compile(r"^(\$ |weir |\./dev |sudo |apt-get |psql |curl |cmake |ctest |cc |gcc |make |pkg-config |docker |bpftrace |spatch |man )")
SYNOPSIS = re.compile(r"^weir (\w+)\b(?:.*[\[|]| [A-Z]+$)")


def chosen(language=None):
    for block in blocks.all_blocks(SOURCE):
        if (not ONLY or block.file == ONLY) and (language is None or block.language == language):
            yield block


def sources(text):
    """The block as a file of its own, then as the inside of a function."""
    includes = "\n".join(re.findall(r"^#\s*include .*$", text, re.M))
    rest = re.sub(r"^#\s*include .*$", "", text, flags=re.M)
    yield f"{PRELUDE}\n{includes}\n{rest}\n"
    yield f"{PRELUDE}\n{includes}\nvoid block(void);\nvoid block(void)\n{{\n{rest}\n}}\n"


def compile_(block):
    """None, or what the compiler says."""
    said = []
    flags = ["-std=c11", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Werror=implicit-function-declaration", "-Werror=implicit-int", "-Wno-unused",
             f"-I{SOURCE}/include", *os.environ.get("TEST_CFLAGS", "-I/usr/include/postgresql").split()]
    for source in sources(block.text):
        done = subprocess.run([CC, *flags, "-x", "c", "-"], input=source, capture_output=True, text=True, timeout=60)
        if done.returncode == 0:
            return None
        said.append(done.stderr)
    return said[0 if re.search(r"^\w[\w\s*]*\([^;]*\)\s*\{", block.text, re.M) else 1]


class Finding(unittest.TestCase):
    """The means of this test see what they should."""

    def test_blocks(self):
        found = list(blocks.blocks("d.md", "a\n```sh\nx \\\n  y # z\n# only\n\nw\n```\n\n    weir x\n - b\n    - item\n```\nv\n```\n"))
        self.assertEqual([(b.line, b.language) for b in found], [(3, "sh"), (10, "indented"), (14, "")])
        self.assertEqual(list(found[0].commands()), [(3, "x   y # z"), (7, "w")])
        with self.assertRaises(ValueError):
            list(blocks.blocks("d.md", "```\nopen"))

    def test_the_compiler_is_asked(self):
        self.assertIsNone(compile_(blocks.Block("d", 1, "c", "weir_checkin(&conn);")))
        self.assertIsNone(compile_(blocks.Block("d", 1, "c", "#include <math.h>\nint main(void) { return 0; }")))
        self.assertIn("nosuch", compile_(blocks.Block("d", 1, "c", "nosuch(router);")))


class Documents(unittest.TestCase):
    def test_every_fence_has_a_language(self):
        for block in chosen(""):
            self.fail(f"{block.place}: say what it is, ```sh, ```c or ```text (tests/docs/README.md)")

    def test_commands_stand_in_fences(self):
        for block in chosen("indented"):
            if COMMAND.match(block.text) and not SYNOPSIS.match(block.text):
                self.fail(f"{block.place}: a command stands in a fence, ```sh: {block.text}")

    def test_synopses_name_what_exists(self):
        helps = {}
        for block in chosen("indented"):
            match = SYNOPSIS.match(block.text)
            if not match or not BIN:
                continue
            word = match.group(1)
            if word not in helps:
                done = subprocess.run([BIN, "help", *([word] if word != "help" else [])], capture_output=True, text=True, timeout=60)
                self.assertEqual(done.returncode, 0, f"{block.place}: weir has no word {word}")
                helps[word] = done.stdout
            for option in re.findall(r"--[a-z][a-z-]*", block.text):
                self.assertIn(f"  {option} ", helps[word], f"{block.place}: weir {word} has no {option}")

    def test_c_compiles(self):
        found = list(chosen("c"))
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            complaints = [f"{b.place}:\n{said}" for b, said in zip(found, pool.map(compile_, found)) if said]
        if complaints:
            self.fail("\n".join(complaints))


if __name__ == "__main__":
    unittest.main()
