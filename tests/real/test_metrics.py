"""The figures of an instance over real servers, read by the parser of Prometheus' own client; and the driver's words."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from servers import PROBE, wait_until
from servers.faults import kill_probe_sessions, sessions

from .watch import POOL, address

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


class Figures:
    """The samples of a text by name and labels; every line was understood."""

    def __init__(self, text):
        self.text = text
        self.families = list(text_string_to_metric_families(text))
        self.samples = {}
        for family in self.families:
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in self.samples, f"{key} twice"
                self.samples[key] = sample.value
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        assert len(lines) == len(self.samples), "no line is left out"

    def get(self, name, **labels):
        return self.samples.get((name, frozenset(labels.items())))

    def of_node(self, name, server, **labels):
        return self.get(name, pool=POOL, node=address(server), **labels)


def check_histogram(figures, name, **labels):
    """Cumulative buckets that end with the count."""
    buckets = []
    for (sample, got), value in figures.samples.items():
        got = dict(got)
        bound = got.pop("le", None)
        if sample == f"{name}_bucket" and got == labels:
            buckets.append((float(bound), value))
    buckets.sort()
    counts = [count for _, count in buckets]
    assert counts == sorted(counts) and buckets[-1][0] == float("inf") and len(buckets) == 16, buckets
    count = figures.get(f"{name}_count", **labels)
    assert count == counts[-1]
    # The sum lies where the buckets say: above the lower bounds, and up to the upper ones if all have one.
    total, lower, below = figures.get(f"{name}_sum", **labels), 0.0, 0
    for (bound, upto), (previous, _) in zip(buckets, [(0.0, 0), *buckets]):
        lower += (upto - below) * previous
        below = upto
    assert total >= lower, (total, buckets)
    return count


def test_figures_tell_a_fail_over(ring, watch):
    a, b = ring.nodes
    w = watch(ring.nodes, pool={"fall": 4}).settled(a)
    # The first probes wait for no timer.
    late = "primacy_loop_lateness_seconds_count"
    w.until(lambda: Figures(w.instance.metrics()).get(late), 10, "the loop has met a deadline")
    calm = Figures(w.instance.metrics())
    for family in calm.families:
        # The parser takes _total off a counter's name.
        name = family.name + ("_total" if family.type == "counter" else "")
        assert f"| `{name}` | {family.type} |" in PAGE.read_text(), f"{name} is not in docs/metrics.md"
        assert family.documentation, name
    for server, state in ((a, "ACTIVE"), (b, "STANDBY")):
        assert calm.of_node("primacy_node_state", server, state=state) == 1
        states = [v for (n, got), v in calm.samples.items() if n == "primacy_node_state" and ("node", address(server)) in got]
        assert sum(states) == 1 and len(states) == 5
        assert calm.of_node("primacy_node_up", server) == 1
        assert calm.of_node("primacy_probe_logins_total", server, tls="no") + calm.of_node(
            "primacy_probe_logins_total", server, tls="yes"
        ) >= 1
        probes = check_histogram(calm, "primacy_probe_duration_seconds", pool=POOL, node=address(server))
        causes = [v for (n, got), v in calm.samples.items() if n == "primacy_observations_total" and ("node", address(server)) in got]
        assert probes == sum(causes) > 0
        assert calm.of_node("primacy_node_max_connections", server) == 60
        assert 0 < calm.of_node("primacy_node_round_trip_seconds", server) < 5
    assert calm.of_node("primacy_node_serves", a) == 1 and calm.of_node("primacy_node_serves", b) == 0
    assert calm.get("primacy_pool_active_info", pool=POOL, node=address(a)) == 1
    assert check_histogram(calm, "primacy_loop_lateness_seconds") > 0
    assert calm.get("primacy_connections") == 2
    assert calm.get("primacy_live") == 1

    a.kill9()
    w.until(lambda: w.active() == address(b), 15, "the other has the role")
    after = Figures(w.instance.metrics())
    assert after.get("primacy_pool_switches_total", pool=POOL) == calm.get("primacy_pool_switches_total", pool=POOL) + 1
    assert after.get("primacy_pool_epoch", pool=POOL) > calm.get("primacy_pool_epoch", pool=POOL)
    assert after.get("primacy_pool_active_info", pool=POOL, node=address(a)) is None
    assert after.get("primacy_pool_active_info", pool=POOL, node=address(b)) == 1
    assert after.of_node("primacy_node_waits_for_recover", a) == 1
    gone = sum(after.of_node("primacy_observations_total", a, cause=c) for c in ("refused", "reset", "shutting_down"))
    assert gone >= 4
    rule = {"pool": POOL, "policy": "safe", "rule": "245"}
    assert after.get("primacy_rules_fired_total", **rule) == calm.get("primacy_rules_fired_total", **rule) + 1
    # No counter and no bucket falls.
    for family in calm.families:
        if family.type in ("counter", "histogram"):
            for sample in family.samples:
                now = after.samples[sample.name, frozenset(sample.labels.items())]
                assert now >= sample.value, sample
    assert PROBE.password not in after.text


def test_the_driver_says_what_it_did(ring, watch, flavour):
    a, b = ring.nodes
    # A kept connection: no fresh login in between.
    w = watch(ring.nodes, probe={"login_interval": "1d"})
    told = {}
    for server in (a, b):
        login = w.event("log", server)
        told[server.address] = login.message
        assert re.match(rf"logged in to {flavour} \d+\.\d+\.\d+ (in clear|over TLS)$", login.message), login.message
        assert (login.severity, login.pool) == ("info", POOL)
    w.settled(a)
    w.holds(lambda: not w.found("log", b), 1, "one word about the login is enough")
    before = Figures(w.instance.metrics())
    wait_until(lambda: sessions(b), 5, "the probe keeps a session")
    for _ in range(5):
        kill_probe_sessions(b)
        wait_until(lambda: sessions(b), 5, "the probe has a session again")
    w.event("log", b)
    lost = [event.message for event in w.found("log", b) if "ended between probes" in event.message]
    after = Figures(w.instance.metrics())
    count = after.of_node("primacy_probe_connections_lost_total", b) - before.of_node("primacy_probe_connections_lost_total", b)
    # Some may end within a probe. Three are told, the others counted.
    assert count >= 1 and len(lost) == min(count, 3), (count, lost)
    assert after.get("primacy_log_withheld_total") == max(count - 3, 0)
    assert after.of_node("primacy_probe_connects_total", b) > before.of_node("primacy_probe_connects_total", b)
    assert w.active() == address(a) and not w.switches(), "a hint is no proof"
    for event in w.drain():
        assert PROBE.password not in event.message
