# SPDX-License-Identifier: BSD-2-Clause
"""The tables of PERFORMANCE.md: each a function of the results, named in the template."""
import re

import goals
import results

CROWDS = (("8 on 2, no hold", "connections=2 hold_us=0 away=0 threads=8"),
          ("8 on 2, 10 us burning", "connections=2 hold_us=10 away=0 threads=8"),
          ("8 on 2, 10 us asleep", "connections=2 hold_us=10 away=1 threads=8"),
          ("32 on 8, 10 us burning", "connections=8 hold_us=10 away=0 threads=32"),
          ("32 on 8, 10 us asleep", "connections=8 hold_us=10 away=1 threads=32"))
KINDS = (("mutex pool", "baseline.mutex_pool"), ("fair mutex pool", "baseline.fair_pool"), ("weir", "pool"))
THREADS = (1, 2, 4, 8, 16)


# ---- how numbers look ----

def digits(value):
    """Three significant digits, without an exponent."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    return f"{value:.4f}" if "e" in text else text


def scaled(value, unit):
    """(factor, unit) in which a value reads well."""
    if unit == "ns":
        steps = ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1, "ns"))
    elif unit == "1/s":
        steps = ((1e6, "M/s"), (1e3, "k/s"), (1, "/s"))
    else:
        return 1, {"B": "B"}.get(unit, "")
    return next(((f, u) for f, u in steps if abs(value) >= f), steps[-1])


def shown(spread):
    """'98.7 ns (95 to 102)'; without the spread where there is none."""
    factor, unit = scaled(spread.median, spread.unit)
    middle, least, most = (digits(v / factor) for v in (spread.median, spread.least, spread.most))
    text = f"{middle} {unit}".strip()
    return text if least == most == middle else f"{text} ({least} to {most})"


def plain(number, unit):
    factor, name = scaled(number, unit)
    return f"{digits(number / factor)} {name}".strip()


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join(["---"] * len(head)) + " |"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


class Tables:
    """Bound to the results; each public method is a word of the template."""

    def __init__(self, found, limits, peers_words):
        self.found, self.limit_words, self.peers_words = found, limits, peers_words
        self.complaints = []

    # ---- single figures, for the text ----

    def value(self, selector):
        try:
            return shown(self.found.value(selector))
        except LookupError:
            return "not measured"

    def ratio(self, above, below):
        try:
            return shown(self.found.ratio(above, below))
        except LookupError:
            return "not measured"

    def machine(self):
        seen = {}
        for one in self.found.files.values():
            m = one["machine"]
            text = (f"{m['cpu']}, {m['cores']} cores{' (a virtual machine)' if m['virtual'] else ''}, "
                    f"{m['memory_gib']} GiB, {m['kernel']}, {m['system']}, {m['compiler']}")
            seen.setdefault((text, one["commit"], one["date"]), []).append(one["name"])
        lines = []
        for (text, commit, date), names in seen.items():
            which = f" ({', '.join(sorted(names))})" if len(seen) > 1 else ""
            lines.append(f"- {text}; commit {commit}, {date}{which}")
        loads = [one["load"] for one in self.found.files.values()
                 if "load" in one and any(row["unit"] != "B" for row in one["rows"])]  # bytes do not mind
        if loads:
            lines.append(f"- load of the machine before the benches began: {digits(min(loads))} to {digits(max(loads))}")
        return "\n".join(lines)

    # ---- goals ----

    def goals(self):
        rows = []
        for goal in goals.GOALS:
            wanted = f"{'at most' if goal.better == 'less' else 'at least'} {plain(goal.goal, goal.unit)}"
            try:
                spread = goal.measure(self.found)
            except LookupError:
                rows.append([goal.text, wanted, "not measured", ""])
                continue
            rows.append([goal.text, wanted, shown(spread), "yes" if goal.is_met(spread) else "**no**"])
        return markdown(["measure", "to reach", "here", "reached"], self.folded(rows))

    @staticmethod
    def folded(rows):
        """Zeros that are all reached fit in one line."""
        zeros = [row for row in rows if "on the warm pair," in row[0] and row[1] == "at most 0"]
        if not zeros or any(row[3] != "yes" for row in zeros):
            return rows
        at = rows.index(zeros[0])
        line = ["locked instructions, system calls, allocations and clock reads on the warm pair; pool, router write "
                "and read", "0, 0, 0, 0", "0, 0, 0, 0", "yes"]
        return rows[:at] + [line] + [row for row in rows[at:] if row not in zeros]

    def limits(self):
        """The words on each goal that is not met; a complaint where there are none."""
        keys = []
        for goal in goals.GOALS:
            try:
                met = goal.is_met(goal.measure(self.found))
            except LookupError:
                continue
            if not met and goal.key not in keys:
                keys.append(goal.key)
        lines = []
        for key in keys:
            if key not in self.limit_words:
                self.complaints.append(f"limits.md has no words on the goal {key}, which is not met")
            lines.append(self.limit_words.get(key, ""))
        return "\n\n".join(lines) or "All are reached."

    # ---- warm pairs ----

    def warm(self):
        rows = []
        for label, name, case in (
                ("`malloc(64)` + `free`", "warm_pair", "baseline.malloc/64"),
                ("mutex pool (twin)", "warm_pair", "baseline.mutex_pool/pair"),
                ("the core alone: take and put", "warm_pair", "core/pair"),
                ("`weir_pool_checkout` + `weir_checkin`", "warm_pair", "pool/pair"),
                ("the same without membarrier", "no_membarrier", "pool/pair"),
                ("router, write, 3 hosts", "warm_router", "router/write hosts=3"),
                ("router, read, 1 host (the primary)", "warm_router", "router/read hosts=1"),
                ("router, read, 3 hosts", "warm_router", "router/read hosts=3"),
                ("router, read, 8 hosts", "warm_router", "router/read hosts=8")):
            time = f"{name} {case} threads=1 cpu"
            rows.append([label, self.value(time), self.ratio(time, f"{name} baseline.malloc/64 threads=1 cpu")])
        return markdown(["pair, one thread", "time", "in mallocs"], rows)

    SCALING = (("`malloc(64)` + `free`", "warm_pair baseline.malloc/64"),
               ("mutex pool (twin)", "warm_pair baseline.mutex_pool/pair"),
               ("core alone", "warm_pair core/pair"), ("pool", "warm_pair pool/pair"),
               ("router, write, 3 hosts", "warm_router router/write hosts=3"),
               ("router, read, 3 hosts", "warm_router router/read hosts=3"),
               ("router, read, 8 hosts", "warm_router router/read hosts=8"))

    def scaling(self):
        """Processor time of a pair over that of one thread alone: blind to who else has the processor."""
        rows = [[label] + [self.ratio(f"{case} threads={n} cpu", f"{case} threads=1 cpu") for n in THREADS[1:]]
                for label, case in self.SCALING]
        return markdown(["pair"] + [f"{n} threads" for n in THREADS[1:]], rows)

    def instructions(self):
        rows = []
        for label, word in (("pool", "pool"), ("router, write", "router_write"), ("router, read", "router_read")):
            rows.append([label] + [self.value(f"instructions {word} {metric}") for metric in
                                   ("instructions", "locked", "syscalls", "allocations", "clocks")])
        return markdown(["pair", "instructions", "locked", "system calls", "allocations", "clock reads"], rows)

    # ---- what is not the warm path ----

    def steal(self):
        rows = []
        malloc = "steal baseline.malloc/64 cpu"
        for label, case in (("own slot, nobody steals", "core/own busy=0"),
                            ("own slot, 3 other threads run", "core/own busy=3"),
                            ("each take a theft", "core/steal busy=0"),
                            ("each take a theft, 3 other threads run", "core/steal busy=3"),
                            ("mutex pool (twin)", "baseline.mutex_pool/pair")):
            rows.append([label, self.value(f"steal {case} cpu"), self.ratio(f"steal {case} cpu", malloc)])
        return markdown(["take and put", "time", "in mallocs"], rows)

    def turns(self):
        line = "steal baseline.line/turns threads=2 time"
        rows = [[label, self.value(f"steal {case} threads=2 time"), self.ratio(f"steal {case} threads=2 time", line)]
                for label, case in (("nothing but the turn", "baseline.line/turns"),
                                    ("mutex pool (twin)", "baseline.mutex_pool/turns"), ("weir", "pool/turns"))]
        return markdown(["two threads in turns, one connection", "time of two turns", "over the bare turns"], rows)

    def freelist(self):
        rows = [[label] + [self.value(f"freelist {case} threads={n} cpu") for n in THREADS]
                for label, case in (("mutex over an array (twin)", "baseline.mutex_stack/pop_push"),
                                    ("weir's free list", "core.freelist/pop_push"))]
        return markdown(["pop and push, processor time"] + [f"{n} thread{'s' * (n > 1)}" for n in THREADS], rows)

    def classify(self):
        rows = [[f"{size} bytes", self.value(f"classify sql.classify/read bytes={size} cpu"),
                 self.value(f"classify baseline.bytes/sum bytes={size} cpu")] for size in (8, 45, 351, 100000)]
        return markdown(["a text of", "weir_classify", "adding up its bytes"], rows)

    def balance(self):
        rows = []
        for label, case in (("two replicas", "router/two"), ("three", "router/three"),
                            ("three, one of them ten times as slow", "router/three_one_slow"),
                            ("the same, each in turn", "baseline.round_robin/three_one_slow")):
            one = f"balance {case} threads=32"
            slow = self.value(f"{one} slow") if "slow" in case else ""
            rows.append([label] + [self.value(f"{one} read_{q}") for q in ("p50", "p99", "p999")] +
                        [self.value(f"{one} share"), slow])
        return markdown(["reads over", "out for: p50", "p99", "p99.9", "shares differ by", "the slow one's part"], rows)

    def handoff(self):
        rows = []
        for slept in (100, 1000):
            floor = f"handoff baseline.futex/handoff slept_us={slept}"
            for label, case in (("bare futex", "baseline.futex"), ("mutex pool (twin)", "baseline.mutex_pool"),
                                ("weir", "pool")):
                case = f"handoff {case}/handoff slept_us={slept}"
                rows.append([f"{label}, slept for {plain(slept * 1000, 'ns')}"] +
                            [self.value(f"{case} handoff_{q}") for q in ("p50", "p99")] +
                            [self.ratio(f"{case} handoff_p50", f"{floor} handoff_p50")])
        return markdown(["checkin to the waiter running", "p50", "p99", "p50 over the bare futex"], rows)

    def parked(self):
        rows = [[label] + [self.value(f"parked {case}/parked {metric}") for metric in ("cpu", "switches", "share")]
                for label, case in (("mutex pool (twin)", "baseline.mutex_pool"), ("weir", "pool"))]
        return markdown(["one of 30 waiters", "processor time", "context switches", "share of the time it waited"],
                        rows)

    # ---- crowds ----

    def crowd(self):
        rows = []
        for label, shape in CROWDS:
            for kind, case in KINDS:
                one = f"crowded_pool {case}/crowd {shape}"
                twin = f"crowded_pool baseline.mutex_pool/crowd {shape}"
                ideal = "no hold" in label
                rows.append([f"{label}: {kind}", self.value(f"{one} checkouts"),
                             self.ratio(f"{one} checkouts", f"{twin} checkouts"),
                             "" if ideal else self.ratio(f"{one} checkouts", f"{one} ideal_checkouts"),
                             self.value(f"{one} luck"), self.value(f"{one} jain")])
        return markdown(["threads on connections, hold: pool", "checkouts", "over the mutex pool", "over the ideal",
                         "luckiest over unluckiest", "Jain's index"], rows)

    def crowd_waits(self):
        rows = []
        for label, shape in CROWDS:
            for kind, case in KINDS:
                one = f"crowded_pool {case}/crowd {shape}"
                ideal = ["", ""] if "no hold" in label else [
                    self.ratio(f"{one} wait_p999", f"{one} {queue}") for queue in ("queue_p999", "ideal_wait")]
                rows.append([f"{label}: {kind}"] +
                            [self.value(f"{one} wait_{q}") for q in ("p50", "p99", "p999", "max")] + ideal +
                            [self.value(f"{one} {metric}") for metric in ("cpu", "switches")])
        return markdown(["threads on connections, hold: pool", "wait p50", "p99", "p99.9", "max",
                         "p99.9 over the ideal queue's, holds as they were", "over the wait if all holds were even", "processor time a checkout, beyond a burning hold",
                         "context switches a checkout"], rows)

    def spike(self):
        rows = []
        for label, case in (*((f"{k}, 8 connections", f"{c}/spike") for k, c in KINDS),
                            ("weir, 5 that may become 50, 150 ms to open one", "pool/growing_spike")):
            one = f"spike {case}"
            rows.append([label, self.value(f"{one} spike"), self.ratio(f"{one} spike", f"{one} ideal"),
                         self.value(f"{one} wait_p50"), self.value(f"{one} wait_max"),
                         self.value(f"{one} opened") if case.startswith("pool") else ""])
        return markdown(["50 threads at once, 2 ms each", "until the last is done", "over the ideal", "wait p50",
                         "longest wait", "connections in the end"], rows)

    def churn(self):
        rows = []
        for n in (1, 4):
            bare = f"churn baseline.thread/churn threads={n} time"
            for label, case in (("a bare thread", "baseline.thread"), ("mutex pool (twin)", "baseline.mutex_pool"),
                                ("weir", "pool")):
                one = f"churn {case}/churn threads={n} time"
                rows.append([f"{label}, {n} creating", self.value(one), self.ratio(one, bare)])
        return markdown(["a thread's life with one checkout", "time", "over a bare thread"], rows)

    def open_loop(self):
        rows = []
        for load in (50, 70, 85):
            for label, case in (("no pool", "baseline.none"), *KINDS):
                one = f"open_loop {case}/arrivals load={load}"
                rows.append([f"{load} %: {label}"] + [self.value(f"{one} latency_{q}") for q in
                                                      ("p50", "p99", "p999", "max")] +
                            ["" if case == "baseline.none" else self.value(f"{one} ideal_{q}") for q in
                             ("p99", "p999")])
        return markdown(["offered load: pool", "p50", "p99", "p99.9", "max", "ideal p99", "ideal p99.9"], rows)

    def memory(self):
        rows = [[label, self.value(selector)] for label, selector in (
            ("a pool with room for one connection", "memory pool/empty bytes"),
            ("room for one connection more, open or not", "memory pool/slot bytes"),
            ("the pool with what it has in reserve", "memory pool/empty_reserve bytes"),
            ("the room for one more with that", "memory pool/slot_reserve bytes"),
            ("an open connection to a real server, slot and driver, beyond libpq's own",
             "server_memory pool/connection bytes"),
            ("a thread that has used one pool", "memory pool/thread bytes"),
            ("a thread that has used 16 pools, a pool", "memory pool/thread_and_pool bytes"))]
        return markdown(["what", "bytes"], rows)

    # ---- a real server ----

    def patroni(self):
        rows = []
        for label, case in (("`patronictl switchover`", "switchover"), ("`kill -9` of the leader", "kill-9")):
            for how, advised in (("the servers' own words", 0), ("with `libweir-patroni`", 1)):
                one = f"patroni {case} advised={advised}"
                rows.append([f"{label}, {how}"] + [self.value(f"{one} {metric}") for metric in
                                                   ("stopped", "after", "reads", "failed", "read_only")])
        return markdown(["change of the leader", "writes stopped", "of that, after the new primary took writes",
                         "longest time between two reads", "writes that failed, of 4 writers", "of them with 25006"], rows)

    def server(self):
        rows = []
        for n in (1, 2, 8, 32):
            raw = f"server_query baseline.libpq/query connections={n} threads={n}"
            for label, case in (("own libpq connection", "baseline.libpq"), ("mutex pool (twin)", "baseline.mutex_pool"),
                                ("weir", "pool")):
                one = f"server_query {case}/query connections={n} threads={n}"
                rows.append([f"{n} on {n}: {label}", self.value(f"{one} checkouts"),
                             self.ratio(f"{one} checkouts", f"{raw} checkouts"), self.value(f"{one} op_p50"),
                             self.value(f"{one} op_p99"), self.value(f"{one} wait_p999")])
        raw = "server_query baseline.libpq/query connections=2 threads=2 checkouts"
        for label, case in (("mutex pool (twin)", "baseline.mutex_pool"), ("weir", "pool")):
            one = f"server_query {case}/query connections=2 threads=8"
            rows.append([f"8 on 2: {label}, over 2 on 2 of their own", self.value(f"{one} checkouts"),
                         self.ratio(f"{one} checkouts", raw), self.value(f"{one} op_p50"),
                         self.value(f"{one} op_p99"), self.value(f"{one} wait_p999")])
        for n in (1, 2, 8, 32):
            one = f"server_query pool/alternating connections={n} threads={n}"
            rows.append([f"{n} on {n}: weir, one connection in turn held and pooled", "", self.value(f"{one} over"),
                         "", "", ""])
        return markdown(["threads on connections", "queries", "over libpq", "p50", "p99", "p99.9 of the wait"], rows)

    # ---- peers ----

    def peers(self):
        """One table for each scene: a line a case, a column a metric. A peer that is ahead of weir needs words."""
        one = self.found.files.get("peers")
        if not one:
            return "Not measured."
        scenes = {}
        for row in one["rows"]:
            scene = (row["bench"], row["threads"], tuple(row["args"].items()))
            scenes.setdefault(scene, {}).setdefault(row["case"], []).append(row)
        parts, told = [], set()
        for (bench, threads, args), cases in scenes.items():
            if bench not in told:
                parts.append(self.peers_words.get(bench, f"### {bench}"))
                parts.append(f"![{bench}](docs/charts/peers_{bench}.svg)")
                told.add(bench)
            setting = ", ".join([f"{threads} thread{'s' * (threads != 1)}"] + [f"{k} {v}" for k, v in args])
            parts.append(self.scene(bench, setting, cases))
        if one.get("versions"):
            parts.append("Measured: " + ", ".join(f"{k} {v}" for k, v in sorted(one["versions"].items())) + ".")
        return "\n\n".join(parts + one.get("notes", []))

    def scene(self, bench, setting, cases):
        metrics = list(dict.fromkeys(row["metric"] for rows in cases.values() for row in rows if "values" in row))
        ours = {row["metric"]: row for row in cases.get("weir", []) if "values" in row}
        lines, ahead = [], []
        for case, rows in cases.items():
            measured = {row["metric"]: row for row in rows if "values" in row}
            if not measured:
                continue
            ahead += self.ahead_words(bench, case, measured, ours)
            first = measured.get(metrics[0])
            cells = [self.median_of(measured.get(metric)) for metric in metrics]
            lines.append((order(first), [case] + cells + [ahead_by(first, ours.get(metrics[0]))]))
        text = markdown([setting] + [metric.replace("_", " ") for metric in metrics] + ["weir ahead by"],
                        [line for _, line in sorted(lines, key=lambda one: one[0])])
        skipped = [f"{case} ({rows[0]['skipped']})" for case, rows in cases.items() if "skipped" in rows[0]]
        return "\n\n".join([text] + ([f"Not measured: {', '.join(skipped)}."] if skipped else []) + ahead)

    @staticmethod
    def median_of(row):
        if not row:
            return ""
        return plain(results.Spread.of(row["values"]).median, row["unit"])

    def ahead_words(self, bench, case, measured, ours):
        """[words on why], where a peer is ahead; a complaint where there are none."""
        if case == "weir" or NO_PEER.match(case):
            return []
        metrics = [metric for metric, row in measured.items() if metric in ours and is_ahead(row, ours[metric])]
        if not metrics:
            return []
        names = ", ".join(metric.replace("_", " ") for metric in metrics)
        if f"{bench}/{case}" not in self.peers_words:
            self.complaints.append(f"peers.md: no words (### ahead: {case} under ## {bench}) on {names}, where it is "
                                   "ahead")
            return []
        return [f"{case} is ahead in {names}: {self.peers_words[f'{bench}/{case}']}"]


NO_PEER = re.compile(r"mutex|baseline|weir-|raw-")  # twins and floors


def order(row):
    """Best first, and last who lacks the first metric."""
    if not row:
        return float("inf")
    middle = results.Spread.of(row["values"]).median
    return middle if row["better"] == "less" else -middle


def ahead_by(row, ours):
    """How many times as good weir is: more than 1 means better."""
    if not row or not ours or row is ours:
        return ""
    try:
        return shown(results.ratio(row, ours) if row["better"] == "less" else results.ratio(ours, row))
    except LookupError:
        return ""


def is_ahead(row, ours):
    """Of weir, by more than what differs from run to run."""
    try:
        over = results.ratio(row, ours)
    except LookupError:
        return False
    return over.most < 1 if row["better"] == "less" else over.least > 1
