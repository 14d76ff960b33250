"""The ACTIVE dies, hangs or is shut down: who takes over, how soon, and how the role comes back."""

import time

import pytest

from servers import wait_converged, wait_replicating, wait_until

from .rings import bar_replicas, insert, make_table, mend, pause
from .watch import delay

OK_CRITICAL = ("OK", "OK_INFO", "OK_WARN", "OK_CRITICAL")
QUICK = {"interval": "100ms", "timeout": "50ms"}


def one_switch(watch, to, epoch, rule, cause=None):
    """Exactly one switch since `forget`, to this server, with the next epoch, by this rule; returns it."""
    switches = watch.switches()
    assert len(switches) == 1, watch.story()
    switch = switches[0]
    assert switch.epoch == epoch + 1 == watch.pool.epoch, watch.story()
    assert switch.rule == rule and switch.node == to.address, watch.story()
    if cause is not None:
        assert switch.cause in cause, watch.story()
    assert watch.pool.active.name == to.address
    return switch


# --- kill -9 ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("probe", [{}, QUICK], ids=["defaults", "quick"])
def test_kill_under_safe(ring, watch, figure, probe):
    a, b = ring.nodes
    w = watch(ring.nodes, probe=probe).settled(a)
    epoch = w.pool.epoch
    killed = time.monotonic()
    a.kill9()
    w.event("switch", timeout=5)
    switch = one_switch(w, b, epoch, 245)
    took = delay(switch, killed)
    figure(f"kill -9, safe, {ring.flavour}, {'quick' if probe else 'defaults'}: {took:.0f} ms to the switch")
    assert took < 1000, "the kernel's own tear-down included, a kill is settled at once"

    doubt = w.event("doubt", a)
    # A process takes its time to die: for some 100 ms MySQL's sockets are there and nobody behind them.
    assert doubt.cause in ("refused", "reset", "no_reply") and doubt.sequence < switch.sequence
    failed = w.event("state", a, new_state="FAILED_OFFLINE")
    assert failed.old_state == "ACTIVE" and failed.new_status == "FAIL"
    # Four quick probes may all fall into that time.
    assert failed.cause in ("refused", "reset", "no_reply" if probe else "refused"), w.story()
    taken = w.event("state", b, new_state="ACTIVE")
    assert taken.old_state == "STANDBY" and taken.epoch == epoch + 1
    w.until(lambda: w.node(a).cause == "refused", 5, "the cause refused")
    node = w.node(a)
    assert (node.state, node.status) == ("FAILED_OFFLINE", "FAIL")
    assert node.waits_for_recover and node.error_number == 111
    # The survivor has lost its source. That is the other's fault and fails nobody, however long it lasts.
    w.holds(lambda: w.node(b).state == "ACTIVE" and w.node(b).status == "OK", 2.5, "the survivor is in good order")
    assert b.replication_threads() == ("Connecting", "Yes")
    assert len(w.switches()) == 1


def test_kill_under_mpp(ring, watch, figure):
    """The even pace of the original: four cycles. The standby's IO thread says Connecting meanwhile and must not fail with it."""
    a, b = ring.nodes
    w = watch(ring.nodes, pool={"policy": "mpp"})
    w.until(lambda: w.active() == a.address and w.node(b).state == "STANDBY" and w.node(b).count == 0, 10, "the start")
    w.forget()
    epoch = w.pool.epoch
    killed = time.monotonic()
    a.kill9()
    w.event("switch", b, timeout=10)
    switches = [event for event in w.switches() if event.node == b.address]
    took = delay(switches[0], killed)
    figure(f"kill -9, mpp, {ring.flavour}: {took:.0f} ms to the switch")
    assert 1000 < took < 3000, "M = 4 cycles of 500 ms"
    assert w.pool.epoch == switches[0].epoch > epoch
    node = w.node(a)
    assert (node.state, node.status, node.cause, node.rule) == ("FAILED_OFFLINE", "FAIL", "refused", 102), w.story()
    assert b.replication_threads() == ("Connecting", "Yes")
    assert w.node(b).channels[0].io == "connecting"
    w.holds(lambda: w.node(b).state == "ACTIVE", 3, "the survivor is ACTIVE")
    assert not w.found("state", b, new_state="FAILED_ONLINE")
    assert w.node(b).status == "OK"


