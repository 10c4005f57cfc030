#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a warm pair executes: counted, not timed, so that the result is the same on a busy machine.

count.py PROGRAM BUDGET BUILD [--functions] [--json FILE]
count.py PROGRAM BUDGET BUILD --record

PROGRAM is instruction_pairs. callgrind counts the instructions below measured_pairs, each by its
address, and objdump says what they are. Judged are: the number of instructions, the caller's own
not counted, against BUDGET (a file; 2 % are allowed over it) where that knows BUILD (compiler,
machine and build type, for the number depends on them); and that there is no locked instruction, no
system call, no allocation and no look at a clock. callgrind hides the vdso, so a clock that is read is a system call there. The
kernel is asked, too: PROGRAM runs once more without callgrind, sealed by a seccomp filter.

Exit status: 0; 1 over budget or not zero; 77 (no valgrind, no objdump, not x86-64)."""
import argparse
import collections
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

WORDS = ("pool", "router_write", "router_read")
PAIRS = 10000
OVER = 1.02  # of the budget

LOCKED = re.compile(r"^(lock\b|mfence\b|xchg\s.*\()")  # an exchange with memory locks by itself
SYSTEM = re.compile(r"^(syscall|sysenter|int\s+\$0x80)\b")
CLOCK = re.compile(r"^rdtscp?\b")
# Now and then the keeper asks for a pair to be timed, or for its stack: such a run is made again.
SAMPLED = ("wi_timed_begin", "wi_timed_end", "wi_held_stack")
TRIES = 5
ALLOCATORS = re.compile(
    r"^(je_)?(malloc|calloc|realloc|reallocarray|free|cfree|aligned_alloc|memalign|posix_memalign|valloc|pvalloc"
    r"|mallocx|rallocx|xallocx|dallocx|sdallocx|wi_alloc|wi_alloc_aligned|wi_free)(@.*)?$")
CLOCKS = re.compile(r"^(__)?(vdso_)?(clock_gettime|gettimeofday|time|clock|times|getrusage|wi_now_ns)(@.*)?$")


def profile(program, word, folder):
    """{(object, address): executions}, {function: calls} and {function: executions}, of PAIRS pairs."""
    out = pathlib.Path(folder) / f"{word}.callgrind"
    subprocess.run(["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}",
                    "--toggle-collect=measured_pairs", "--dump-instr=yes", "--compress-strings=no",
                    "--compress-pos=no", program, word, str(PAIRS)],
                   check=True, stdout=subprocess.DEVNULL)
    executed, calls, inside = collections.Counter(), collections.Counter(), collections.Counter()
    where, function, called, inclusive = "", "", "", False
    for line in out.read_text().splitlines():
        if line.startswith("ob="):
            where = line[3:]
        elif line.startswith("fn="):
            function = line[3:]
        elif line.startswith("cfn="):
            called = line[4:]
        elif line.startswith("calls="):
            calls[called] += int(line[6:].split()[0])
            inclusive = True  # the next line is what the callee cost, not an instruction of ours
        elif line.startswith("0x"):
            address, _, count = line.split()
            if not inclusive:
                executed[where, int(address, 16)] += int(count)
                inside[function] += int(count)
            inclusive = False
    return executed, calls, inside


def disassembly(path, known={}):
    """{address: instruction} of an object; empty if it cannot be read."""
    if path not in known:
        text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True).stdout
        known[path] = {int(m[1], 16): m[2] for m in re.finditer(r"^\s*([0-9a-f]+):\s+(.*)$", text, re.M)}
    return known[path]


def kind_of(instruction):
    for kind, pattern in (("locked", LOCKED), ("syscalls", SYSTEM), ("clocks", CLOCK)):
        if pattern.match(instruction):
            return kind
    return None


def count(program, word, folder):
    """Everything counted, a pair; and where what should be zero is."""
    executed, calls, inside = profile(program, word, folder)
    ours = sum(executed.values()) - inside["measured_pairs"]  # the loop and the arguments are the caller's
    result = {"instructions": ours / PAIRS, "locked": 0.0, "syscalls": 0.0, "allocations": 0.0,
              "clocks": 0.0}
    found = []
    for (where, address), times in sorted(executed.items()):
        instruction = disassembly(where).get(address)
        if instruction is None:
            raise SystemExit(f"count: no instruction at {address:#x} of {where}")
        kind = kind_of(instruction)
        if kind:
            result[kind] += times / PAIRS
            found.append(f"{kind}: {times / PAIRS:g} times {instruction.split('#')[0].strip()}, "
                         f"{os.path.basename(where)} {address:#x}")
    for function, times in sorted(calls.items()):
        for kind, pattern in (("allocations", ALLOCATORS), ("clocks", CLOCKS)):
            if pattern.match(function):
                result[kind] += times / PAIRS
                found.append(f"{kind}: {times / PAIRS:g} times {function}")
    return result, found, inside


def sealed(program, word):
    """The kernel's word on system calls: None, or what is wrong."""
    done = subprocess.run([program, word, "1000", "sealed"], capture_output=True, text=True)
    if done.returncode == 77:
        print(done.stdout.strip())
        return None
    return None if done.returncode == 0 else f"a system call on the warm path: status {done.returncode}"


