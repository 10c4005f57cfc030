# SPDX-License-Identifier: BSD-2-Clause
"""docs/prometheus-rules.yml, its tests and docs/grafana-dashboard.json name metrics and labels that weir has; promtool
is content with the rules, and each rule fires in its test; the dashboard is one that Grafana can import."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(os.environ["TEST_SOURCE_DIR"])
RULES = SOURCE / "docs/prometheus-rules.yml"
RULES_TEST = SOURCE / "docs/prometheus-rules-test.yml"
DASHBOARD = json.loads((SOURCE / "docs/grafana-dashboard.json").read_text())
OWN_LABELS = {"OTEL": {"db_client_connection_pool_name"}, "POOL": {"host"}, "HOST": {"host"}, "ROUTER": set(),
              "ALL": set()}
GIVEN_LABELS = {"job", "instance", "source"}


def exported():
    """What is in the text: name -> its labels."""
    table = re.sub(r"/\*.*?\*/", "", (SOURCE / "src/report/metrics.def").read_text(), flags=re.S)
    names = {}
    for macro, scope, rest in re.findall(r"^(VALUE|SET|TIMES)\((\w+), (.*?)(?=^\w+\(|\Z)", table, re.M | re.S):
        labels = OWN_LABELS[scope] | GIVEN_LABELS
        if macro == "TIMES":
            name = re.match(r"(\w+)", rest)[1]
            names.update({name + "_bucket": labels | {"le"}, name + "_sum": labels, name + "_count": labels})
            continue
        kind, name, more = re.match(r"(\w+), (\w+), (\"[\w,]*\"|\w+)", rest).groups()
        if macro == "SET":
            labels = labels | set(more.strip('"').split(","))
        names[name + {"COUNTER": "_total", "INFO": "_info"}.get(kind, "")] = labels
    return names


EXPORTED = exported()
IN_GROUPS = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
SELECTOR = re.compile(r"\b((?:weir|db_client)_\w+)(?:\{([^}]*)\})?")


def wrong_in(expression):
    """What is not there, in a PromQL expression or a series."""
    wrong = []
    groups = {label.strip() for inside in IN_GROUPS.findall(expression) for label in inside.split(",") if label.strip()}
    known = set()
    for name, inside in SELECTOR.findall(IN_GROUPS.sub("", expression)):
        if name not in EXPORTED:
            wrong.append(f"no metric {name}")
            continue
        known |= EXPORTED[name]
        wrong += [f"{name} has no label {label}" for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside)
                  if label not in EXPORTED[name]]
    return wrong + [f"nothing there has a label {label}" for label in sorted(groups - known)]


def expressions_of_rules():
    text = RULES.read_text()
    return [re.sub(r"\s+", " ", e.replace(">", "", 1) if e.lstrip().startswith(">\n") else e).strip()
            for e in re.findall(r"^ +expr:(.*?)(?=^ +(?:for|labels|annotations|#.*|- alert):?)", text, re.M | re.S)]


def promtool(*words):
    return subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=100, check=False)


class Means(unittest.TestCase):
    def test_what_is_wrong_is_seen(self):
        self.assertEqual(wrong_in('sum by (host) (rate(weir_leaks_total{host="x"}[5m]))'), [])
        self.assertEqual(wrong_in("weir_leak_total"), ["no metric weir_leak_total"])
        self.assertEqual(wrong_in('weir_leaks_total{state="x"}'), ["weir_leaks_total has no label state"])
        self.assertEqual(wrong_in("sum by (kind) (weir_leaks_total)"), ["nothing there has a label kind"])
        self.assertIn("db_client_connection_wait_time_seconds_bucket", EXPORTED)
        self.assertGreater(len(EXPORTED), 50)


class Rules(unittest.TestCase):
    def test_metrics_are_there(self):
        found = expressions_of_rules()
        self.assertEqual(len(found), len(re.findall(r"- alert:", RULES.read_text())))
        for expression in found:
            self.assertEqual(wrong_in(expression), [], expression)

    def test_each_is_tested_both_ways(self):
        text = RULES_TEST.read_text()
        for alert in re.findall(r"- alert: (\w+)", RULES.read_text()):
            self.assertRegex(text, rf"(?m)^  - name: {alert}$")
            self.assertRegex(text, rf"(?m)^  - name: {alert}, not$")
        for series in re.findall(r"series: '(.*)'", text):
            self.assertEqual(wrong_in(series), [], series)

    @unittest.skipUnless(shutil.which("promtool"), "no promtool")
    def test_promtool(self):
        for words in (("check", "rules", str(RULES)), ("test", "rules", str(RULES_TEST))):
            done = promtool(*words)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Dashboard(unittest.TestCase):
    def test_grafana_can_import_it(self):
        for key, kind in (("title", str), ("uid", str), ("schemaVersion", int), ("panels", list), ("templating", dict)):
            self.assertIsInstance(DASHBOARD[key], kind, key)
        self.assertNotIn("id", DASHBOARD, "that is the number in somebody's own Grafana")
        self.assertNotIn("__inputs", DASHBOARD, "the datasource is a variable, so nothing is asked for at import")
        ids = [panel["id"] for panel in DASHBOARD["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        for panel in DASHBOARD["panels"]:
            at = panel["gridPos"]
            self.assertTrue(0 <= at["x"] and at["x"] + at["w"] <= 24 and at["h"] > 0, panel["title"])
            self.assertIn(panel["type"], ("row", "stat", "timeseries"))
            self.assertTrue(isinstance(panel["id"], int) and panel["id"] > 0, panel["title"])
            names = [target["refId"] for target in panel.get("targets", [])]
            self.assertEqual(len(names), len(set(names)), panel["title"])
            if panel["type"] != "row":
                self.assertTrue(panel["description"] and panel["targets"], panel["title"])

    def test_everything_asks_the_chosen_datasource(self):
        """By the variable, of which there is one of its type: else it is that of whoever drew the dashboard."""
        variables = DASHBOARD["templating"]["list"]
        chosen = [v for v in variables if v["type"] == "datasource"]
        self.assertEqual([v["query"] for v in chosen], ["prometheus"])
        wanted = {"type": "prometheus", "uid": "${" + chosen[0]["name"] + "}"}
        panels = [p for p in DASHBOARD["panels"] if p["type"] != "row"]
        askers = [v for v in variables if v["type"] == "query"] + DASHBOARD["annotations"]["list"] + panels
        for asker in askers + [target for panel in panels for target in panel["targets"]]:
            self.assertEqual(asker["datasource"], wanted, asker)
        for panel in panels:
            for target in panel["targets"]:
                self.assertRegex(target["expr"], r'\{job=~"\$job", instance=~"\$instance"', panel["title"])

    def test_panels_do_not_lie_on_each_other(self):
        taken = {}
        for panel in DASHBOARD["panels"]:
            at = panel["gridPos"]
            for x in range(at["x"], at["x"] + at["w"]):
                for y in range(at["y"], at["y"] + at["h"]):
                    self.assertNotIn((x, y), taken, f"{panel['title']} on {taken.get((x, y))}")
                    taken[x, y] = panel["title"]

    def test_metrics_and_variables_are_there(self):
        variables = {v["name"] for v in DASHBOARD["templating"]["list"]} | {"__rate_interval"}
        expressions = [t["expr"] for p in DASHBOARD["panels"] for t in p.get("targets", [])]
        expressions += [a["expr"] for a in DASHBOARD["annotations"]["list"]]
        expressions += [v["query"]["query"].replace("label_values(", "(").rsplit(",", 1)[0]
                        for v in DASHBOARD["templating"]["list"] if v["type"] == "query"]
        self.assertGreater(len(expressions), 40)
        for expression in expressions:
            self.assertEqual(wrong_in(expression), [], expression)
            self.assertLessEqual(set(re.findall(r"\$(\w+)", expression)), variables, expression)

    def test_the_expressions_parse(self):
        """As rules of a file, which promtool reads; Grafana's variables filled in."""
        if not shutil.which("promtool"):
            self.skipTest("no promtool")
        rules = [{"record": f"panel:{p['id']}:{t['refId']}", "expr": re.sub(r"\$\w+", "5m", t["expr"])}
                 for p in DASHBOARD["panels"] for t in p.get("targets", [])]
        rules += [{"record": f"annotation:{i}", "expr": re.sub(r"\$\w+", "5m", a["expr"])}
                  for i, a in enumerate(DASHBOARD["annotations"]["list"])]
        text = json.dumps({"groups": [{"name": "panels", "rules": rules}]})  # JSON is YAML
        done = subprocess.run(["promtool", "check", "rules", "/dev/stdin"], input=text, capture_output=True, text=True,
                              timeout=100, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    for test, why in result.skipped:
        print(f"skipped: {why} ({test.id()})")
    sys.exit(not result.wasSuccessful())
