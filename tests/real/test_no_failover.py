"""What must not move the role, on one ring of three that runs through it all. PRIMACY_RUNS says how often each happens.

Two instances look on. One has the defaults; the sharp one probes five times as often, logs in afresh with every probe, and verifies
the servers' certificates, so that it meets each fault with a login. Neither may see a switch from its first election to the end.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from servers import PROBE, wait_until
from servers.faults import PrivateNetwork, cut, kill_probe_sessions, lost_syns, rotate_password, spike

from .certificates import Shown
from .rings import Ring, pause, warm
from .watch import Watch, configuration

RUNS = int(os.environ.get("PRIMACY_RUNS", "5"))
SHARP = {"interval": "100ms", "login_interval": "100ms", "tls": "verify-ca"}


class Stage:
    """The ring and its two observers."""

    def __init__(self, ring, shown, calm, sharp):
        self.ring, self.shown, self.calm, self.sharp = ring, shown, calm, sharp
        self.a, self.b, self.c = ring.nodes
        self.observers = (calm, sharp)

    def quiet(self, *standbys):
        """Both see the ACTIVE answer again, and the sharp one is content with everything."""
        self.calm.until(lambda: self.calm.node(self.a).cause == "ok", 10, "the calm observer sees the ACTIVE answer")
        for standby in standbys or (self.b, self.c):
            self.sharp.until(
                lambda standby=standby: self.sharp.node(standby).state == "STANDBY" and self.sharp.node(standby).cause == "ok",
                20,
                f"{standby!r} is STANDBY again",
            )
        self.sharp.until(lambda: self.sharp.node(self.a).status == "OK", 20, "the sharp observer is content")
        self.steady()

    def steady(self):
        for observer in self.observers:
            assert not observer.switches(), observer.story()
            assert observer.active() == self.a.address, observer.story()
            assert not observer.found("last_node") and not observer.found("state", self.a), observer.story()


@pytest.fixture(scope="module", params=["mariadb", "mysql"])
def stage(request, space, secret):
    with PrivateNetwork():
        shown = Shown(space.path / f"no-failover-{request.param}", 3)
        ring = Ring(space, request.param, 3, places=[{"options": shown.options(place)} for place in range(3)]).mend()
        sharp = {**SHARP, "tls_ca": shown.authority.certificate}
        observers = [Watch(configuration(ring.nodes, probe, password_file=secret)) for probe in ({}, sharp)]
        for observer in observers:
            observer.settled(ring.a)
        made = Stage(ring, shown, *observers)
        yield made
        made.steady()
        for observer in observers:
            observer.close()
        for node in ring.nodes:
            node.discard()


@pytest.fixture(autouse=True)
def tally(request, stage, figure):
    """What came of it, for the record."""
    yield
    switches = sum(len(observer.switches()) for observer in stage.observers)
    figure(f"must not fail over, {request.node.name[5:]}: {RUNS} runs, {switches} switches")


def test_a_cut_of_200_ms(stage, dice):
    held_up = 0
    for _ in range(RUNS):
        pause(dice.uniform(0, 0.5))
        fault = cut(stage.a.port, 0.2)
        longest = 0.0
        # A kept connection's packets are sent again after some 200 ms, a lost SYN after a second, later than `timeout`.
        while time.monotonic() < fault.started + 0.4:
            node = stage.sharp.node(stage.a)
            longest = max(longest, time.time() - node.observed_ms / 1000, 1.0 if node.cause != "ok" else 0.0)
            pause(0.005)
        fault.wait()
        held_up += longest > 0.17
        stage.quiet()
    print(f"probes of the sharp observer were held up by {held_up} of {RUNS} cuts")
    assert held_up >= RUNS * 3 // 4


def test_a_cut_of_200_ms_of_everybody(stage, dice):
    """The switch in the rack restarts: all three are silent at once."""
    for _ in range(RUNS):
        pause(dice.uniform(0, 0.5))
        cut([node.port for node in stage.ring.nodes], 0.2).wait()
        stage.quiet()


def test_a_cut_of_1_s(stage, dice):
    for _ in range(RUNS):
        pause(dice.uniform(0, 0.5))
        cut(stage.a.port, 1.0).wait()
        stage.quiet()
    assert stage.sharp.found("doubt", stage.a, cause="no_ack"), "the cuts were felt"


def test_a_cut_of_1_s_of_everybody(stage, dice):
    for _ in range(RUNS):
        pause(dice.uniform(0, 0.5))
        cut([node.port for node in stage.ring.nodes], 1.0).wait()
        stage.quiet()


def test_a_lost_syn(stage, dice):
    """A fresh login whose first packet is lost: it is sent again after a second, later than a probe waits."""
    for _ in range(RUNS):
        pause(dice.uniform(0, 0.3))
        for observer in stage.observers:
            observer.forget()
        # One for each observer: the sharp one logs in with every probe, the calm one because its session ends.
        with lost_syns(stage.a.port, 2):
            kill_probe_sessions(stage.a)
            stage.sharp.event("doubt", stage.a, timeout=5)
            pause(0.3)
        stage.quiet()


def test_an_expired_certificate(stage, dice):
    for _ in range(RUNS):
        stage.shown.show_expired(stage.a, 0)
        stage.sharp.until(lambda: stage.sharp.node(stage.a).cause == "tls_error", 5, "tls_error")
        stage.sharp.until(lambda: stage.sharp.node(stage.a).status == "OK_CRITICAL", 5, "OK_CRITICAL")
        pause(dice.uniform(0.1, 0.5))
        assert stage.sharp.node(stage.a).status == "OK_CRITICAL"
        stage.shown.show(stage.a, 0)
        stage.quiet()


def test_kill_of_the_probes_session(stage, dice):
    killed = 0
    for _ in range(RUNS):
        pause(dice.uniform(0, 0.3))
        killed += kill_probe_sessions(stage.a)
        stage.quiet()
    # The calm observer keeps its session, so there is one to kill each time.
    assert killed >= RUNS


def test_a_rotated_password(stage, dice):
    for _ in range(RUNS):
        rotate_password(stage.a, "rotated")
        kill_probe_sessions(stage.a)
        for observer in stage.observers:
            observer.until(lambda observer=observer: observer.node(stage.a).cause == "auth_denied", 5, "auth_denied")
        pause(dice.uniform(0.3, 1.0))
        assert stage.sharp.node(stage.a).status in ("OK_WARN", "OK_CRITICAL")
        rotate_password(stage.a, PROBE.password)
        warm(stage.a)
        stage.quiet()
    for observer in stage.observers:
        assert not observer.found("doubt", cause="auth_denied")


def test_a_connection_spike(stage, dice):
    for _ in range(RUNS):
        with stage.a.connect() as root, spike(stage.a, 14), root.cursor() as cursor:
            cursor.execute("SET GLOBAL max_connections = 10")
            cursor.execute("SHOW PROCESSLIST")
            for number in [row[0] for row in cursor.fetchall() if row[1] == PROBE.user]:
                try:
                    cursor.execute(f"KILL CONNECTION {number}")
                except Exception as error:
                    # 1094: it went by itself in between.
                    assert error.args[0] == 1094
            for observer in stage.observers:
                observer.until(
                    lambda observer=observer: observer.node(stage.a).cause == "too_many_connections", 5, "too_many_connections"
                )
            pause(dice.uniform(0.3, 1.0))
            cursor.execute("SET GLOBAL max_connections = 60")
        stage.quiet()


def test_the_standby_restarted(stage, dice):
    """Both of them, at once or one after the other: the one that the ACTIVE replicates from and the one that replicates from it."""

    def restart(standby, wait):
        pause(wait)
        standby.restart()

    for _ in range(max(1, RUNS // 5)):
        # MySQL takes eight seconds to shut down while a replica is connected.
        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(restart, standby, dice.uniform(0, 0.5)) for standby in (stage.b, stage.c)]:
                done.result()
        stage.quiet()


def test_a_standbys_source_killed(stage, dice):
    for observer in stage.observers:
        observer.until(
            lambda observer=observer: all(observer.node(each).state == "STANDBY" for each in (stage.b, stage.c)),
            20,
            "what went before is over",
        )
    for _ in range(RUNS):
        pause(dice.uniform(0, 0.2))
        stage.b.kill9()
        wait_until(lambda: stage.c.replication_threads() == ("Connecting", "Yes"), 5, "the replica has lost its source")
        pause(0.3)
        # The replica is charged with nothing: for it, too, the fault is its source's.
        for observer in stage.observers:
            assert observer.node(stage.c).state == "STANDBY", observer.story()
        stage.b.start()
        stage.b.wait_ready()
        warm(stage.b)
        stage.quiet()
    for observer in stage.observers:
        # Found where the tests before may have restarted it; a replication fault it never had.
        assert not observer.found("state", stage.c, new_state="FAILED_ONLINE"), observer.story()