def count_unsampled(program, word, folder):
    """The same of a run in which nobody asked for a sample."""
    for _ in range(TRIES):
        counted = count(program, word, folder)
        if not any(counted[2][function] for function in SAMPLED):
            break
        print(f"{word}: a pair was timed, as it happens now and then; again")
    return counted


def read_budget(path, build):
    """{word: instructions} recorded for this build; empty: none."""
    rows = (line.split() for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return {word: float(number) for named, word, number in rows if named == build}


def record(path, build, results):
    lines = [line for line in path.read_text().splitlines() if not line.startswith(build + " ")]
    lines += [f"{build} {word} {result['instructions']:.1f}" for word, result in results.items()]
    path.write_text("\n".join(lines) + "\n")


def judge(word, result, budget):
    zeros = ", ".join(f"{name} {result[name]:g}" for name in ("locked", "syscalls", "allocations", "clocks"))
    allowed = f"of {budget[word]:.1f}" if word in budget else "(no budget for this build)"
    print(f"{word:13s} {result['instructions']:7.1f} instructions {allowed}; {zeros}")
    wrong = [f"{word}: {name} on the warm path: {value:g} a pair" for name, value in result.items()
             if name != "instructions" and value]
    if word in budget and result["instructions"] > OVER * budget[word]:
        wrong.append(f"{word}: {result['instructions']:.1f} instructions a pair, {budget[word]:.1f} are recorded")
    return wrong


def lacking():
    if platform.machine() != "x86_64":
        return f"knows x86-64 only, this is {platform.machine()}"
    return next((f"no {tool} here" for tool in ("valgrind", "objdump") if not shutil.which(tool)), None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("budget", type=pathlib.Path)
    parser.add_argument("build")
    parser.add_argument("--record", action="store_true", help="write what was counted into BUDGET")
    parser.add_argument("--functions", action="store_true", help="also say which function executes how much")
    parser.add_argument("--json", type=pathlib.Path, help="write what was counted there")
    options = parser.parse_args()
    if lacking():
        print(f"skipped: {lacking()}")
        return 77
    budget, results, wrong = read_budget(options.budget, options.build), {}, []
    with tempfile.TemporaryDirectory() as folder:
        for word in WORDS:
            results[word], found, inside = count_unsampled(options.program, word, folder)
            complaints = judge(word, results[word], budget)
            if options.functions:
                found += [f"{times / PAIRS:7.1f} {function}" for function, times in inside.most_common()]
            print("".join(f"    {line}\n" for line in found), end="")
            wrong += complaints + [f"{word}: {told}" for told in [sealed(options.program, word)] if told]
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    if options.record:
        record(options.budget, options.build, results)
        return 0
    print("\n".join(wrong) or "instructions: ok")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