# --- SIGSTOP ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("probe", [{}, QUICK], ids=["defaults", "quick"])
def test_hang_and_what_only_the_hung_one_holds(ring, watch, figure, probe):
    a, b = ring.nodes
    make_table(ring)
    w = watch(ring.nodes, probe=probe).settled(a)
    epoch = w.pool.epoch
    # Three transactions that reach nobody else.
    bar_replicas(a)
    insert(a, 3)
    stopped = time.monotonic()
    a.sigstop()
    w.event("switch", timeout=10)
    switch = one_switch(w, b, epoch, 245)
    took = delay(switch, stopped)
    figure(f"SIGSTOP, safe, {ring.flavour}, {'quick' if probe else 'defaults'}: {took:.0f} ms to the switch")
    assert took < 3000
    assert w.event("doubt", a).cause == "no_reply"
    assert w.event("state", a, new_state="FAILED_OFFLINE").cause == "no_reply"
    assert w.node(a).cause == "no_reply" and "acknowledge" in w.node(a).message
    w.until(lambda: w.node(b).state == "ACTIVE" and w.node(b).status == "OK", 5, "the survivor is in good order")
    # An answer that takes 50 ms is no more than a doubt on a machine that has other things to do.
    w.holds(lambda: w.node(b).state == "ACTIVE" and w.node(b).status in OK_CRITICAL, 1, "and stays ACTIVE")

    a.sigcont()
    stranded = w.event("stranded", a, timeout=15)
    assert stranded.count == 3 and stranded.severity == "warning" and b.address in stranded.message, w.story()
    w.until(lambda: w.node(a).waits_for_recover and w.node(a).cause == "ok", 10, "it answers and waits")
    w.holds(lambda: w.node(a).state.startswith("FAILED"), 2.5, "it waits for recover")
    assert len(w.switches()) == 1 and len(w.found("stranded")) == 1
    # Two writers at once: the new ACTIVE's transactions meet those of the old one once replication is mended.
    insert(b, 2)
    mend(a)
    for node in ring.nodes:
        node.stop_replication()
        node.start_replication()
    wait_converged(ring.nodes)
    assert a.sql("SELECT COUNT(*) FROM app.t") == b.sql("SELECT COUNT(*) FROM app.t")

    w.forget()
    w.pool.recover(a.address)
    w.event("switch", a, timeout=15)
    assert w.found("switch", a)[0].rule == 241
    w.settled(a)


def test_hang_under_mpp(ring, watch):
    a, b = ring.nodes
    w = watch(ring.nodes, pool={"policy": "mpp"}, probe=QUICK)
    w.until(lambda: w.active() == a.address and w.node(b).state == "STANDBY", 10, "the start")
    w.forget()
    a.sigstop()
    w.event("switch", b, timeout=10)
    assert w.node(a).cause == "no_reply"
    w.holds(lambda: w.node(b).state == "ACTIVE", 1.5, "the survivor is ACTIVE")
    a.sigcont()
    w.until(lambda: w.node(a).cause == "ok", 5, "it answers again")
    w.holds(lambda: w.node(a).state == "FAILED_OFFLINE" and w.active() == b.address, 1, "it waits for an operator")


# --- shutdown, recover, hand-back ---------------------------------------------------------------------------------------------


def test_clean_shutdown_restart_and_gated_hand_back(ring, watch, figure):
    a, b = ring.nodes
    make_table(ring)
    w = watch(ring.nodes).settled(a)
    epoch = w.pool.epoch
    began = time.monotonic()
    a.shutdown()
    w.event("switch", timeout=10)
    switch = one_switch(w, b, epoch, 245)
    figure(f"SIGTERM, safe, {ring.flavour}: {delay(switch, began):.0f} ms to the switch")
    assert w.event("doubt", a).cause in ("shutting_down", "refused", "reset"), w.story()
    w.until(lambda: w.node(a).cause == "refused", 5, "the cause refused")

    insert(b, 5)
    a.restart()
    wait_replicating(ring.nodes)
    wait_converged(ring.nodes)
    w.until(lambda: w.node(a).cause == "ok", 10, "the old ACTIVE answers")
    told = w.event("stranded", a)
    assert told.count == 0 and told.severity == "info", w.story()
    w.holds(lambda: w.node(a).state == "FAILED_OFFLINE" and w.active() == b.address, 1.5, "it waits for recover")

    # The gate: while the heir cannot apply what the ACTIVE writes, nothing moves and routing goes on after 2 s at most.
    w.forget()
    lock = a.connect()
    lock.cursor().execute("FLUSH TABLES WITH READ LOCK")
    insert(b, 3)
    answer = w.pool.recover(a.address)
    assert a.address in answer
    assert w.event("command", a).rule == 261
    begun = w.event("hand_over", a, rule=251)
    given_up = w.event("hand_over", rule=244)
    pause_ms = (given_up.mono_ns - begun.mono_ns) / 1e6
    assert 1500 < pause_ms < 2500
    assert not w.switches() and w.active() == b.address and not w.pool.paused
    lock.cursor().execute("UNLOCK TABLES")
    lock.close()
    wait_converged(ring.nodes)

    # Tried again by itself after 10 s; now the heir has everything.
    w.event("switch", a, timeout=14)
    switch = w.switches()[0]
    assert switch.rule == 241 and switch.epoch == epoch + 2 and switch.severity == "info", w.story()
    begun = w.found("hand_over", rule=251)[-1]
    figure(f"hand-back, {ring.flavour}: routing paused for {(switch.mono_ns - begun.mono_ns) / 1e6:.0f} ms")
    w.settled(a)
    assert a.sql("SELECT COUNT(*) FROM app.t") == b.sql("SELECT COUNT(*) FROM app.t")


