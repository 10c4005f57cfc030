# SPDX-License-Identifier: BSD-2-Clause
"""Each public header compiles alone, as C11 and as C++17, without a warning.  headers.py <include dir> <cc> <c++>"""
import pathlib
import subprocess
import sys

FLAGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Werror", "-fsyntax-only"]


def main(include, cc, cxx):
    bad, headers = [], sorted((pathlib.Path(include) / "weir").glob("*.h"))
    for header in headers:
        for compiler, language, standard in ((cc, "c", "c11"), (cxx, "c++", "c++17")):
            done = subprocess.run(
                [compiler, "-x", language, f"-std={standard}", *FLAGS, f"-I{include}", "-"],
                input=f"#include <weir/{header.name}>\n#include <weir/{header.name}>\nint main(void);\n",
                capture_output=True, text=True)
            if done.returncode:
                bad.append(f"weir/{header.name} as {standard}:\n{done.stderr}")
    print("\n".join(bad) or f"headers: ok ({len(headers)} headers)")
    return bool(bad) or not headers


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
