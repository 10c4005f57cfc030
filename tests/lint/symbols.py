# SPDX-License-Identifier: BSD-2-Clause
"""What the library shows is what its headers declare; and it calls nothing that a library must not.

symbols.py <libweir.so> <libweir.a> <weir.map> <include dir> [<header>]

A header is named for a library apart, which shows what that one declares.
"""
import pathlib
import subprocess
import sys

from public_names import declared, listed

# Ends the process, writes where the host writes, changes what belongs to the host as a whole, or is unsafe with threads.
FORBIDDEN = {
    "exit", "_exit", "_Exit", "quick_exit", "__assert_fail", "system", "popen", "stdout", "printf", "vprintf",
    "__printf_chk", "__vprintf_chk", "puts", "putchar", "perror", "setenv", "putenv", "unsetenv", "clearenv",
    "setlocale", "signal", "sigaction", "srand", "srandom", "strtok", "longjmp", "siglongjmp", "strerror", "localtime",
    "gmtime", "ctime", "asctime", "gethostbyname", "getpwuid", "getpwnam", "getservbyname", "rand", "random", "drand48",
}
# Only the file that reports a broken invariant may do these.
ASSERT_ONLY = {"abort", "stderr", "fprintf", "__fprintf_chk", "fputs", "fwrite", "dprintf", "__dprintf_chk"}


def nm(*arguments):
    out = subprocess.run(["nm", *arguments], check=True, capture_output=True, text=True).stdout
    return [line for line in out.splitlines() if line.strip()]


def exported(library):
    """name -> version node of each symbol that the shared library shows."""
    found = {}
    for line in nm("-D", "--defined-only", library):
        name, _, node = line.split()[-1].replace("@@", "@").partition("@")
        if line.split()[-2] != "A":
            found[name] = node
    return found


def wanted(archive):
    """(object, name) of each symbol that an object of the archive takes from elsewhere."""
    for line in nm("-A", "-u", archive):
        yield line.split(":")[1], line.split()[-1].partition("@")[0]


def main(library, archive, version_map, include, only=None):
    headers, shown, mapped = declared(pathlib.Path(include), only), exported(library), listed(pathlib.Path(version_map))
    names = [name for name, _ in mapped]
    bad = [f"{n} is declared twice" for n in sorted(set(headers)) if headers.count(n) > 1]
    bad += [f"{n} is listed twice in the map" for n in sorted(set(names)) if names.count(n) > 1]
    bad += [f"{n} is declared in a header, but the map does not list it" for n in sorted(set(headers) - set(names))]
    bad += [f"{n} is listed in the map, but no header declares it" for n in sorted(set(names) - set(headers))]
    bad += [f"{n} is listed in the map, but the library does not have it" for n in sorted(set(names) - set(shown))]
    bad += [f"{n} is shown by the library, but the map does not list it" for n in sorted(set(shown) - set(names))]
    bad += [f"{n} is in node {shown[n]} of the library and in {node} of the map"
            for n, node in mapped if n in shown and shown[n] != node]
    for member, name in wanted(archive):
        if name in FORBIDDEN or (name in ASSERT_ONLY and not member.startswith("assert.c")):
            bad.append(f"{member} calls {name}")
    print("\n".join(bad) or f"symbols: ok ({len(shown)} names)")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:6]))
