"""Operators' orders on real servers: a planned move under writes, a freeze over a kill, an override."""

import threading
import time

import pytest
from servers import wait_converged, wait_replicating

from .rings import insert, make_table


@pytest.fixture
def ring(rings):
    """Two MariaDB servers in good order: what is tested here is ours, not the servers'."""
    return rings("mariadb").mend()


class Writer:
    """Writes one row after the other to the node that takes the clients, each on a connection of its own, as many clients do."""

    def __init__(self, watch, nodes):
        self.pool = watch.pool
        self.servers = {node.address: node for node in nodes}
        self.written = dict.fromkeys(self.servers, 0)
        self.failed = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over.is_set():
            node = self.pool.active
            if node is None:
                time.sleep(0.005)
                continue
            try:
                insert(self.servers[node.name])
                self.written[node.name] += 1
            except Exception:
                self.failed += 1
                time.sleep(0.02)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def test_a_report_makes_the_next_look_come_early(ring, watch):
    """A proxy that cannot connect says so long before the next look is due; what is found then is what counts."""
    a, b = ring.nodes
    w = watch(ring.nodes, probe={"interval": "30s"}).settled(a, timeout=60)
    looked = w.node(a).observed_ms
    for outcome in ("connected", "session_failed"):
        w.pool.report(a.address, outcome)
    w.holds(lambda: w.node(a).observed_ms == looked, 0.5, "what says nothing about reaching the node brings no look")
    w.pool.report(a.address, "connect_failed")
    w.until(lambda: w.node(a).observed_ms > looked, 5, "an early look")
    assert w.node(a).status == "OK" and not w.switches(), w.story()


def test_maintenance_freeze_and_override(ring, watch, figure):
    a, b = ring.nodes
    make_table(ring)
    before = a.sql("SELECT COUNT(*) FROM app.t")[0][0]
    w = watch(ring.nodes).settled(a)
    epoch = w.pool.epoch

    # A planned move: the heir gets the role once it has everything, and no write is lost or refused on the way.
    with Writer(w, ring.nodes) as writer:
        w.until(lambda: writer.written[a.address] >= 30, 10, "30 rows on the ACTIVE node")
        assert "new disk" in w.pool.maintenance(a.address, "move", "new disk", limit=3600)
        switch = w.event("switch", b, timeout=10)
        w.until(lambda: writer.written[b.address] >= 30, 10, "30 rows on the heir")
        assert writer.failed == 0, "a planned move refuses nobody"
    begun = w.found("hand_over")[0]
    figure(f"maintenance --move under writes: routing paused for {(switch.mono_ns - begun.mono_ns) / 1e6:.0f} ms")
    assert len(w.switches()) == 1 and switch.epoch == epoch + 1 and switch.severity == "info", w.story()
    wait_converged(ring.nodes)
    for node in ring.nodes:
        assert node.sql("SELECT COUNT(*) FROM app.t")[0][0] == before + sum(writer.written.values())
    order = w.node(a).override
    assert (order.maintenance, order.reason) == ("move", "new disk")
    assert w.node(a).state == "UNKNOWN" and w.active() == b.address

    # What happens to a node in maintenance alarms nobody, and it is no candidate.
    w.forget()
    a.shutdown()
    w.until(lambda: w.node(a).cause == "refused", 5, "it is seen to be gone")
    w.holds(lambda: w.active() == b.address and w.node(b).status == "OK", 1, "the role stays where it is")
    assert not [e for e in w.drain()[w.mark :] if e.severity == "alarm"], w.story()
    a.restart()
    wait_replicating(ring.nodes)
    w.pool.clear_override(a.address)
    w.until(lambda: w.node(a).state == "STANDBY" and w.node(a).status == "OK", 15, "a stand-in again")

    # Frozen, a kill moves nothing; unfrozen, fresh counts do.
    w.forget()
    active, other = b, a
    assert w.active() == active.address and not w.pool.paused, "the end of a maintenance is no hand-back"
    epoch = w.pool.epoch
    w.pool.freeze("the network is worked on", limit=3600)
    active.kill9()
    w.until(lambda: w.node(active).cause == "refused", 5, "it is seen to be gone")
    w.holds(lambda: w.active() == active.address, 2, "frozen: no switch")
    assert not w.switches() and w.pool.epoch == epoch, w.story()
    frozen = w.instance.snapshot().pool(w.pool.name).frozen
    assert frozen.reason == "the network is worked on"
    w.pool.unfreeze()
    switch = w.event("switch", other, timeout=5)
    assert switch.epoch == epoch + 1, w.story()
    assert w.found("state", active, new_state="FAILED_OFFLINE"), w.story()
    active.restart()
    wait_replicating(ring.nodes)
    w.until(lambda: w.node(active).cause == "ok", 10, "it answers")

    # An operator's word: the role moves at once, although the node waits for recover.
    w.forget()
    answer = w.pool.override(active.address, state="ACTIVE", reason="it has the big disks")
    assert w.active() == active.address and "big disks" in answer
    assert len(w.switches()) == 1 and w.pool.epoch == epoch + 2, w.story()
    w.until(lambda: w.node(active).status == "OK", 15, "it is in good order")
    assert w.active() == active.address
    w.pool.clear_override(active.address)
    w.holds(lambda: w.active() == active.address, 1, "nothing switches by that alone")
