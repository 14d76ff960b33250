"""Four CPU hogs for five minutes (PRIMACY_HOG_SECONDS): the machine is slow, no server is. A stage of its own: nothing else runs
beside it but both flavours and their observers at once."""

import os
import subprocess
import sys
import time

import pytest

from .rings import Ring, make_table
from .watch import Watch, configuration

SECONDS = int(os.environ.get("PRIMACY_HOG_SECONDS", "300"))
LONG_RUNS = int(os.environ.get("PRIMACY_LONG_RUNS", "1"))
HOGS = 4
BRISK = {"interval": "200ms", "login_interval": "1s"}


@pytest.fixture
def hogs():
    made = []
    yield lambda: made.extend(subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(HOGS))
    for each in made:
        each.kill()
        each.wait()


def test_four_hogs(space, secret, hogs, figure):
    rings = [Ring(space, flavour, 2).mend() for flavour in ("mariadb", "mysql")]
    watches = [
        (ring, Watch(configuration(ring.nodes, probe, password_file=secret)).settled(ring.a)) for ring in rings for probe in ({}, BRISK)
    ]
    for ring in rings:
        make_table(ring)
    hogs()
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
