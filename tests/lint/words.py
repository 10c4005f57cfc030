# SPDX-License-Identifier: BSD-2-Clause
"""No unfinished work, no path of anybody's machine, a licence line in every source file.  words.py <repo>"""
import pathlib
import re
import subprocess
import sys

# Written in pieces, so that this file does not find itself.
UNFINISHED = ["TO" "DO", "FIX" "ME", "X" "XX", "HA" "CK"]
MACHINE = [r"/ro" r"ot/", r"/wo" r"rk/", r"/ho" r"me/\w+", r"/Us" r"ers/\w+"]
WORDS = re.compile(r"\b(?:" + "|".join(UNFINISHED) + r")\b|(?<![\w.$}])(?:" + "|".join(MACHINE) + ")")
SOURCES = {".c", ".h", ".cc", ".cpp", ".def", ".map", ".py", ".sh", ".cmake", ".sql"}
LICENCE = "SPDX-License-Identifier: BSD-2-Clause"


def files(repo):
    """What git tracks or would, or without git everything outside build."""
    git = subprocess.run(["git", "-C", str(repo), "-c", f"safe.directory={repo}", "ls-files", "-co",
                          "--exclude-standard", "-z"], capture_output=True, text=True)
    if git.returncode == 0:
        return [repo / f for f in git.stdout.split("\0") if f and (repo / f).is_file()]
    return [f for f in repo.rglob("*") if f.is_file() and not {".git", "build"} & set(f.relative_to(repo).parts)]


def is_source(file, lines):
    return file.suffix in SOURCES or file.name == "CMakeLists.txt" or (lines and lines[0].startswith("#!"))


def main(repo):
    bad, count = [], 0
    for file in sorted(files(repo)):
        me = file.relative_to(repo)
        try:
            lines = file.read_text().splitlines()
        except UnicodeDecodeError:
            bad.append(f"{me}: is not UTF-8 text")
            continue
        count += 1
        for n, line in enumerate(lines, 1):
            m = WORDS.search(line)
            if m:
                bad.append(f"{me}:{n}: {m[0]}")
        if is_source(file, lines) and not any(LICENCE in line for line in lines[:2]):
            bad.append(f"{me}:1: no line {LICENCE}")
    print("\n".join(bad) or f"words: ok ({count} files)")
    return bool(bad) or not count


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
