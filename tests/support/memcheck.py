# SPDX-License-Identifier: BSD-2-Clause
"""Runs a test program under valgrind's memcheck: it fails if memory is misused or lost, or if a descriptor is left open.

memcheck.py [--valgrind OPTION]... PROGRAM [ARGUMENT...]

Exit status: the program's own; 99 if memcheck complains, 98 if the program ends with descriptors open that it was not
given, 97 if it has lost memory. Children that it forks are looked at for misuse alone: what the other threads of their
parent had is lost to them, and its descriptors are theirs to leave open.
"""
import itertools
import pathlib
import re
import subprocess
import sys
import tempfile

OPTIONS = ["--tool=memcheck", "--quiet", "--leak-check=full", "--show-leak-kinds=definite,indirect,possible",
           "--errors-for-leak-kinds=none", "--track-fds=yes", "--error-exitcode=99"]
LEFT, LOST = 98, 97
LOSS = re.compile(r"^==\d+== .* are (?:definitely|indirectly) lost in loss record ")
OPEN = re.compile(r"^==\d+== Open (?:file descriptor|\S+ socket) (\d+):")
DESCRIPTORS = re.compile(r"^==\d+== FILE DESCRIPTORS: ")


def is_given(lines, n):
    """Whether the descriptor told of in line n was there before the program began."""
    return n + 1 < len(lines) and "<inherited from parent>" in lines[n + 1]


def left_open(lines):
    """The lines about descriptors above 2 that a process had opened itself and not closed."""
    left = []
    for n, line in enumerate(lines):
        m = OPEN.match(line)
        if m and int(m[1]) > 2 and not is_given(lines, n):
            left += [line, *itertools.takewhile(re.compile(r"^==\d+==    \S").match, lines[n + 1:])]
    return left


def complaints(lines):
    """What a log says besides the table of descriptors, which stands at its end."""
    for n, line in enumerate(lines):
        if DESCRIPTORS.match(line):
            after = n + 1
            while after < len(lines) and (OPEN.match(lines[after]) or re.match(r"^==\d+==(    .*| ?)$", lines[after])):
                after += 1
            return lines[:n] + complaints(lines[after:])
    return lines


def main(arguments):
    options = []
    while arguments and arguments[0] == "--valgrind":
        options.append(arguments[1])
        arguments = arguments[2:]
    with tempfile.TemporaryDirectory(prefix="memcheck.") as folder:
        with subprocess.Popen(["valgrind", *OPTIONS, *options, f"--log-file={folder}/%p", *arguments]) as program:
            status = program.wait()
        logs = {log.name: log.read_text(errors="replace").splitlines() for log in pathlib.Path(folder).iterdir()}
    mine = logs.pop(str(program.pid), [])
    left, lost = left_open(mine), any(LOSS.match(line) for line in mine)
    misused = [line for log in logs.values() for line in complaints(log) if status == 99]
    said = misused + complaints(mine) + (["descriptors left open:", *left] if left else [])
    print("".join(f"{line}\n" for line in said), file=sys.stderr, end="")
    if status:
        return status if status > 0 else 128 - status
    return LOST if lost else LEFT if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
