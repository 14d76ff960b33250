"""Galera of three: every member may write; the pool keeps one of them, and leaves it when it is not in order."""

import pytest

from servers.faults import PrivateNetwork
from servers.groups import Galera, Hosts

from .groups import Stage, Truth


@pytest.fixture(scope="module")
def stage(space, secret):
    with PrivateNetwork():
        made = Stage(Galera(space, Hosts(3)).start(), secret)
        yield made
        made.close()


@pytest.fixture
def settled(stage):
    stage.group.mend()
    stage.watch.until(stage.active, 15, "an ACTIVE node")
    active = stage.active()
    stage.watch.settled(active, timeout=30)
    return stage, stage.watch, active


def next_of(stage, active):
    """Who is preferred when `active` is out: the PRIMARY, then the order of configuration."""
    return stage.group.others(active)[0]


def out(stage, active):
    """The others have a Primary component of their own, without this one."""
    heir = next_of(stage, active)
    return Truth(lambda: stage.group.is_synced(heir, 2) and heir)


def test_the_preferred_member_is_active(settled):
    stage, w, active = settled
    assert active is stage.nodes[0]
    text = w.pool.explain()
    assert "galera member Synced" in text and "says that it takes writes" in text, text


def test_a_killed_member_loses_the_role_at_once(settled, figure):
    stage, w, active = settled
    heir = next_of(stage, active)
    truth = out(stage, active)
    active.kill9()
    switch = w.event("switch", heir, timeout=10)
    assert switch.rule == 304 and stage.active() is heir, w.story()
    truth.wait()
    figure(f"Galera, kill -9: followed {(truth.at - switch.mono_ns / 1e9) * 1000:.0f} ms before the group's decision")
    assert w.node(active).state == "FAILED_OFFLINE" and not w.node(active).waits_for_recover
    stage.group.mend()
    w.until(lambda: w.node(active).state == "STANDBY" and w.node(active).status == "OK", 30, "it heals by itself")
    assert len(w.switches()) == 1, "and gets no role back: " + w.story()


def test_an_isolated_member_is_not_believed(settled, figure):
    stage, w, active = settled
    truth = out(stage, active)
    stage.group.hosts.isolate(stage.group.place(active))
    switch = stage.followed(truth, figure, "Galera, member cut off from the others")
    assert switch.rule == 303, w.story()
    w.until(lambda: w.node(active).state == "FAILED_ONLINE", 15, "it answers, outside of the Primary component")
    assert "not in the Primary component" in w.node(active).message, w.story()
    chosen = stage.active()
    stage.group.hosts.heal()
    w.until(lambda: w.node(active).state == "STANDBY", 30, "it heals by itself")
    assert stage.active() is chosen and len(w.switches()) == 1, w.story()


def test_a_stopped_member(settled, figure):
    stage, w, active = settled
    heir = next_of(stage, active)
    active.sigstop()
    w.event("switch", heir, timeout=15)
    assert stage.active() is heir and w.node(active).cause == "no_reply", w.story()
    active.sigcont()
    w.until(lambda: w.node(active).state == "STANDBY", 40, "it heals by itself")
    assert stage.active() is heir and len(w.switches()) == 1, w.story()


def test_a_donor_gives_way(settled, figure):
    stage, w, active = settled
    heir = next_of(stage, active)
    truth = Truth(lambda: stage.group.status(active)["wsrep_local_state"] == "2" and heir)
    active.sql("SET GLOBAL wsrep_desync = ON")
    switch = stage.followed(truth, figure, "Galera, wsrep_desync")
    assert switch.rule == 305 and w.node(active).state == "STANDBY" and w.node(active).cause == "ok", w.story()
    active.sql("SET GLOBAL wsrep_desync = OFF")
    w.holds(lambda: stage.active() is heir, 1.5, "nobody gets a role back")


def test_nobody_in_a_primary_component(settled):
    stage, w, active = settled
    stage.group.hosts.isolate(0, 1, 2)
    w.until(lambda: stage.active() is None, 20, "three minorities have no ACTIVE node")
    assert w.pool.status == "FAIL" and w.switches()[-1].rule == 307, w.story()
    truth = Truth(lambda: all(stage.group.is_synced(node, 3) for node in stage.nodes) and stage.nodes[0])
    stage.group.hosts.heal()
    truth.wait()
    w.until(stage.active, 10, "the component is back, and so is an ACTIVE node")
