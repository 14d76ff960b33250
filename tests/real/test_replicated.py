"""One source and its replicas: the role follows whoever takes writes; nobody chooses between two."""

import time

import pytest

from servers import star, wait_converged, wait_until

from .groups import FOLLOW_MS
from .rings import mend, set_read_only, warm
from .watch import delay


class Source:
    """A source, `nodes[0]` unless moved, and two replicas that take no writes."""

    def __init__(self, space, flavour):
        self.nodes = [space.create(flavour).start() for _ in range(3)]
        for node in self.nodes:
            node.wait_ready()
        star(*self.nodes)
        for node in self.nodes[1:]:
            set_all_read_only(node, True)
        wait_converged(self.nodes)
        for node in self.nodes:
            warm(node)


def set_all_read_only(node, on):
    set_read_only(node, on)
    if on and node.flavour == "mysql":
        node.sql("SET GLOBAL super_read_only = 1")


def forget_source(node):
    node.stop_replication()
    node.sql("RESET REPLICA ALL" if node.flavour == "mysql" else "RESET SLAVE ALL")


@pytest.fixture(scope="module", params=["mariadb", "mysql"])
def source(request, space):
    made = Source(space, request.param)
    yield made
    for node in made.nodes:
        node.discard()


def observe(watch, source):
    return watch(source.nodes, pool={"kind": "replicated", "promotion": "none"})


def test_a_life(source, watch, figure):
    """One story, for each step needs the one before: a switchover by hand, two writers, none, and a source that dies."""
    a, b, c = source.nodes
    w = observe(watch, source).settled(a)
    epoch = w.pool.epoch

    # By hand: the old one takes no more writes, the new one has all and is let go.
    set_all_read_only(a, True)
    alarm = w.event("writers", timeout=5)
    assert alarm.rule == 311 and alarm.severity == "alarm", w.story()
    assert w.active() == a.address and w.pool.epoch == epoch, "while nobody takes writes the role stays"
    wait_converged(source.nodes)
    forget_source(b)
    set_all_read_only(b, False)
    moved = time.monotonic()
    switch = w.event("switch", timeout=10)
    late = delay(switch, moved)
    figure(f"replicated, by hand, {a.flavour}: followed {late:.0f} ms after read_only = 0")
    assert switch.node == b.address and switch.rule == 303 and switch.severity == "info", w.story()
    assert switch.epoch == epoch + 1 and late < FOLLOW_MS, w.story()
    for node in (a, c):
        node.follow(b)
    w.settled(b)

    # Two that take writes are an alarm, for as long as it takes, and no switch.
    forget_source(c)
    set_all_read_only(c, False)
    alarm = w.event("writers", timeout=5)
    assert alarm.rule == 301 and alarm.severity == "alarm", w.story()
    assert b.address in alarm.message and c.address in alarm.message, alarm.message
    w.holds(lambda: w.active() == b.address and not w.switches(), 2.5, "nobody chooses")
    assert f"{b.address} and {c.address} take writes" in w.pool.explain(), w.pool.explain()
    # Whoever starts to look now finds no ACTIVE node and an alarm.
    late_comer = observe(watch, source)
    assert late_comer.event("writers", timeout=5).rule == 302
    late_comer.holds(lambda: late_comer.active() is None, 1.0, "nobody is chosen")
    late_comer.close()
    set_all_read_only(c, True)
    c.follow(b)
    w.settled(b)

    # The source dies: nobody is promoted; once somebody has done it by hand, the role follows.
    b.kill9()
    w.until(lambda: w.node(b).status == "FAIL", 10, "the source is at FAIL")
    assert w.event("last_node", timeout=5).rule == 310
    w.holds(lambda: w.active() == b.address and not w.switches(), 1.5, "nobody takes writes, nobody gets the role")
    forget_source(a)
    set_all_read_only(a, False)
    moved = time.monotonic()
    switch = w.event("switch", timeout=10)
    assert switch.node == a.address and switch.rule == 304 and delay(switch, moved) < FOLLOW_MS, w.story()
    assert w.node(b).waits_for_recover and w.node(b).state == "FAILED_OFFLINE", w.story()
    # It comes back as it was: a second one that takes writes.
    w.forget()
    mend(b)
    alarm = w.event("writers", timeout=15)
    assert alarm.rule == 301 and w.active() == a.address and not w.switches(), w.story()
    set_all_read_only(b, True)
    b.follow(a)
    c.follow(a)
    wait_until(lambda: w.node(b).cause == "ok" and w.node(b).waits_for_recover, 20, lambda: "it waits: " + w.story())
    w.pool.recover(b.address)
    w.settled(a)


def test_the_first_choice(source, watch):
    """Whoever takes writes is the first ACTIVE node, whatever its type; a replica that is writable by mistake is none."""
    a, b, c = source.nodes
    set_all_read_only(c, False)
    w = watch([(a.address, "secondary"), (b.address, "primary"), (c.address, "secondary")], pool={"kind": "replicated"})
    w.settled(a)
    assert not w.found("writers"), w.story()
    set_all_read_only(c, True)
