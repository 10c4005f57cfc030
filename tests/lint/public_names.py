# SPDX-License-Identifier: BSD-2-Clause
"""The names that the public headers declare, and those that the version map lists."""
import re


APART = {"http.h", "patroni.h"}  # of libraries of their own


def declared(include, only=None):
    """Every function that a header in include/weir marks WEIR_API; `only`: the header of a library apart."""
    names = []
    for file in sorted((include / "weir").glob("*.h")):
        if file.name != only if only else file.name in APART:
            continue
        text = re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.S)
        text = re.sub(r"^\s*#(?:.*\\\n)*.*$", "", text, flags=re.M)
        for m in re.finditer(r"\bWEIR_API\b([^;]*);", text):
            names.append(re.search(r"(\w+)\s*\(", m[1])[1])
    return names


def listed(version_map):
    """Every name after `global:` in any node of the map, with the node that has it."""
    text = re.sub(r"/\*.*?\*/", "", version_map.read_text(), flags=re.S)
    found = []
    for node, body in re.findall(r"([\w.]+)\s*\{([^}]*)\}", text):
        shown = re.search(r"global:(.*?)(?:local:|$)", body, re.S)
        found += [(name, node) for name in re.findall(r"(\w+)\s*;", shown[1] if shown else "")]
    return found
