#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A public header as Doxygen wants to read it: filter.py FILE.

Our comments are plain ones. Here the comment before a declaration becomes its documentation, one behind a member becomes
that member's, the second of a file the file's; lines that stand further in are tables and stay as they are. Rows of
X-macros (WEIR_EVENT_MAP) and of options.def become what the compiler makes of them, each documented by its text. The
number of lines stays the same wherever nothing is expanded, so that warnings name the right place."""
import pathlib
import re
import sys

COMMENT = re.compile(r"/\*.*?\*/", re.S)
ROW = re.compile(r'X\((\w+),\s*(?:(\w+),.*?)?"((?:[^"\\]|\\.)*)"\)', re.S)


def escape(text):
    """What Doxygen would read as commands, tags or links."""
    return re.sub(r"[@\\<>#&%$]", lambda m: "\\" + m.group(), text).replace("::", "\\::")


def prose(lines):
    """Paragraphs; what is indented by two and more after the asterisk is kept as it stands."""
    out, verbatim = [], False
    for line in lines:
        stands = re.match(r"\s{3,}\S", line) is not None
        if stands and not verbatim:
            out.append("@verbatim")
        if not stands and verbatim:
            out.append("@endverbatim")
        verbatim = stands
        out.append(line if stands else escape(line))
    return out + ["@endverbatim"] * verbatim


def rewritten(comment, behind):
    """The comment for Doxygen. `behind`: it belongs to what stands before it on its line."""
    lines = re.sub(r"^/\*|\*/$", "", comment).split("\n")
    lines = [lines[0], *[re.sub(r"^\s*\*", "", line) for line in lines[1:]]]
    inside = "\n".join(prose(lines))
    return ("/**< " if behind else "/** ") + inside.lstrip(" ") + " */"


def document(text):
    """All comments but those that belong to nothing: the licence, headings (---- so ----), inside of macros."""
    out, at, first = [], 0, True
    for match in COMMENT.finditer(text):
        before = text[text.rfind("\n", 0, match.start()) + 1:match.start()]
        comment = match.group()
        out.append(text[at:match.start()])
        at = match.end()
        if "SPDX" in comment or "----" in comment or text[at:at + 1] == "\\":
            out.append(re.sub(r"[^\n]", "", comment))
        elif first:
            out.append(rewritten(comment, False).replace("/** ", "/** @file\n", 1))
            first = False
        else:
            out.append(rewritten(comment, bool(before.strip())))
    return "".join(out) + text[at:]


def shared(text):
    """Declarations that follow each other without an empty line share the comment above the first."""
    def run(match):
        comment, rest = match.groups()
        again = comment.replace("\n", " ") + " "
        if "@file" in comment or "@verbatim" in comment:
            return match.group()
        rest = re.sub(r"(?<=;\n)(?=WEIR_API\b|typedef\b)|(?<=\n)(?=#define \w+ \S+(?:\n|$))", lambda m: again, rest)
        return comment + "\n" + rest
    text = re.sub(r"^(/\*\*(?!<)(?:(?!\*/).)*\*/)\n((?:(?!\n\n|/\*\*(?!<)).)*)", run, text, flags=re.S | re.M)
    # What marks names is a matter of compilers; a size and the type that it is of.
    return re.sub(r"^(/\*\*(?:(?!\*/).)*\*/)\n(#define [^\n]*\n)(?=typedef)", lambda m: m.group() + m.group(1).replace("\n", " ") + " ",
                  text, flags=re.S | re.M)


def words_of(name):
    return re.sub(r"\[.*\]|\*", "", name).replace("_", " ")


def members_too(text):
    """A member without a comment is one whose name says it: the name, in words, is its text."""
    def body(match):
        inside, kept, above = match.group(2), [], False
        for line in inside.split("\n"):
            declared = re.match(r"\t(?!#)[\w\s*()]*?(?:\(\*(\w+)\)\(.*\)|(\w+)(?:\[[^\]]*\])*);$", line)
            several = re.match(r"\t(\w[\w\s]*?\s)(\*?\w+(?:\[[^\]]*\])?(?:, \*?\w+(?:\[[^\]]*\])?)+);(.*)$", line)
            if several:  # a line each, with one comment for all
                text_ = re.search(r"/\*\*<(.*)\*/", several.group(3))
                line = " ".join(f"{several.group(1)}{name}; /**< {text_.group(1) if text_ else words_of(name)} */"
                                for name in several.group(2).split(", "))
            elif declared and not above:
                line += f" /**< {words_of(declared.group(1) or declared.group(2))} */"
            above = line.strip().endswith("*/") and "/**<" not in line
            kept.append(line)
        return match.group(1) + "\n".join(kept) + match.group(3)
    return re.sub(r"((?:typedef )?(?:struct|union) ?\w* \{\n)(.*?)(\n\} ?\w*;)", body, text, flags=re.S)


def maps(text):
    """name of a map: [(row, number or '', words), ...]"""
    return {m.group(1): [(r[0], r[1], r[2]) for r in ROW.findall(m.group(2))]
            for m in re.finditer(r"#define (WEIR_\w+_MAP)\(X\)((?:[^\n]*\\\n)*[^\n]*\n)", text)}


def expand_maps(text):
    for name, rows in maps(text).items():
        kind = name[:-len("MAP")]
        enum = re.search(rf"#define {kind}ENUM\([^)]*\) (WEIR_\w*?)##name( = )?", text)
        head = re.search(rf"(/\*(?:(?!\*/).)*\*/\n)#define {name}\(X\)", text, re.S)
        if enum and head:  # what stands above the rows is about what is made of them
            text = re.sub(rf"\n\n(typedef enum \w+ \{{\n#define {kind}ENUM)", lambda m: "\n\n" + head.group(1) + m.group(1), text)
        members = "\n".join(f"\t{enum.group(1)}{row}{' = ' + number if enum.group(2) else ''}, /* {words} */"
                            for row, number, words in rows) if enum else ""
        text = re.sub(rf"\t{name}\({kind}ENUM\)", lambda m: members, text)
        text = re.sub(rf"(?:/\*(?:(?!\*/).)*\*/\n)?#define {name}\(X\)(?:[^\n]*\\\n)*[^\n]*\n", "", text, flags=re.S)
        text = re.sub(rf"#define {kind}ENUM\([^\n]*\n|#undef {kind}ENUM\n", "", text)
    return text


def expand_tables(text, folder):
    """Members and enumerators that come of options.def and alerts.def."""
    if "#include <weir/alerts.def>" in text:
        rows = re.findall(r'^WEIR_ALERT\((\w+),.*"((?:[^"\\]|\\.)*)"\)$', (folder / "alerts.def").read_text(), re.M)
        text = text.replace("#include <weir/alerts.def>\n", "".join(f"\tWEIR_ALERT_{name}, /* {words} */\n" for name, words in rows))
        text = re.sub(r"#define WEIR_ALERT\([^\n]*\n|#undef WEIR_ALERT\n", "", text)
    if "#include <weir/options.def>" in text:
        rows = re.findall(r'^WEIR_OPTION_(INT|CHOICE|TEXT)\((\w+),\s*(.*?)"((?:[^"\\]|\\.)*)"\s*\)', (folder / "options.def").read_text(), re.M | re.S)
        members = "".join(f"\tchar {name}[{rest.split(',')[0]}]; /* {words} */\n" if kind == "TEXT" else f"\tint64_t {name}; /* {words} */\n"
                          for kind, name, rest, words in rows)
        text = re.sub(r"#define WEIR_OPTION_\w+\([^\n]*\n", "", text)
        text = text.replace("#include <weir/options.def>\n", members)
    return text


def main():
    path = pathlib.Path(sys.argv[1])
    text = path.read_text()
    text = re.sub(r"(#ifndef WEIR_\w+_H\n)#define WEIR_\w+_H\n", r"\1\n", text, count=1)
    sys.stdout.write(members_too(shared(document(expand_tables(expand_maps(text), path.parent)))))


if __name__ == "__main__":
    main()
