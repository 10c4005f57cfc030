# SPDX-License-Identifier: BSD-2-Clause
"""What all stages of `./dev test` came to: what was skipped and why, what failed, and one last line of totals.

report.py <folder with STAGE.xml as ctest writes them> STAGE...
report.py --failed <folder> STAGE       a regular expression for the names that failed in a stage, or nothing if there
                                        are none, or so many that the machine is not the reason; without those that
                                        found a rule of the consistency checker broken

A stage without results (its build failed, or ctest could not begin) counts as one failed test. What ./dev ran once
more by itself is in STAGE.again.xml: the second result counts, and a pass after a failure is told as "unsteady",
with what was said the first time. Exit status 0 only if something passed and nothing failed.
"""
import collections
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

HEAD, TAIL = 40, 20  # lines of a failed test's output
MOST_AGAIN = 12  # failures of a stage that are worth a second look


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


def cases_of(folder, run):
    try:
        return list(ElementTree.parse(pathlib.Path(folder) / f"{run}.xml").getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return []


def read(folder, stage):
    """(verdict, name, why, output) of each test of a stage."""
    cases = cases_of(folder, stage)
    if not cases:
        return [("failed", f"{stage}: (the stage itself)", "it has no results: see above", "")]
    again = {case.get("name"): case for case in cases_of(folder, f"{stage}.again")}
    results = []
    for case in cases:
        name, (verdict, why) = case.get("name"), judge(case)
        second = again.get(name) if verdict == "failed" else None
        if second is not None and judge(second)[0] == "passed":
            verdict, why = "unsteady", f"{why}, beside others; passed by itself"
        results.append((verdict, f"{stage}: {name}", why, output_of(case)))
    return results


def failed_names(folder, stage):
    """What ctest -R takes."""
    names = [case.get("name") for case in cases_of(folder, stage)
             if judge(case)[0] == "failed" and not re.search(r"(?m)^BROKEN ", output_of(case))]
    return f"^({'|'.join(map(re.escape, names))})$" if 0 < len(names) <= MOST_AGAIN else ""


def main(folder, *stages):
    if folder == "--failed":
        print(failed_names(*stages))
        return 0
    results = [result for stage in stages for result in read(folder, stage)]
    count = collections.Counter(verdict for verdict, *_ in results)
    for verdict, name, why, output in results:
        if verdict == "skipped":
            print(f"skipped  {name}: {why}")
    for told in ("unsteady", "failed"):
        for verdict, name, why, output in results:
            if verdict == told:
                print(f"{told:8} {name}: {why}")
                print(shown(output), end="")
    passed = count["passed"] + count["unsteady"]
    print(f"{passed} passed, {count['failed']} failed, {count['skipped']} skipped")
    return not (passed and not count["failed"])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