def test_writers_over_kill_and_hand_back_lose_nothing_that_was_replicated(ring, watch):
    """A writer that asks the library where to write, over a kill and a hand-back: whatever was acknowledged and replicated is
    there at the end, and while the role is handed back no transaction is refused by a member that no longer has it."""
    a, b = ring.nodes
    make_table(ring)
    before = a.sql("SELECT COUNT(*) FROM app.t")[0][0]
    w = watch(ring.nodes).settled(a)
    servers = {node.address: node for node in ring.nodes}
    written = {a.address: 0, b.address: 0}

    def write():
        node = w.pool.active
        if node is None:
            return False
        try:
            insert(servers[node.name])
        except Exception:
            return False
        written[node.name] += 1
        return True

    for _ in range(20):
        assert write()
    wait_converged(ring.nodes)
    a.kill9()
    w.until(lambda: write() and written[b.address] >= 20, 5, "20 rows on the new ACTIVE")
    a.restart()
    wait_replicating(ring.nodes)
    w.until(lambda: w.node(a).cause == "ok", 10, "the old ACTIVE answers")
    w.pool.recover(a.address)
    w.until(lambda: (write() or True) and w.active() == a.address, 15, "the role is back, under writes")
    w.until(lambda: write() and written[a.address] >= 40, 5, "20 more rows")
    wait_converged(ring.nodes)
    assert a.sql("SELECT COUNT(*) FROM app.t")[0][0] == before + sum(written.values())


# --- the last node ------------------------------------------------------------------------------------------------------------


def test_the_last_node_keeps_the_role_and_heals(ring, watch):
    a, b = ring.nodes
    w = watch(ring.nodes).settled(a)
    epoch = w.pool.epoch
    a.kill9()
    w.event("switch", b)
    w.forget()
    b.kill9()
    last = w.event("last_node", b, timeout=5)
    assert last.severity == "alarm" and a.address in last.message and last.rule in (246, 247)
    w.until(lambda: w.node(b).status == "FAIL", 5, "FAIL")
    w.holds(lambda: w.node(b).state == "ACTIVE" and w.node(b).status == "FAIL", 2, "ACTIVE at FAIL")
    assert not w.switches() and w.pool.epoch == epoch + 1
    assert len(w.found("last_node")) == 1, "one alarm, not one per probe"

    b.restart()
    # With its own source still dead it answers; that its IO thread is connecting is no fault of its own.
    w.until(lambda: w.node(b).status == "OK", 10, "it heals by itself")
    assert w.node(b).state == "ACTIVE" and not w.switches() and w.pool.epoch == epoch + 1

    # The other one failed as ACTIVE: it waits, whoever else is gone.
    a.restart()
    w.until(lambda: w.node(a).cause == "ok", 10, "the first one answers")
    b.kill9()
    barred = w.event("last_node", b, timeout=5, rule=246)
    assert "recover" in barred.message
    w.holds(lambda: w.active() == b.address, 1, "no switch to a node that waits for recover")
    w.pool.recover(a.address)
    w.event("switch", a, timeout=5)
    assert w.pool.active.name == a.address
    wait_until(lambda: w.node(b).state == "FAILED_OFFLINE", 5, "the last one has failed")


def test_both_at_once_and_the_standby_first(ring, watch):
    """A dead standby never shortens the road: the ACTIVE is the last one from the start."""
    a, b = ring.nodes
    w = watch(ring.nodes).settled(a)
    b.kill9()
    w.event("state", b, timeout=6, new_state="FAILED_OFFLINE")
    assert w.active() == a.address
    pause(0.2)
    a.kill9()
    w.event("last_node", a, timeout=5, rule=247)
    assert not w.switches()
    b.restart()
    # Only a node that is good and may take over ends it, and b heals as it failed as STANDBY.
    w.event("switch", b, timeout=10)
    assert w.switches()[0].rule == 245 and w.active() == b.address
