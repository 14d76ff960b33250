"""Group Replication of three: the pool follows the group's own decisions, and a minority's word never."""

import time

import pytest

from servers import PROBE, wait_until
from servers.faults import PrivateNetwork, kill_probe_sessions
from servers.groups import PROBE_GRANTS, GroupReplication, Hosts

from .groups import Stage, Truth
from .rings import warm


@pytest.fixture(scope="module")
def stage(space, secret):
    with PrivateNetwork():
        made = Stage(GroupReplication(space, Hosts(3)).start(), secret)
        yield made
        made.close()


@pytest.fixture
def settled(stage):
    """Everybody ONLINE, the primary ACTIVE, nothing to remember; returns stage, watch and primary."""
    group = stage.group.mend()
    primary = wait_until(group.primary, 20, "a primary")
    for node in stage.nodes:
        warm(node)
    stage.watch.settled(primary, timeout=30)
    return stage, stage.watch, primary


def elected(stage, old):
    """Another primary than `old`, in the view of a majority, and writable. `old` itself is not asked: it may not answer."""
    return Truth(lambda: stage.group.primary(but=old))


def test_the_primary_is_active(settled):
    stage, w, primary = settled
    assert stage.active() is primary
    text = w.pool.explain()
    assert "kind group" in text and "group_replication member ONLINE" in text, text
    assert f"says that writes go to {primary.address}" in text, text
    assert w.node(primary).rule in (212, 312)


def test_a_planned_change_is_followed(settled, figure):
    stage, w, primary = settled
    heir = stage.group.others(primary)[0]
    truth = elected(stage, primary)
    epoch = w.pool.epoch
    stage.group.make_primary(heir)
    switch = stage.followed(truth, figure, "Group Replication, planned")
    assert switch.rule == 303 and switch.severity == "info" and switch.epoch == epoch + 1, w.story()
    w.until(lambda: w.node(primary).state == "STANDBY" and w.node(primary).status == "OK", 5, "the old one is a stand-in")


def test_a_killed_primary(settled, figure):
    stage, w, primary = settled
    truth = elected(stage, primary)
    primary.kill9()
    w.until(lambda: w.node(primary).status == "FAIL", 5, "FAIL by the pool's own ladder")
    # The group takes its time; until then the node keeps the role at FAIL.
    assert truth.at is not None or stage.active() is primary, w.story()
    assert w.event("last_node").rule == 309
    switch = stage.followed(truth, figure, "Group Replication, kill -9")
    assert switch.rule in (303, 304), w.story()
    assert w.node(primary).state == "FAILED_OFFLINE" and not w.node(primary).waits_for_recover
    # It comes back by itself, as a stand-in.
    stage.group.rejoin(primary)
    w.until(lambda: w.node(primary).state == "STANDBY" and w.node(primary).status == "OK", 30, "it heals by itself")
    assert len(w.switches()) == 1, w.story()


def test_an_isolated_primary_is_not_believed(settled, figure):
    """It goes on calling itself ONLINE and PRIMARY, in a view that nobody shares any more."""
    stage, w, primary = settled
    place = stage.group.place(primary)
    truth = elected(stage, primary)
    stage.group.hosts.isolate(place)
    stage.followed(truth, figure, "Group Replication, primary cut off from the others")
    view = stage.group.view(primary)
    assert view[primary.address] == ("ONLINE", "PRIMARY"), "it does not know"
    assert not primary.value("@@super_read_only"), "and would take writes, if it could"
    w.until(lambda: w.node(primary).state == "FAILED_ONLINE", 20, "its minority counts against it")
    assert "lacks the majority" in w.node(primary).message, w.story()
    chosen = stage.active()
    stage.group.hosts.heal()
    # For some seconds it sees all others again, and itself as their primary, in the old view.
    wait_until(lambda: stage.group.view(primary).get(primary.address, ("", ""))[0] == "ERROR", 30, "it learns what happened", every=0.1)
    w.holds(lambda: stage.active() is chosen, 1.0, "the role stays where the majority has it")
    assert len(w.switches()) == 1, w.story()
    assert "START GROUP_REPLICATION" in w.node(primary).message, w.story()


def test_a_stopped_primary(settled, figure):
    stage, w, primary = settled
    truth = elected(stage, primary)
    primary.sigstop()
    stage.followed(truth, figure, "Group Replication, SIGSTOP")
    assert w.node(primary).cause == "no_reply"
    chosen = stage.active()
    primary.sigcont()
    w.holds(lambda: stage.active() is chosen, 2.0, "its old word moves nothing")
    assert len(w.switches()) == 1, w.story()


def test_secondaries_come_and_go(settled):
    stage, w, primary = settled
    cut, left = stage.group.others(primary)
    left.sql("STOP GROUP_REPLICATION", timeout=60)
    w.until(lambda: w.node(left).state == "FAILED_ONLINE", 10, "who has left has failed")
    # Between two states the server names none.
    w.until(lambda: "OFFLINE" in w.node(left).message, 10, "it says so")
    assert stage.active() is primary and not w.switches(), w.story()
    stage.group.hosts.isolate(stage.group.place(cut))
    # Of the two that were left one is cut off: the primary alone is no majority, and says so.
    w.until(lambda: stage.active() is None, 20, "a primary without a majority loses the role")
    assert w.switches()[0].rule == 307 and w.switches()[0].severity == "alarm", w.story()
    assert w.pool.status == "FAIL"
    truth = Truth(lambda: stage.group.named(primary))
    stage.group.hosts.heal()
    truth.wait()
    w.until(lambda: stage.active() is primary, 10, "the majority is back, and so is the role")


def test_a_missing_grant_is_named(settled):
    stage, w, primary = settled
    secondary = stage.group.others(primary)[0]
    account = f"'{PROBE.user}'@'%'"
    for node in (primary, secondary):
        node.sql("SET GLOBAL super_read_only = 0")
        node.sql_unlogged(*(g.format(account=account).replace("GRANT", "REVOKE").replace(" TO ", " FROM ") for g in PROBE_GRANTS))
        kill_probe_sessions(node)
    for node in (primary, secondary):
        w.until(lambda node=node: w.node(node).cause == "query_failed", 15, "query_failed")
        assert w.node(node).error_number == 1142
        assert "grant SELECT ON performance_schema.replication_group_members" in w.node(node).message, w.story()
    assert stage.active() is primary and not w.switches(), w.story()
    for node in (primary, secondary):
        node.sql_unlogged(*(g.format(account=account) for g in PROBE_GRANTS))
    secondary.sql("SET GLOBAL super_read_only = 1")
    for node in (primary, secondary):
        warm(node)
        kill_probe_sessions(node)
    w.until(lambda: w.node(primary).cause == "ok" and w.node(secondary).cause == "ok", 20, "it is mended")
    time.sleep(0.5)
    assert not w.switches(), w.story()
