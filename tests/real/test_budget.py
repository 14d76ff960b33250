"""How long a failure takes until the role moves, beside what `budget` promises; and whose word counts when hosts do not hear each
other. Two servers and the observer are hosts of their own on one switch.

PRIMACY_RUNS says how often each failure happens. With it set (`make soak`) the figures must keep the budget to the millisecond, and the
budget must not be slack: measured maximum <= budget <= 1.5 x maximum. Else only a machine's bad moment is allowed for.
"""

import os
import socket
import threading
import time

import primacy
import pytest

from servers import wait_converged, wait_until
from servers.faults import NetworkFault, PrivateNetwork
from servers.lan import Lan

from .rings import Ring, make_table, pause, warm
from .watch import Watch, configuration, delay

STRICT = "PRIMACY_RUNS" in os.environ
RUNS = int(os.environ.get("PRIMACY_RUNS", "1"))
# What a loaded machine may add to a decision.
SLACK = 1.5


class Site:
    """Two hosts with a server each, the observer's host between them, and one instance that looks on."""

    def __init__(self, space, flavour, secret, observer):
        self.lan = Lan(observer, 2)
        self.ring = Ring(space, flavour, 2, places=[host.place for host in self.lan.hosts]).mend()
        make_table(self.ring)
        self.hosts = {node.address: host for node, host in zip(self.ring.nodes, self.lan.hosts)}
        self.servers = {node.address: node for node in self.ring.nodes}
        self.flavour = flavour
        # The role stays where it comes to: each run is on the other server than the one before.
        self.watch = self.observe(secret, {"failback": "manual", "on_doubt": "fail"}).settled(self.ring.a)

    def observe(self, secret, pool=None):
        return Watch(configuration(self.ring.nodes, pool=pool, password_file=secret))

    def budget(self, fault):
        return next(line.worst for line in self.watch.pool.budget().lines if line.fault == fault)

    def heal(self, failed):
        """The failed server runs, is reached, replicates and is a stand-in again."""
        w = self.watch
        if not failed.running():
            failed.start()
        failed.wait_ready()
        warm(failed)
        w.until(lambda: w.node(failed).cause in ("ok", "replication_stopped"), 20, "it answers")
        # A line that was cut leaves replication waiting for its time-outs.
        self.in_order()
        if w.node(failed).state.startswith("FAILED"):
            w.pool.recover(failed.address)
        w.settled(next(node for node in self.ring.nodes if node is not failed))

    def in_order(self):
        """Replication runs both ways; the first server and the second."""
        for node in self.ring.nodes:
            node.stop_replication()
            node.start_replication()
        wait_converged(self.ring.nodes)
        return self.ring.nodes

    def roles(self):
        active = self.servers[self.watch.active()]
        return active, next(node for node in self.ring.nodes if node is not active)


@pytest.fixture(scope="module", params=["mariadb", "mysql"])
def site(request, space, secret):
    with PrivateNetwork() as observer:
        made = Site(space, request.param, secret, observer)
        yield made
        made.watch.close()
        for node in made.ring.nodes:
            node.discard()
        made.lan.close()


