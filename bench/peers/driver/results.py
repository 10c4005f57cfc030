# SPDX-License-Identifier: BSD-2-Clause
"""The rows of a run, as the result file has them and as a table for people."""
import statistics

from driver import measure
from driver.scenes import RAW_BENCH

SHOWN = {
    "time": "ns",
    "spike": "all us",
    "checkouts": "checkouts/s",
    "queries": "queries/s",
    "requests": "requests/s",
    "of_raw": "of raw",
    "luck": "luck",
    "wait_p50": "p50 us",
    "wait_p99": "p99 us",
    "wait_p999": "p99.9 us",
    "wait_max": "max us",
    "time_p50": "p50 us",
    "time_p99": "p99 us",
    "time_p999": "p99.9 us",
    "time_max": "max us",
    "cpu": "cpu us",
}


class Row:
    """All rounds of one case in one scene."""

    def __init__(self, case, scene):
        self.case = case
        self.scene = scene
        self.results = []
        self.skipped = None

    def figures(self, rates):
        """metric: (values, unit, better). rates: of the raw cases, by name and threads."""
        if self.skipped:
            return {}
        rounds = [result.figures() for result in self.results]
        found = {
            name: ([figures[name][0] for figures in rounds], unit, better)
            for name, (_, unit, better) in rounds[0].items()
        }
        raw = rates.get((self.case.raw, self.scene.connections))
        if raw and self.scene.work == "query":
            values = [mine.rate / theirs for mine, theirs in zip(self.results, raw)]
            found["of_raw"] = (values, "1", "more")
        return found


class Results:
    def __init__(self):
        self.rows = {}

    def row(self, case, scene):
        key = (case.name, scene)
        return self.rows.setdefault(key, Row(case, scene))

    def raw_rates(self):
        return {
            (row.case.name, row.scene.threads): [result.rate for result in row.results]
            for row in self.rows.values()
            if row.case.name.startswith("raw") and row.scene.bench == RAW_BENCH and row.results
        }

    def as_rows(self):
        rates, out = self.raw_rates(), []
        for row in self.rows.values():
            head = {"bench": row.scene.bench, "case": row.case.name, "args": row.scene.args}
            head["threads"] = row.scene.threads
            if row.skipped:
                first, unit, better = measure.FIRST[row.scene.work]
                out.append(
                    head
                    | {"metric": first, "unit": unit, "better": better, "skipped": row.skipped}
                )
            for metric, (values, unit, better) in row.figures(rates).items():
                rounded = [float(f"{value:.6g}") for value in values]
                out.append(
                    head | {"metric": metric, "unit": unit, "better": better, "values": rounded}
                )
        return out

    def histograms(self):
        out = []
        for row in self.rows.values():
            if row.skipped or row.scene.work != "crowd" and row.scene.bench != "crowd_query":
                continue
            merged, longest = {}, max(result.max for result in row.results)
            for result in row.results:
                for bucket, n in result.buckets.items():
                    merged[bucket] = merged.get(bucket, 0) + n
            out.append(
                {
                    "bench": row.scene.bench,
                    "case": row.case.name,
                    "args": row.scene.args,
                    "threads": row.scene.threads,
                    "metric": "wait",
                    "unit": "ns",
                    "quantiles": [
                        [q, measure.quantile(merged, longest, q)] for q in measure.QUANTILES
                    ],
                }
            )
        return out

    # ---- for people ----

    def print_table(self, scene):
        rates = self.raw_rates()
        rows = [row for row in self.rows.values() if row.scene == scene]
        figures = {row.case.name: row.figures(rates) for row in rows}
        weir = figures.get("weir") or {}
        columns = [c for c in SHOWN if any(c in found for found in figures.values())]
        print(f"\n{scene.title}")
        if columns:
            heads = [SHOWN[c] for c in columns]
            print(f"  {'':24}" + "".join(f"{h:>13}" for h in heads) + f"{'weir ahead':>12}  (least to most)")
        main = columns[0] if columns else None
        for row in sorted(rows, key=lambda row: order(figures[row.case.name], main)):
            print(line(row, figures[row.case.name], columns, weir))


def order(found, main):
    if main not in found:
        return float("inf")
    values, _, better = found[main]
    return statistics.median(values) * (1 if better == "less" else -1)


def line(row, found, columns, weir):
    if row.skipped:
        return f"  {row.case.name:24}   skipped: {row.skipped}"
    words = f"  {row.case.name:24}"
    for column in columns:
        words += f"{shown(column, found.get(column)):>13}"
    main = columns[0]
    if main in weir:
        better = found[main][2]
        ratios = [
            mine / theirs if better == "more" else theirs / mine
            for mine, theirs in zip(weir[main][0], found[main][0])
        ]
        words += f"{statistics.median(ratios):12.2f}  ({min(ratios):.2f} to {max(ratios):.2f})"
    return words


def shown(column, figure):
    if not figure:
        return ""
    value = statistics.median(figure[0])
    if SHOWN[column].endswith(" us"):
        value /= 1000
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"

