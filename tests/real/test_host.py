"""What befalls the host that holds the library: it is stopped, its clock is set, its resolver is gone, its network loses packets.
None of that moves the role. PRIMACY_RUNS says how often each happens, PRIMACY_LONG_RUNS how often what lasts a minute."""

import os
import signal
import time
from pathlib import Path

import pytest

from servers import wait_until
from servers.faults import PrivateNetwork, loss

from .host import HostProgram, own_files
from .rings import Ring, pause, warm
from .watch import Watch, configuration

RUNS = int(os.environ.get("PRIMACY_RUNS", "1"))
LONG_RUNS = int(os.environ.get("PRIMACY_LONG_RUNS", "1"))
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


@pytest.fixture(scope="module", params=["mariadb", "mysql"])
def here(request, space):
    """A ring in a network of its own."""
    with PrivateNetwork() as namespace:
        ring = Ring(space, request.param, 2).mend()
        yield ring, namespace
        for node in ring.nodes:
            node.discard()


@pytest.fixture(autouse=True)
def tally(request, figure):
    """What came of it, for the record: a switch that must not be is a failed test."""
    yield
    runs = LONG_RUNS if "60_s" in request.node.name else RUNS
    figure(f"must not fail over, {request.node.name[5:]}: {runs} runs")


def untouched(program, ring, since=0):
    """Whoever was ACTIVE still is, and nothing was failed."""
    told = program.ask()
    moves = [e for e in told["events"][since:] if e["kind"] in ("switch", "last_node", "state")]
    assert not moves, moves
    assert told["nodes"][0]["state"] == "ACTIVE" and told["nodes"][0]["name"] == ring.a.address, told


def test_stopped_for_five_seconds(here, secret):
    """Longer than `silence`: whatever it did not hear meanwhile, it did not listen."""
    ring, _ = here
    with HostProgram(configuration(ring.nodes, {"login_interval": "1s"}, password_file=secret)) as program:
        program.settled(ring.a.address)
        for _ in range(RUNS):
            since = len(program.ask()["events"])
            program.process.send_signal(signal.SIGSTOP)
            pause(5)
            program.process.send_signal(signal.SIGCONT)
            program.settled(ring.a.address)
            pause(1)
            untouched(program, ring, since)


def test_stopped_in_the_middle_of_a_doubt(here, secret):
    """It has just found the ACTIVE silent and closely looks at it: what it slept over counts for nothing."""
    ring, _ = here
    with HostProgram(configuration(ring.nodes, password_file=secret)) as program:
        program.settled(ring.a.address)
        for _ in range(RUNS):
            since = len(program.ask()["events"])
            ring.a.sigstop()
            wait_until(lambda: [e for e in program.ask()["events"][since:] if e["kind"] == "doubt"], 5, "doubt", every=0.02)
            program.process.send_signal(signal.SIGSTOP)
            ring.a.sigcont()
            pause(2)
            program.process.send_signal(signal.SIGCONT)
            program.settled(ring.a.address)
            untouched(program, ring, since)


