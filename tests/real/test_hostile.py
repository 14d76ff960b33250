"""Servers that misbehave on purpose, in a pool beside a real one that must not feel it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from hostile import MODES

from .process import open_descriptors, reset_peak, resident_kib
from .watch import delay

PROGRAM = Path(__file__).resolve().parent.parent / "hostile" / "hostile.py"
PROBE_TIMES = {"interval": "50ms", "confirm_interval": "20ms", "timeout": "200ms", "probe_timeout": "400ms"}
PROBE_TIMEOUT = 0.4
INTERVAL = 0.05
MORE = 5

# What a probe of each mode must end in. "gone" may fail an ACTIVE, "hung" too; "refusing" never does: whoever answers with words
# that make no sense is alive, and it is not for a health check to take the role from it.
EXPECTED = {
    "silent": {"no_reply"},
    "silent_in_greeting": {"no_reply"},
    "silent_after_greeting": {"no_reply"},
    "silent_after_login": {"no_reply"},
    "silent_in_result": {"no_reply"},
    "http": {"protocol_error"},
    "ssh": {"protocol_error"},
    "garbage": {"protocol_error"},
    "garbage_flood": {"protocol_error"},
    "garbage_after_greeting": {"protocol_error"},
    "garbage_after_login": {"protocol_error"},
    "huge_packet": {"protocol_error"},
    "huge_header": {"protocol_error"},
    "huge_login_answer": {"protocol_error"},
    "huge_row": {"protocol_error"},
    # Whichever comes first: the cap on a result, or the time.
    "endless_rows": {"protocol_error", "no_reply"},
    "many_columns": {"protocol_error"},
    "lying_length": {"protocol_error"},
    "wrong_sequence": {"protocol_error"},
    "empty_packets": {"protocol_error"},
    "switch_loop": {"protocol_error", "auth_denied"},
    "unknown_method": {"protocol_error", "auth_denied"},
    "old_protocol": {"protocol_error"},
    "error_greeting": {"too_many_connections"},
    "error_unknown": {"query_failed", "auth_denied"},
    "close_before_greeting": {"reset"},
    "close_in_header": {"protocol_error"},
    "close_in_greeting": {"protocol_error"},
    "close_after_greeting": {"protocol_error"},
    "close_after_login": {"protocol_error"},
    "close_in_login_answer": {"protocol_error"},
    "close_after_ok": {"protocol_error"},
    "close_after_query": {"protocol_error"},
    "close_in_result": {"protocol_error"},
    "close_before_last": {"protocol_error"},
    # One row with the value 1 is no answer to what a probe asks.
    "close_between_queries": {"protocol_error", "query_failed"},
    "good": {"protocol_error", "query_failed"},
}


def test_every_mode_is_expected_to_do_something():
    assert set(EXPECTED) | {"drip"} == set(MODES)


class Program:
    """A hostile server in a process of its own: what it hoards is not ours, and it does not wait for our interpreter."""

    def __init__(self, mode, *options):
        self.process = subprocess.Popen([sys.executable, PROGRAM, mode, *options], stdout=subprocess.PIPE, text=True)
        self.address = f"127.0.0.1:{int(self.process.stdout.readline())}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def healthy(space):
    """A real server that replicates from nobody; alone in good order it is ACTIVE."""
    server = space.create("mariadb").start().wait_ready()
    yield server
    server.discard()


def endings(end):
    return ["--reset"] if end == "reset" else []


# With the others the probe gives up first: how they would end never shows.
ENDINGS = [(mode, end) for mode in EXPECTED for end in (["close", "reset"] if mode.startswith("close") else ["close"])]


@pytest.mark.parametrize(("mode", "end"), ENDINGS)
def test_mode(healthy, watch, mode, end):
    with Program(mode, *endings(end)) as bad:
        descriptors = open_descriptors()
        w = watch([bad.address, healthy], probe=PROBE_TIMES)
        w.until(lambda: w.active() == healthy.address, 5, "the healthy node is chosen")
        w.until(lambda: w.node(bad.address).count is not None and w.node(bad.address).count >= 4, 5, "four observations")
        w.forget()
        reset_peak()
        before, first = resident_kib(), w.node(bad.address).count
        started = time.monotonic()
        slowest = 0.0
        causes = set()

        def more():
            nonlocal slowest
            node, good = w.node(bad.address), w.node(healthy)
            causes.add(str(node.cause))
            # The other one is looked at all the while, and is in good order.
            assert good.cause == "ok" and good.state == "ACTIVE" and good.status == "OK", w.story()
            slowest = max(slowest, time.time() - good.observed_ms / 1000)
            return node.count >= first + MORE

        # Each probe ends within probe_timeout; the pause before it doubles from the interval on, for the node has failed.
        w.until(more, MORE * PROBE_TIMEOUT + sum(INTERVAL * 2**n for n in range(1, MORE + 2)) + 2, "more observations in time")
        took = time.monotonic() - started
        grown = resident_kib("VmHWM") - before
        expected = EXPECTED[mode]
        if end == "reset":
            # A reset may overtake what was sent before it, down to the greeting.
            expected = expected | {"reset"}
        assert causes <= expected, (causes, w.node(bad.address).message)
        message = w.node(bad.address).message
        assert message and len(message) < 1000 and message.isprintable(), message
        assert slowest < 0.05 + PROBE_TIMEOUT, f"the healthy node was not looked at for {slowest:.3f} s"
        # A packet's cap is 1 MiB at most; nothing is hoarded from probe to probe.
        assert grown < 8 * 1024, f"{grown} KiB more at the peak"
        assert not w.switches()
        print(f"{mode}: {causes} {message!r}; {MORE / took:.1f} probes/s, {grown} KiB")
        w.close()
        assert open_descriptors() == descriptors


def test_the_active_turns_silent(ring, watch):
    """A hung server that still accepts: what stands in its place accepts and never speaks."""
    a, b = ring.nodes
    w = watch(ring.nodes, probe={"confirm_interval": "200ms"}).settled(a)
    port = a.port
    # What the port's new owner does shows before the ladder has come to its end.
    a.kill9()
    with Program("silent", "--port", str(port)):
        w.event("doubt", a)
        w.event("switch", b, timeout=10)
        w.until(lambda: w.node(a).cause == "no_reply", 5, "no_reply")
        w.holds(lambda: w.node(a).cause == "no_reply" and w.node(a).state == "FAILED_OFFLINE", 1, "failed, and looked at")
        assert len(w.switches()) == 1


@pytest.mark.parametrize("mode", ["http", "garbage", "close_after_greeting"])
def test_the_active_turns_into_something_else(ring, watch, mode):
    """Something else on the port is alive: the cause says what, the status stops at OK_CRITICAL, nobody is switched."""
    a, b = ring.nodes
    w = watch(ring.nodes, probe={"confirm_interval": "200ms"}).settled(a)
    port = a.port
    a.kill9()
    with Program(mode, "--port", str(port)):
        w.until(lambda: w.node(a).cause == "protocol_error", 5, "protocol_error")
        w.until(lambda: w.node(a).status == "OK_CRITICAL", 5, "OK_CRITICAL")
        w.holds(lambda: w.active() == a.address and w.node(a).status == "OK_CRITICAL", 1, "OK_CRITICAL and ACTIVE")
        assert not w.switches()
    # Nothing is there at all: now that is a failure, and all of the ladder lies before it.
    gone = time.monotonic()
    w.event("switch", b)
    assert delay(w.switches()[0], gone) > 400


@pytest.mark.parametrize("flavour", ["mariadb", "mysql"])
def test_a_byte_at_a_time(ring, watch):
    """A real server behind a line that carries one byte at a time: slow, and in good order."""
    a, b = ring.nodes
    with Program("drip", "--target", a.address, "--pause", "0.00005") as slow:
        w = watch([slow.address, b], probe={"timeout": "8s", "probe_timeout": "20s", "silence": "30s", "interval": "200ms"})
        w.until(lambda: w.node(slow.address).cause == "ok", 25, "the slow one is in good order")
        node = w.node(slow.address)
        assert node.gtids is not None and node.flavour == ring.flavour and len(node.channels) == 1
        assert w.active() == slow.address and w.node(b).cause == "ok"
        w.holds(lambda: w.node(slow.address).cause == "ok", 1, "still in good order")
