# SPDX-License-Identifier: BSD-2-Clause
"""That the scripts of this folder say no where they should, and compute what they say they do."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import goals  # noqa: E402  (the path must be set first)
import render  # noqa: E402
import results  # noqa: E402
import suite  # noqa: E402
import svg  # noqa: E402
import tables  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "instructions"))
import count  # noqa: E402


def row(case, values, metric="time", better="less", threads=1, **args):
    return {"bench": "b", "case": case, "args": args, "threads": threads, "metric": metric, "unit": "ns",
            "better": better, "values": values}


def found(*rows, name="b"):
    one = results.Results("/nonexistent")
    one.files[name] = {"name": name, "machine": {"cores": 4}, "rows": list(rows), "histograms": []}
    return one


class Ratios(unittest.TestCase):
    def test_are_taken_run_by_run(self):
        """The machine was ten times slower in the second run, for both."""
        spread = results.ratio(row("a", [2, 20, 2.2]), row("b", [1, 10, 1]))
        self.assertEqual((spread.median, spread.least), (2, 2))
        self.assertAlmostEqual(spread.most, 2.2)

    def test_many_values_show_their_quarters(self):
        spread = results.Spread.of([*range(1, 20), 1000])
        self.assertLess(spread.most, 20)

    def test_select_one_row_or_complain(self):
        one = found(row("a", [1], n=1), row("a", [2], n=2))
        self.assertEqual(one.value("b a n=2 time").median, 2)
        for selector in ("b a time", "b a n=3 time", "b c time", "c a time"):
            with self.assertRaises(LookupError):
                one.value(selector)


class Goals(unittest.TestCase):
    def test_are_met_or_not(self):
        goal = goals.Goal("k", "t", "b a time", "b base time", 1.0)
        self.assertTrue(goal.is_met(goal.measure(found(row("a", [1]), row("base", [1])))))
        self.assertFalse(goal.is_met(goal.measure(found(row("a", [1.1]), row("base", [1])))))

    def test_a_regression_is_beyond_what_was_seen_and_the_slack(self):
        was = results.Spread(1, 0.8, 2.5)
        goal = goals.Goal("k", "t", "x", "", 1, slack=2)
        self.assertFalse(goal.is_worse(was, results.Spread(2.4, 2.4, 2.4)))
        self.assertTrue(goal.is_worse(was, results.Spread(2.6, 2.6, 2.6)))
        more = goals.Goal("k", "t", "x", "", 1, better="more", slack=2)
        self.assertFalse(more.is_worse(was, results.Spread(0.6, 0.6, 0.6)))
        self.assertTrue(more.is_worse(was, results.Spread(0.4, 0.4, 0.4)))

    def test_one_that_is_not_met_needs_words(self):
        one = found(*(row(case, [value], "cpu") for case, value in
                      (("pool/pair", 9), ("baseline.malloc/64", 1))), name="warm_pair")
        made = tables.Tables(one, {}, {})
        made.limits()
        self.assertIn("warm-pool", " ".join(made.complaints))
        made = tables.Tables(one, {"warm-pool": "words"}, {})
        self.assertEqual((made.limits(), made.complaints), ("words", []))

    def test_each_selects_something_that_exists(self):
        """A name in goals.py that no bench has would never be measured."""
        programs = {path.name[:-len("_bench.c")] for path in
                    pathlib.Path(__file__).resolve().parents[1].glob("*_bench.c")}
        for goal in goals.GOALS:
            for selector in goal.selectors():
                self.assertIn(selector.split()[0], programs | {"instructions", "peers"})


class Peers(unittest.TestCase):
    def compared(self, theirs, words):
        rows = [row("weir", [10, 10]), row("other", theirs)]
        one = results.Results("/nonexistent")
        one.files["peers"] = {"name": "peers", "rows": rows, "machine": {}}
        made = tables.Tables(one, {}, words)
        return made.peers(), made.complaints

    def test_one_that_is_ahead_needs_words(self):
        self.assertIn("b", self.compared([5, 5], {})[1][0])
        text, complaints = self.compared([5, 5], {"b/other": "because"})
        self.assertEqual(complaints, [])
        self.assertIn("other is ahead in time: because", text)

    def test_twins_and_floors_need_no_words(self):
        rows = [row("weir", [10, 10]), row("mutex", [5, 5]), row("raw-libpq", [5, 5])]
        one = results.Results("/nonexistent")
        one.files["peers"] = {"name": "peers", "rows": rows, "machine": {}}
        made = tables.Tables(one, {}, {})
        self.assertLess(made.peers().index("| mutex |"), made.peers().index("| weir |"))
        self.assertEqual(made.complaints, [])

    def test_one_that_is_ahead_within_the_noise_does_not(self):
        text, complaints = self.compared([9, 11], {"b/other": "because"})
        self.assertEqual(complaints, [])
        self.assertNotIn("because", text)


class Templates(unittest.TestCase):
    def test_typed_figures_are_found(self):
        self.assertEqual(render.figures("it takes 12 ns, <<value('x 5 ns')>> and 83 times"), ["12 ns", "83 times"])

    def test_words_of_peers_are_found(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "peers.md"
            path.write_text("# head\n\n## crowd\n\nwhat it is\n\n### ahead: other\n\nwhy\n")
            self.assertEqual(render.peers_words(path)["crowd/other"], "why")


class Benches(unittest.TestCase):
    def test_names_are_taken_apart(self):
        self.assertEqual(suite.parts("pool/crowd/connections:2/iterations:1/real_time/threads:8"),
                         ("pool/crowd", {"connections": 2}, 8))

    def test_quantiles_end_where_values_are_too_few_to_tell(self):
        shares = [share for share, _ in suite.quantiles({i: 1 for i in range(1, 1001)}, 1000)]
        self.assertIn(.99, shares)
        self.assertNotIn(.999, shares)

    def test_locked_instructions_are_known(self):
        for text in ("lock cmpxchg %edx,(%rsi)", "xchg   %eax,(%rsi)", "mfence"):
            self.assertEqual(count.kind_of(text), "locked")
        for text in ("xchg   %ax,%ax", "mov    (%rsi),%eax", "lea    0x0(%rsi),%rax"):
            self.assertIsNone(count.kind_of(text))
        self.assertEqual(count.kind_of("syscall"), "syscalls")

    def test_a_count_over_its_budget_is_wrong(self):
        zeros = {"locked": 0, "syscalls": 0, "allocations": 0, "clocks": 0}
        self.assertEqual(count.judge("pool", {"instructions": 101, **zeros}, {"pool": 100}), [])
        self.assertEqual(len(count.judge("pool", {"instructions": 103, **zeros}, {"pool": 100})), 1)
        self.assertEqual(len(count.judge("pool", {"instructions": 99, **zeros, "locked": 1}, {"pool": 100})), 1)


class Charts(unittest.TestCase):
    def test_axes_reach_from_end_to_end(self):
        axis = svg.Axis(1, 100, 0, 10, log=True)
        self.assertEqual((axis(1), axis(10), axis(100)), (0, 5, 10))
        self.assertEqual(axis.ticks()[0], 1)


if __name__ == "__main__":
    unittest.main()
