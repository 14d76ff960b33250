"""Every trace of the original's decisions, step by step, through the Python package and so through the C contract."""

import json
import os
import unittest

import primacy

TRACES = os.path.join(os.path.dirname(__file__), "..", "data", "mpp-traces.jsonl")
CAUSES = {"ok": "ok", "connect_failed": "refused", "replication_failed": "replication_stopped"}


def address(name):
    """A trace's node names are letters; the pool's nodes have addresses."""
    return f"10.0.1.{ord(name) - ord('A') + 11}:3306"


def states(pool):
    return {node.name: {"count": node.count, "status": str(node.status), "state": str(node.state)} for node in pool.nodes()}


def load():
    with open(TRACES, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


class Traces(unittest.TestCase):
    """One test for each trace, made below."""

    def play(self, trace):
        config = primacy.Config()
        members = ";".join(f"{node['type'].lower()}:{address(node['name'])}" for node in trace["nodes"])
        config.add_pool(f"name:trace;{members}")
        config.set("pool.trace.policy", "mpp")
        config.set("pool.trace.probe", "external")
        config.set("pool.trace.hostile_takeover", trace["hostile_takeover"])
        with primacy.Instance(config) as instance:
            pool = instance.pool("trace")
            for at, step in enumerate(trace["steps"]):
                where = f"trace {trace['trace']} ({trace['title']}), step {at} {step.get('label', step['op'])}"
                before = states(pool)
                self.take(pool, step, where)
                if "expect" in step:
                    self.compare(pool, step["expect"], where)
                else:
                    # A refused command changes nothing.
                    self.assertEqual(step.get("result"), "refused", where)
                    self.assertEqual(states(pool), before, where)

    def take(self, pool, step, where):
        if step["op"] == "init":
            return
        if step["op"] == "cycle":
            for name, found in step["in"].items():
                pool.observe(address(name), CAUSES[found], message=found)
            pool.cycle()
            return
        act = {"recover": lambda: pool.recover(address(step["node"])), "activate_primary": pool.activate_primary}[step["op"]]
        if step["result"] == "ok":
            act()
            return
        self.assertEqual(step["result"], "refused", where)
        with self.assertRaises(primacy.PrimacyError, msg=where) as caught:
            act()
        self.assertEqual(caught.exception.code, primacy.Code.REFUSED, where)

    def compare(self, pool, expected, where):
        nodes = states(pool)
        for name, want in expected.items():
            self.assertEqual(nodes[address(name)], want, f"{where}: node {name}")


def _test(trace):
    return lambda self: self.play(trace)


for _trace in load():
    setattr(Traces, f"test_trace_{_trace['trace']:03}", _test(_trace))


class Completeness(unittest.TestCase):
    def test_there_are_traces(self):
        self.assertGreaterEqual(len(load()), 10)

    def test_nothing_in_a_trace_is_ignored(self):
        for trace in load():
            self.assertEqual(set(trace), {"trace", "title", "hostile_takeover", "nodes", "steps"})
            for step in trace["steps"]:
                self.assertLessEqual(set(step), {"op", "label", "in", "expect", "node", "result"})
                self.assertTrue("expect" in step or step["result"] == "refused", step)
                for want in step.get("expect", {}).values():
                    self.assertEqual(set(want), {"count", "status", "state"})


if __name__ == "__main__":
    unittest.main()
