# SPDX-License-Identifier: BSD-2-Clause
"""What the core is to reach: one list, for the table in PERFORMANCE.md and for the regression check.

A goal is a value, or a value over another of the same run, and the number it is to reach: "less" means at most,
"more" means at least. `slack` is by what factor a short run on a busy machine may be worse than what is recorded
before the check calls it a regression. Its key names the words in limits.md that a goal needs which is not met.
"""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Goal:
    key: str
    text: str
    above: str
    below: str  # "": the value itself
    goal: float
    better: str = "less"
    slack: float = 1.5
    unit: str = "1"

    def selectors(self):
        return [text for text in (self.above, self.below) if text]

    def measure(self, found):
        """Of one folder's results; the number of cores is the one they were taken on."""
        name = self.above.split()[0]
        if name not in found.files:
            raise LookupError(f"{name} was not measured")
        cores = str(found.files[name]["machine"]["cores"])
        above, below = self.above.replace("CORES", cores), self.below.replace("CORES", cores)
        return found.ratio(above, below) if below else found.value(above)

    def is_met(self, spread):
        return spread.median <= self.goal if self.better == "less" else spread.median >= self.goal

    def is_worse(self, was, now):
        """Beyond what was seen when it was recorded, and beyond the slack."""
        if self.better == "less":
            return now.median > max(was.most, was.median * self.slack)
        return now.median < min(was.least, was.median / self.slack)


def over(text, key, above, below, goal, **rest):
    return Goal(key, text, above, below, goal, **rest)


def value(text, key, selector, goal, unit, **rest):
    return Goal(key, text, selector, "", goal, unit=unit, **rest)


def scaling(text, key, case):
    """By processor time: on a shared machine the wall clock measures whoever else wants the cores."""
    return over(f"the same with as many threads as cores, per thread, over one thread: {text}", key,
                f"{case} threads=CORES cpu", f"{case} threads=1 cpu", 1.05, slack=2)


def holds(away):
    return "asleep" if away else "burning processor"


def crowds():
    """What is asked of a crowd, for each kind of hold."""
    for away in (0, 1):
        case = f"crowded_pool pool/crowd connections=8 hold_us=10 away={away} threads=32"
        yield value(f"32 threads on 8 connections, holds of 10 us ({holds(away)}): luckiest over unluckiest thread",
                    "crowd-luck", f"{case} luck", 1.1, "1", slack=2)
        yield over(f"32 threads on 8 connections, holds of 10 us ({holds(away)}): p99.9 of the wait over that of an "
                   "ideal queue with the same holds", "crowd-wait", f"{case} wait_p999", f"{case} queue_p999", 3,
                   slack=4)
    bare = "connections=2 hold_us=0 away=0 threads=8"
    yield over("8 threads on 2 connections, no hold: throughput over a barging mutex pool", "bare-throughput",
               f"crowded_pool pool/crowd {bare} checkouts", f"crowded_pool baseline.mutex_pool/crowd {bare} checkouts",
               1.0, better="more", slack=2)
    yield value("... while luckiest over unluckiest stays within", "bare-luck", f"crowded_pool pool/crowd {bare} luck",
                1.2, "1", slack=3)
    for away in (0, 1):
        case = f"crowded_pool pool/crowd connections=2 hold_us=10 away={away} threads=8"
        yield over(f"8 threads on 2 connections, holds of 10 us ({holds(away)}): throughput over the ideal",
                   "hold-throughput", f"{case} checkouts", f"{case} ideal_checkouts", 0.97, better="more")


def servers():
    raw, pooled = "server_query baseline.libpq/query", "server_query pool/query"
    yield over("8 threads on 2 connections, prepared SELECT 1 on a real server: throughput over 2 threads with 2 raw "
               "connections of their own", "server-crowd", f"{pooled} connections=2 threads=8 checkouts",
               f"{raw} connections=2 threads=2 checkouts", 0.85, better="more")
    yield value("... with a p99.9 of the wait of at most", "server-wait",
                f"{pooled} connections=2 threads=8 wait_p999", 5e6, "ns", slack=3)
    for n in (1, 2, 8, 32):
        yield value(f"pooled query over a dedicated raw libpq connection, {n} thread{'s' * (n > 1)}", "server-pooled",
                    f"server_query pool/alternating connections={n} threads={n} over", 0.99, "1", better="more")


MALLOC = "baseline.malloc/64 threads=1 cpu"
GOALS = [
    over("warm checkout and checkin of a pool, one thread, over malloc(64) + free of jemalloc", "warm-pool",
         "warm_pair pool/pair threads=1 cpu", f"warm_pair {MALLOC}", 1.0),
    over("the same through the router, write, three hosts", "warm-router",
         "warm_router router/write hosts=3 threads=1 cpu", f"warm_router {MALLOC}", 1.5),
    over("the same through the router, read, three hosts", "warm-router",
         "warm_router router/read hosts=3 threads=1 cpu", f"warm_router {MALLOC}", 1.5),
    scaling("pool", "scaling", "warm_pair pool/pair"),
    scaling("router, write, three hosts", "scaling", "warm_router router/write hosts=3"),
    scaling("router, read, three hosts", "scaling", "warm_router router/read hosts=3"),
    value("instructions of the warm pair, pool", "instructions", "instructions pool instructions", 80, "count"),
    value("instructions of the warm pair, router, write", "instructions", "instructions router_write instructions",
          110, "count"),
    value("instructions of the warm pair, router, read", "instructions", "instructions router_read instructions",
          110, "count"),
    *(value(f"{text} on the warm pair, {path}", "zeros", f"instructions {word} {metric}", 0, "count")
      for metric, text in (("locked", "locked instructions"), ("syscalls", "system calls"),
                           ("allocations", "allocations"), ("clocks", "clock reads"))
      for word, path in (("pool", "pool"), ("router_write", "router, write"), ("router_read", "router, read"))),
    *(over(f"a wait that ends, checkin to the waiter running, over a bare futex wake to run (median, waited for "
           f"{slept} us)", "handoff", f"handoff pool/handoff slept_us={slept} handoff_p50",
           f"handoff baseline.futex/handoff slept_us={slept} handoff_p50", 1.2, slack=2) for slept in (100, 1000)),
    *crowds(),
    *servers(),
    *(over(f"through weir over through PgBouncer on the same machine, {n} clients on 8 connections", "pgbouncer",
           f"peers weir connections=8 threads={n} requests", f"peers pgbouncer connections=8 threads={n} requests", 2,
           better="more") for n in (8, 32)),
    value("memory per pooled connection beyond libpq's own", "memory", "server_memory pool/connection bytes", 256, "B",
          slack=1),
    value("memory per thread and pool", "memory", "memory pool/thread_and_pool bytes", 192, "B", slack=1),
]
