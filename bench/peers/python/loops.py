# SPDX-License-Identifier: BSD-2-Clause
"""The pools of Python, by VARIANT. Same arguments, loops, histogram and line of JSON as the programs
in C (see ../c/peer.h).

    loops.py WORK THREADS CONNECTIONS HOLD_US WARM_MS RUN_MS VARIANT
    loops.py buckets VALUE...
"""
import json
import os
import sys
import threading
import time

BATCH = 32
REST = 5  # connections open before a spike
WARM, MEASURE, STOP = range(3)
now = time.perf_counter_ns


def bucket_of(value):
    shift = max(0, value.bit_length() - 6)
    return shift * 32 + (value >> shift)


class Job:
    def __init__(self, words):
        self.work, self.variant = words[0], words[6]
        self.threads, self.connections = int(words[1]), int(words[2])
        self.hold_ns = int(words[3]) * 1000
        self.warm_s, self.run_s = int(words[4]) / 1000, int(words[5]) / 1000
        self.url = os.environ.get("DATABASE_URL")
        self.asks = self.work in ("query", "spike")
        self.first_connections = REST if self.work == "spike" else self.connections
        self.gate = threading.Event()
        self.spike_began = 0
        self.phase = WARM


class Tally:
    def __init__(self):
        self.done = 0
        self.longest = 0
        self.buckets = {}

    def record(self, ns):
        self.done += 1
        bucket = bucket_of(ns)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        if ns > self.longest:
            self.longest = ns


def pairs(job, pool, thread, tally):
    take, put = pool.take, pool.put
    while job.phase != STOP:
        phase = job.phase
        for _ in range(BATCH):
            put(thread, take(thread))
        if phase == MEASURE:
            tally.done += BATCH


def timed(job, pool, thread, tally):
    take, put, query, asks, hold_ns = pool.take, pool.put, pool.query, job.asks, job.hold_ns
    while job.phase != STOP:
        phase = job.phase
        begun = now()
        handle = take(thread)
        ended = now()
        if asks:
            if query(handle) != 1:
                os._exit(1)
        elif hold_ns:
            until = now() + hold_ns
            while now() < until:
                pass
        put(thread, handle)
        if phase == MEASURE:
            tally.record(ended - begun)


def once(job, pool, thread, tally):
    job.gate.wait()
    handle = pool.take(thread)
    pool.run(handle, "SELECT 1 FROM pg_sleep(0.002)")
    pool.put(thread, handle)
    tally.record(now() - job.spike_began)


LOOPS = {"pair": pairs, "spike": once}


def body(job, pool, thread, tally):
    try:
        LOOPS.get(job.work, timed)(job, pool, thread, tally)
    except BaseException as error:  # a thread that ends early would make the others look lucky
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def measure(job, pool):
    tallies = [Tally() for _ in range(job.threads)]
    threads = [
        threading.Thread(target=body, args=(job, pool, i, tally), daemon=True)
        for i, tally in enumerate(tallies)
    ]
    for thread in threads:
        thread.start()
    time.sleep(job.warm_s)
    begun, cpu = now(), time.process_time_ns()
    job.phase = MEASURE
    if job.work == "spike":
        job.spike_began = begun
        job.gate.set()
    else:
        time.sleep(job.run_s)
    job.phase = STOP
    ns, cpu = now() - begun, time.process_time_ns() - cpu
    for thread in threads:
        thread.join()
    counts = {}
    for tally in tallies:
        for bucket, n in tally.buckets.items():
            counts[bucket] = counts.get(bucket, 0) + n
    return {
        "ns": ns,
        "cpu_ns": cpu,
        "done": [tally.done for tally in tallies],
        "max": max(tally.longest for tally in tallies),
        "buckets": sorted(counts.items()),
    }


def main(words):
    if words and words[0] == "buckets":
        print(*(bucket_of(int(word)) for word in words[1:]))
        return 0
    if len(words) != 7:
        print(__doc__, file=sys.stderr)
        return 2
    import pools  # after the histogram's part, which needs no pool to be installed

    job = Job(words)
    pool = pools.OPEN[job.variant](job)
    print(json.dumps(measure(job, pool)))
    pool.close()
    return 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main(sys.argv[1:]))