def test_the_clock_set_an_hour_forth_and_back(here, secret, tmp_path):
    """The wall clock of the host alone, by a preloaded library; what elapses is measured by another clock."""
    assert FAKETIME, "libfaketime is missing: run `make deps`"
    ring, _ = here
    hands = tmp_path / "clock"
    hands.write_text("+0")
    environment = {
        "LD_PRELOAD": FAKETIME,
        "FAKETIME_TIMESTAMP_FILE": hands,
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    text = configuration(ring.nodes, {"login_interval": "1s"}, top={"cache_file": tmp_path / "cache"}, password_file=secret)
    with HostProgram(text, environment={key: str(value) for key, value in environment.items()}) as program:
        program.settled(ring.a.address)
        since = len(program.ask()["events"])
        for _ in range(RUNS):
            for shown, hours in (("+1h", 1), ("-1h", -1), ("+0", 0)):
                hands.write_text(shown)
                told = wait_until(
                    lambda hours=hours: (t := program.ask()) and abs(t["wall"] - time.time() - hours * 3600) < 60 and t,
                    5,
                    "the clock shows another time",
                )
                # Looks go on at their pace, and tell the new time.
                program.until(lambda *nodes: all(abs(n["observed"] - told["wall"]) < 30 for n in nodes), 5, "looked at")
                pause(0.7)
                untouched(program, ring, since)
        assert not [e for e in program.ask()["events"][since:] if e["kind"] in ("doubt", "late", "isolated")], program.ask()
        # And a failure is still one.
        hands.write_text("-1h")
        killed = time.monotonic()
        ring.a.kill9()
        switch = wait_until(
            lambda: [e for e in program.ask()["events"][since:] if e["kind"] == "switch"], 10, "switch", every=0.02
        )[0]
        assert switch["node"] == ring.b.address and switch["mono"] - killed < 1.5
    ring.mend()


def test_the_resolver_is_gone(here, secret, tmp_path):
    """Names that resolved once; then the resolver hangs. Nobody healthy is hurt, whoever falls heals by its last address, and a
    failure of the ACTIVE is met as ever."""
    ring, namespace = here
    files = {name: tmp_path / name for name in ("hosts", "nsswitch.conf", "resolv.conf")}
    names = "127.0.0.1 one.example two.example\n"
    files["hosts"].write_text(names)
    files["nsswitch.conf"].write_text("hosts: files dns\n")
    files["resolv.conf"].write_text("nameserver 127.0.0.99\n")
    # Questions go out and nothing comes back, not even a refusal.
    chain = "type filter hook input priority -200; udp dport 53 counter drop"
    namespace.run("nft", f"table inet resolver {{ chain input {{ {chain}\n }}\n }}")
    nodes = [f"one.example:{ring.a.port}", f"two.example:{ring.b.port}"]
    text = configuration(nodes, top={"cache_file": tmp_path / "cache"}, password_file=secret)
    asked = lambda: int(namespace.run("nft", "list", "table", "inet", "resolver").split("packets ")[1].split()[0])
    try:
        with HostProgram(text, own_files({file: f"/etc/{name}" for name, file in files.items()})) as program:
            program.settled(nodes[0])
            for _ in range(RUNS):
                files["hosts"].write_text("")
                since, before = len(program.ask()["events"]), asked()
                # A failure makes it ask again.
                ring.b.kill9()
                program.until(lambda a, b: b["cause"] == "refused", 5, "refused, by the last address")
                wait_until(lambda: asked() > before, 8, "the resolver is asked")
                until = time.monotonic() + 3
                while time.monotonic() < until:
                    a, b = program.nodes()
                    assert (a["state"], a["status"], a["cause"]) == ("ACTIVE", "OK", "ok"), a
                    assert abs(a["observed"] - time.time()) < 2 and b["cause"] == "refused", (a, b)
                    pause(0.05)
                ring.b.start().wait_ready()
                warm(ring.b)
                program.settled(nodes[0], 15)
                moves = [e for e in program.ask()["events"][since:] if e["kind"] in ("switch", "last_node")]
                assert not moves, moves
                files["hosts"].write_text(names)
            files["hosts"].write_text("")
            since, killed = len(program.ask()["events"]), time.monotonic()
            ring.a.kill9()
            switch = wait_until(
                lambda: [e for e in program.ask()["events"][since:] if e["kind"] == "switch"], 10, "switch", every=0.02
            )[0]
            assert switch["node"] == nodes[1] and switch["mono"] - killed < 1.5
    finally:
        namespace.run("nft", "delete", "table", "inet", "resolver")
    ring.mend()


def test_20_percent_loss_for_60_s(here, secret, figure):
    """In each direction, of everybody: logins and answers are lost in turn. It is not the server that hangs."""
    ring, _ = here
    w = Watch(configuration(ring.nodes, password_file=secret)).settled(ring.a)
    try:
        for _ in range(LONG_RUNS):
            loss([node.port for node in ring.nodes], 20, 60).wait()
            assert not w.switches() and w.active() == ring.a.address, w.story()
            doubts, alarms = len(w.found("doubt")), len(w.found("last_node"))
            assert doubts, "the loss was felt"
            figure(f"20 % loss for 60 s, {ring.flavour}: {doubts} doubts, {alarms} alarms about a last node, 0 switches")
            # A stand-in may have been failed in that time, and heals.
            w.settled(ring.a, 30)
    finally:
        w.close()
