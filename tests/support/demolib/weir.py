# SPDX-License-Identifier: BSD-2-Clause
"""Running the program weir. The connection string goes through the environment, where other users
cannot read it."""
import json
import os

from clusterlib import foreground
from clusterlib.world import Failed


class Weir:
    def __init__(self, world, conninfo):
        self.world = world
        self.program = os.environ["TEST_BIN"]
        self.environment = dict(os.environ)
        self.environment["DATABASE_URL"] = conninfo

    def show(self, *words, seconds=60):
        """Runs it for people to read; returns its status."""
        return foreground.run(self.world, [self.program, *words], self.environment, seconds)

    def ask(self, *words, seconds=60, meanwhile=None):
        """Runs it with --json; returns its status and the document. Its progress is seen."""
        output = os.memfd_create("weir")
        try:
            status = foreground.run(
                self.world,
                [self.program, *words, "--json"],
                self.environment,
                seconds,
                output,
                meanwhile,
            )
            os.lseek(output, 0, os.SEEK_SET)
            with os.fdopen(os.dup(output), "rb") as file:
                return status, json.load(file)
        except ValueError as error:
            raise Failed(f"weir {words[0]} ended with {status} and printed no document") from error
        finally:
            os.close(output)

    def bench(self, seconds, *words, meanwhile=None):
        return self.ask(
            "bench",
            "--duration",
            str(seconds),
            *words,
            seconds=seconds + 90,
            meanwhile=meanwhile,
        )

    def option_names(self):
        """Every option, as it may stand in a connection string."""
        _, document = self.ask("options")
        return [
            row["name"] for row in (document if isinstance(document, list) else document["options"])
        ]
