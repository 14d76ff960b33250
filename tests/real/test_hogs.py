"""Four CPU hogs for five minutes (PRIMACY_HOG_SECONDS): the machine is slow, no server is. A stage of its own: nothing else runs
beside it but both flavours and their observers at once. Two of the hogs may do something useful: PRIMACY_HOG_WORK is a
command for the shell that keeps two cores busy; when it ends, two that do nothing take its place."""

import os
import signal
import subprocess
import sys
import time

import pytest

from .rings import Ring, make_table
from .watch import Watch, configuration

SECONDS = int(os.environ.get("PRIMACY_HOG_SECONDS", "300"))
LONG_RUNS = int(os.environ.get("PRIMACY_LONG_RUNS", "1"))
WORK = os.environ.get("PRIMACY_HOG_WORK")
WORK_SECONDS = 1200
HOGS = 4
SPIN = [sys.executable, "-c", "while True: pass"]
BRISK = {"interval": "200ms", "login_interval": "1s"}


class Hogs:
    """Processes that take all the time they get, each in a group of its own."""

    def __init__(self):
        self.made = []
        self.work = None

    def start(self):
        if WORK:
            self.work = self.make(["sh", "-c", WORK])
        self.spin(HOGS - 2 if WORK else HOGS)

    def make(self, command):
        self.made.append(subprocess.Popen(command, start_new_session=True))
        return self.made[-1]

    def spin(self, number):
        for _ in range(number):
            self.make(SPIN)

    def look(self):
        """Replace work that has ended; it must have ended well."""
        if self.work and self.work.poll() is not None:
            assert self.work.returncode == 0, f"{WORK} ended with {self.work.returncode}"
            self.work = None
            self.spin(2)

    def finish(self):
        """The time is up: the work gets the machine for itself."""
        if self.work:
            self.stop(self.work)
            code = self.work.wait(WORK_SECONDS)
            assert code == 0, f"{WORK} ended with {code}"

    def stop(self, but=None):
        for each in self.made:
            if each is not but and each.poll() is None:
                os.killpg(each.pid, signal.SIGKILL)
                each.wait()


@pytest.fixture
def hogs():
    made = Hogs()
    yield made
    made.stop()


def test_four_hogs(space, secret, hogs, figure):
    rings = [Ring(space, flavour, 2).mend() for flavour in ("mariadb", "mysql")]
    watches = [
        (ring, Watch(configuration(ring.nodes, probe, password_file=secret)).settled(ring.a)) for ring in rings for probe in ({}, BRISK)
    ]
    for ring in rings:
        make_table(ring)
    hogs.start()
    end = time.monotonic() + SECONDS * LONG_RUNS
    rows = 0
    slowest = 0.0
    while time.monotonic() < end:
        for ring in rings:
            began = time.monotonic()
            ring.a.sql("INSERT INTO app.t (v) VALUES (5)", timeout=60)
            slowest = max(slowest, time.monotonic() - began)
            rows += 1
        for ring, w in watches:
            w.drain()
            assert not w.switches() and w.active() == ring.a.address, w.story()
        hogs.look()
        time.sleep(0.5)
    for ring, w in watches:
        assert not w.switches() and not w.found("last_node"), w.story()
        doubts, late = len(w.found("doubt")), len(w.found("late"))
        # The observer was not blind all the while: it looked, and found the ACTIVE in order.
        w.until(lambda w=w, ring=ring: w.node(ring.a).cause == "ok", 20, "the ACTIVE is seen")
        figure(f"{HOGS} hogs for {SECONDS * LONG_RUNS} s, {ring.flavour}: 0 switches, {doubts} doubts, {late} alarms of lateness")
        w.close()
    figure(f"{HOGS} hogs: {rows} rows written meanwhile, the slowest in {slowest * 1000:.0f} ms with its login")
    for ring in rings:
        for node in ring.nodes:
            node.discard()
    hogs.finish()
