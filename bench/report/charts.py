# SPDX-License-Identifier: BSD-2-Clause
"""The charts of PERFORMANCE.md: name and SVG of each that the results have the numbers for."""
import results
import svg
from tables import CROWDS, KINDS, THREADS, Tables


def spread(found, selector):
    one = found.value(selector)
    return one.median, one.least, one.most


def scaling(found):
    series = []
    for label, case in Tables.SCALING:
        points = [(n, *spread(found, f"{case} threads={n} cpu")) for n in THREADS]
        series.append((label.replace("`", ""), points))
    return svg.lines("What a pair costs each of so many threads", "threads (each with its own connection)",
                     "processor time of a pair", series, x_log=True, y_log=True, x_ticks=THREADS,
                     x_name=lambda v: f"{v:.0f}", y_name=svg.duration)


def at_tail(points):
    """From shares to how many nines: the tail is what is asked about."""
    return [(1 / (1 - share), max(value, 1)) for share, value in points if 0 < share < 1]


TAIL = (2, 10, 100, 1000, 10000)


def tail_name(value):
    return {2: "50 %", 10: "90 %", 100: "99 %", 1000: "99.9 %", 10000: "99.99 %"}[value]


def waits(title, y_title, series):
    longest = max(x for _, points in series for x, *_ in points)
    return svg.lines(title, "share of checkouts that take at most", y_title, series, x_log=True, y_log=True,
                     x_ticks=[t for t in TAIL if t <= longest], x_name=tail_name, y_name=svg.duration)


def crowd_waits(found, label, shape):
    series = [(kind, at_tail(found.quantiles(f"crowded_pool {case}/crowd {shape} wait"))) for kind, case in KINDS]
    series.append(("ideal queue", at_tail(found.quantiles(f"crowded_pool pool/crowd {shape} queue"))))
    return waits(f"How long a checkout waits: {label}", "wait", series)


def open_loop(found, load):
    series = [(kind, at_tail(found.quantiles(f"open_loop {case}/arrivals load={load} latency"))) for kind, case in
              (("no pool", "baseline.none"), *KINDS)]
    series.append(("ideal queue", at_tail(found.quantiles(f"open_loop pool/arrivals load={load} ideal"))))
    return waits(f"From the intended start to a connection, {load} % load", "latency", series)


def fairness(found):
    groups = [(label, [spread(found, f"crowded_pool {case}/crowd {shape} luck") for _, case in KINDS])
              for label, shape in CROWDS]
    return svg.bars("How evenly it is shared", "checkouts of the luckiest thread over the unluckiest (1: equal)",
                    groups, [kind for kind, _ in KINDS], log=True)


def throughput(found):
    groups = [(label, [_over(found, case, shape) for _, case in KINDS]) for label, shape in CROWDS]
    return svg.bars("Throughput of a crowd", "checkouts a second over the mutex pool's", groups,
                    [kind for kind, _ in KINDS], log=True, one=1)


def _over(found, case, shape):
    one = found.ratio(f"crowded_pool {case}/crowd {shape} checkouts",
                      f"crowded_pool baseline.mutex_pool/crowd {shape} checkouts")
    return one.median, one.least, one.most


def server(found):
    groups = []
    for threads, connections in ((1, 1), (2, 2), (8, 8), (32, 32), (8, 2)):
        own = min(threads, connections)
        raw = f"server_query baseline.libpq/query connections={own} threads={own} checkouts"
        values = []
        for case in ("baseline.mutex_pool", "pool"):
            one = found.ratio(f"server_query {case}/query connections={connections} threads={threads} checkouts", raw)
            values.append((one.median, one.least, one.most))
        groups.append((f"{threads} on {connections}", values))
    return svg.bars("Prepared SELECT 1 on a real server", "threads on connections: queries a second over raw libpq connections of their own",
                    groups, ["mutex pool", "weir"], one=1)


def peers(found):
    """Bars of each scenario's first metric, who over weir."""
    one = found.files.get("peers")
    if not one:
        raise LookupError("no peers")
    made, seen = {}, {}
    for row in one["rows"]:
        seen.setdefault((row["bench"], row["metric"]), []).append(row)
    for bench in dict.fromkeys(row["bench"] for row in one["rows"]):
        metric = next(metric for b, metric in seen if b == bench)
        names = sorted({row["case"] for row in seen[bench, metric] if "values" in row},
                       key=lambda case: (case != "weir", case))
        settings = {}
        for row in seen[bench, metric]:
            if "values" in row:
                label = ", ".join([f"{row['threads']} thread{'s' * (row['threads'] != 1)}"] + [f"{k} {v}" for k, v in row["args"].items()])
                settings.setdefault(label, {})[row["case"]] = row["values"]
        groups = [(name, [middle(settings[label].get(name)) for label in settings]) for name in names]
        unit = seen[bench, metric][0]["unit"]
        name = svg.duration if unit == "ns" else svg.number
        made[f"peers_{bench}"] = svg.bars(f"{bench}: {metric}", f"{metric}{'' if unit == 'ns' else ', ' + unit}",
                                          groups, list(settings), log=wide(groups), name=name)
    return made


def wide(groups):
    """Whether the bars differ so much that only a logarithmic axis shows them all."""
    medians = [v[0] for _, values in groups for v in values if v]
    return max(medians) > 30 * min(medians) > 0


def middle(values):
    if not values:
        return None
    one = results.Spread.of(values)
    return one.median, one.least, one.most


def all_of(found):
    """{file name: SVG}; what was not measured has no chart."""
    wanted = {
        "scaling": lambda: scaling(found),
        "waits_32_on_8_burning": lambda: crowd_waits(found, *CROWDS[3]),
        "waits_32_on_8_asleep": lambda: crowd_waits(found, *CROWDS[4]),
        "open_loop_70": lambda: open_loop(found, 70),
        "open_loop_85": lambda: open_loop(found, 85),
        "fairness": lambda: fairness(found),
        "throughput": lambda: throughput(found),
        "server": lambda: server(found),
    }
    made = {}
    for name, draw in wanted.items():
        try:
            made[name] = draw()
        except LookupError as error:
            print(f"no chart {name}: {error}")
    try:
        made.update(peers(found))
    except LookupError:
        pass
    return made