@pytest.fixture
def measure(site, dice, figure):
    """Let a failure happen, measure the time to the switch, heal; as often as it is to be."""

    def run(name, line, inject, undo):
        took, w = [], site.watch
        budget = site.budget(line)
        for _ in range(RUNS):
            active, standby = site.roles()
            pause(dice.uniform(0, 0.6))
            w.forget()
            epoch = w.pool.epoch
            began = inject(active)
            try:
                switch = w.event("switch", timeout=budget + 10)
                # `inject` may know better when the failure began.
                began = began() if callable(began) else began
                took.append(delay(switch, began) / 1000)
                assert (switch.node, switch.rule, switch.epoch) == (standby.address, 245, epoch + 1), w.story()
                assert w.pool.address() == standby.address and w.node(active).state.startswith("FAILED")
            finally:
                undo(active)
            # Hand-backs are for operators here, so nothing else moves, whatever heals.
            site.heal(active)
            assert len([e for e in w.drain() if e.kind == "switch" and e.sequence > switch.sequence]) == 0, w.story()
        worst, middle = max(took), sorted(took)[len(took) // 2]
        figure(
            f"fail-over, {name}, {site.flavour}: {RUNS} runs, median {middle * 1000:.0f} ms, maximum {worst * 1000:.0f} ms,"
            f" budget {budget * 1000:.0f} ms = {budget / worst:.2f} x maximum"
        )
        if STRICT:
            assert worst <= budget <= 1.5 * worst, (worst, budget)
        else:
            assert worst <= budget + SLACK, (worst, budget)

    return run


class Closing:
    """A session of ours whose end tells when the kernel has closed a killed server's sockets: until then, and for MySQL that is a
    tenth of a second, clients have lost nothing."""

    def __init__(self, server):
        self.peer = socket.create_connection((server.host, server.port), 5)
        self.peer.recv(128)
        self.peer.settimeout(30)
        self.at = None
        self.thread = threading.Thread(target=self._wait)
        self.thread.start()

    def _wait(self):
        try:
            while self.peer.recv(128):
                pass
        except OSError:
            pass
        self.at = time.monotonic()

    def __call__(self):
        self.thread.join(10)
        self.peer.close()
        return self.at


def test_kill(site, measure):
    def kill(active):
        closing = Closing(active)
        active.kill9()
        return closing

    measure("kill -9", "server gone, its end closes the kept connection", kill, lambda active: None)


def test_stop(site, measure):
    def stop(active):
        began = time.monotonic()
        active.sigstop()
        return began

    measure("SIGSTOP", "server hangs, its host answers", stop, lambda active: active.sigcont())


def test_power_loss(site, measure):
    def pull(active):
        began = time.monotonic()
        site.hosts[active.address].pull()
        return began

    measure("power loss", "host or network silent", pull, lambda active: site.hosts[active.address].plug())


def unreachable(site, active):
    """Nothing from the observer arrives at the server's port; its replica is not concerned."""
    host = site.hosts[active.address]
    return NetworkFault(active.port, f"ip saddr {site.lan.observer.address} drop", netns=host.namespace, both=False)


class Writing:
    """Clients elsewhere who go on writing to a server, so that its replica has something to hear."""

    def __init__(self, server):
        self.server = server
        self.over = threading.Event()
        self.rows = 0
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        with self.server.connect() as session:
            while not self.over.wait(0.1):
                session.cursor().execute("INSERT INTO app.t (v) VALUES (3)")
                self.rows += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def test_replicas_hear_it_but_clients_do_not(site, measure):
    """`on_doubt = "fail"`: held for `doubt_deadline`, then failed, though a replica hears it all the while."""
    held = []

    def cut_off(active):
        writing = Writing(active)
        began = time.monotonic()
        held[:] = [writing, unreachable(site, active)]
        return began

    def undo(active):
        writing, fault = held
        assert writing.rows > 20, "it served its other clients"
        assert site.watch.found("doubt", active, rule=253), site.watch.story()
        fault.heal()
        writing.__exit__()

    measure("clients cut off", "hung or silent, but a replica still hears it", cut_off, undo)


# --- whose word counts --------------------------------------------------------------------------------------------------------


def test_a_replica_hears_what_the_observer_does_not(site, secret):
    """Rule 11 with `on_doubt = "hold"`: the observer's word alone does not fail a server that serves others."""
    active, standby = site.roles()
    site.watch.instance.stop()
    w = site.observe(secret)
    try:
        w.settled(active)
        for _ in range(RUNS):
            w.forget()
            with Writing(active) as writing, unreachable(site, active):
                held = w.event("doubt", active, timeout=10, rule=253)
                assert held.severity == "alarm" and standby.address in held.message, held
                w.holds(lambda: w.node(active).state == "ACTIVE" and w.node(active).status == "FAIL", 5, "it is held")
                with pytest.raises(primacy.PrimacyError) as refused:
                    w.pool.address()
                assert active.address in str(refused.value)
                assert writing.rows > 30
            w.settled(active)
            assert not w.switches()
    finally:
        w.close()


def test_a_replica_that_hears_no_more_ends_the_doubt(site, secret):
    """The same, and then the server stops for everybody: no fresh evidence, no delay."""
    active, standby = site.roles()
    w = site.observe(secret, {"failback": "manual"})
    try:
        w.settled(active)
        with unreachable(site, active):
            with Writing(active):
                w.event("doubt", active, timeout=10, rule=253)
                w.holds(lambda: w.active() == active.address, 1, "it is held")
            active.sigstop()
            # What the replica heard last counts for `silence`, 3 s.
            assert w.event("switch", standby, timeout=8).rule == 245
        active.sigcont()
    finally:
        w.close()
        if active.running():
            active.sigcont()


def test_the_observers_own_network_is_cut(site, secret):
    """Rule 12: nobody answers at all, so it is the observer that is cut off. It says so and abstains, whether its line is pulled
    or its interface is down."""
    observer = site.lan.observer
    ways = [
        (observer.pull, observer.plug),
        (
            lambda: observer.namespace.run("ip", "link", "set", "eth0", "down"),
            lambda: observer.namespace.run("ip", "link", "set", "eth0", "up"),
        ),
    ]
    if not STRICT:
        # What the servers are makes no difference here.
        ways = [ways[site.flavour == "mysql"]]
    active, standby = site.in_order()
    w = site.observe(secret, {"failback": "manual"})
    try:
        w.settled(active)
        for down, up in ways * RUNS:
            w.forget()
            down()
            try:
                alarm = w.event("isolated", timeout=8)
                assert alarm.severity == "alarm" and alarm.rule == 213, alarm
                w.holds(lambda: w.active() == active.address, 5, "it abstains")
            finally:
                up()
            w.until(lambda: w.node(active).cause == "ok" and w.node(standby).cause == "ok", 15, "both are seen again")
            assert not w.switches() and not w.found("last_node") and not w.found("state", active), w.story()
            w.settled(active)
    finally:
        w.close()


def test_the_active_died_while_the_observer_was_cut_off(site, secret):
    """Once the network is back the dead node is still silent, the other answers: that proves the path, and the role moves."""
    active, standby = site.in_order()
    w = site.observe(secret, {"failback": "manual"})
    try:
        w.settled(active)
        site.lan.observer.pull()
        w.event("isolated", timeout=8)
        site.hosts[active.address].pull()
        pause(1)
        site.lan.observer.plug()
        plugged = time.monotonic()
        switch = w.event("switch", standby, timeout=15)
        assert switch.rule == 245
        # It has the whole of `silence` from then on.
        assert delay(switch, plugged) > 2000, w.story()
    finally:
        site.lan.observer.plug()
        site.hosts[active.address].plug()
        w.close()
    wait_until(lambda: active.listening(), 20, "the host is back")
