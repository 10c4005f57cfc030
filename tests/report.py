# SPDX-License-Identifier: BSD-2-Clause
"""What all stages of `./dev test` came to: what was skipped and why, what failed, and one last line of totals.

report.py <folder with STAGE.xml as ctest writes them> STAGE...

A stage without results (its build failed, or ctest could not begin) counts as one failed test. Exit status 0
only if something passed and nothing failed.
"""
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

HEAD, TAIL = 40, 20  # lines of a failed test's output


def output_of(case):
    return (case.findtext("system-out") or "").strip()


def shown(output):
    lines = output.splitlines()
    if len(lines) > HEAD + TAIL:
        lines[HEAD:-TAIL] = [f"... {len(lines) - HEAD - TAIL} lines more ..."]
    return "".join(f"         | {line}\n" for line in lines)


def why_skipped(case):
    for line in reversed(output_of(case).splitlines()):
        m = re.match(r"skipped: *(.*)", line.strip(), re.I)
        if m:
            return m[1]
    return "it gave no reason"


def judge(case):
    """passed, failed or skipped, and why."""
    status, skipped = case.get("status"), case.find("skipped")
    if status == "run":
        return "passed", ""
    if status == "disabled":
        return "skipped", "disabled"
    if skipped is not None and "SKIP" in (skipped.get("message") or ""):
        return "skipped", why_skipped(case)
    failure = case.find("failure")
    told = failure if failure is not None else skipped
    why = (told.get("message") if told is not None else "") or status or "no result"
    return "failed", f"after {float(case.get('time') or 0):.1f} s" if why.lower() == "fail" else why


def read(folder, stage):
    """(verdict, name, why, output) of each test of a stage."""
    file = pathlib.Path(folder) / f"{stage}.xml"
    try:
        cases = list(ElementTree.parse(file).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError):
        cases = []
    if not cases:
        return [("failed", f"{stage}: (the stage itself)", "it has no results: see above", "")]
    return [(*judged[:1], f"{stage}: {case.get('name')}", judged[1], output_of(case))
            for case in cases for judged in [judge(case)]]


def main(folder, *stages):
    results = [result for stage in stages for result in read(folder, stage)]
    count = {verdict: sum(r[0] == verdict for r in results) for verdict in ("passed", "failed", "skipped")}
    for verdict, name, why, output in results:
        if verdict == "skipped":
            print(f"skipped  {name}: {why}")
    for verdict, name, why, output in results:
        if verdict == "failed":
            print(f"failed   {name}: {why}")
            print(shown(output), end="")
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    return not (count["passed"] and not count["failed"])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
