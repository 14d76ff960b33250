"""A pool of kind `router` over real MySQL Routers and real servers behind them.

What belongs to a router moves the role; what is behind it does not.
"""

import re
import time

import pytest

from servers import PROBE, Workspace, free_port, wait_until
from servers.router import Router

from .watch import POOL, Watch, toml


def checks(router, pid_file=True):
    """The checks of one node, as a configuration spells them."""
    ports = router.ports
    made = [
        f'{{ type = "router", port = {ports["rw"]}, role = "rw" }}',
        f'{{ type = "router", port = {ports["ro"]}, role = "ro" }}',
        f'{{ type = "router", port = {ports["xrw"]}, role = "rw", protocol = "x" }}',
    ]
    if pid_file:
        made.append(f'{{ type = "process", pid_file = {toml(router.pid_file)} }}')
    return "[ " + ", ".join(made) + " ]"


class Tier:
    """Two servers, two routers that lead to both, and an instance on the host of the first router."""

    def __init__(self, space, secret):
        self.space = space
        self.x_ports = [free_port(), free_port()]
        self.servers = []
        for port in self.x_ports:
            made = space.create("mysql", options=["--mysqlx=ON", "--mysqlx-bind-address=127.0.0.1", f"--mysqlx-port={port}"])
            made.options.append(f"--mysqlx-socket={made.folder / 'x'}")
            self.servers.append(made.start())
        for server in self.servers:
            server.wait_ready()
        classic = [f"127.0.0.1:{server.port}" for server in self.servers]
        x = [f"127.0.0.1:{port}" for port in self.x_ports]
        routes = {
            "rw": ("classic", classic, "first-available"),
            "ro": ("classic", classic[::-1], "round-robin"),
            "xrw": ("x", x, "first-available"),
        }
        self.routers = [Router(space.path, routes, name=f"rt{n}").start() for n in (1, 2)]
        for router in self.routers:
            router.wait_ready()
        self.secret = secret

    def address(self, n):
        return f"127.0.0.1:{self.routers[n].ports['rw']}"

    def text(self, host="rt1", processes=True):
        nodes = ",\n".join(
            f'  {{ address = "{self.address(n)}", type = "{kind}", host = "rt{n + 1}", checks = {checks(router, processes)} }}'
            for n, (router, kind) in enumerate(zip(self.routers, ("primary", "secondary")))
        )
        return "\n".join([
            "[tier]",
            f"host = {toml(host)}",
            "[probe]",
            f"user = {toml(PROBE.user)}",
            f"password_file = {toml(self.secret)}",
            'rsa_public_key = "from-server"',
            f"[pool.{POOL}]",
            'kind = "router"',
            f"nodes = [\n{nodes}\n]\n",
        ])

    def mend(self):
        for server in self.servers:
            if not server.running():
                server.start().wait_ready()
        for router in self.routers:
            # A static X route whose servers were out of reach once stays so until the router is started anew.
            router.discard()
            router.start()
        for router in self.routers:
            router.wait_ready()
        return self


@pytest.fixture(scope="module")
def made(secret):
    with Workspace() as space:
        tier = Tier(space, secret)
        yield tier
        for router in tier.routers:
            router.discard()


@pytest.fixture
def tier(made):
    return made.mend()


@pytest.fixture
def watch(tier):
    with Watch(tier.text()) as w:
        w.settled(tier.address(0), timeout=30)
        yield w


def backend(w, address):
    """What the metrics say of what is behind a node: 1, 0 or None."""
    found = re.search(rf'^primacy_node_backend_good{{[^}}]*node="{re.escape(address)}"}} (\d)', w.instance.metrics(), re.M)
    return found and int(found.group(1))


def test_the_servers_behind_are_known(tier, watch):
    a = tier.address(0)
    watch.until(lambda: backend(watch, a) == 1, 5, "a good backend")
    text = watch.pool.explain()
    uuids = [server.value("@@server_uuid") for server in tier.servers]
    rw = tier.routers[0].ports["rw"]
    assert re.search(rf"port {rw} leads to \S+:{tier.servers[0].port} \({uuids[0]}\), writable", text), text
    assert uuids[0] in text and f"port {tier.routers[0].ports['xrw']} leads to" in text, text


def test_a_killed_router_is_known_at_once(tier, watch, figure):
    a, b = tier.address(0), tier.address(1)
    begun = time.monotonic()
    tier.routers[0].kill9()
    failed = watch.event("status", a, timeout=5)
    took = failed.mono_ns / 1e9 - begun
    switch = watch.event("switch", b, timeout=5)
    moved = switch.mono_ns / 1e9 - begun
    figure(f"router killed: FAIL known after {took * 1000:.1f} ms, role moved after {moved * 1000:.1f} ms")
    assert failed.cause == "process_exit" and watch.node(a).status == "FAIL", watch.story()
    assert took < 0.1, watch.story()
    assert watch.node(a).state == "FAILED_OFFLINE" and not watch.node(a).waits_for_recover
    # It heals by itself, and the role stays where it is.
    tier.routers[0].wait_gone().start().wait_ready()
    watch.until(lambda: watch.node(a).state == "STANDBY" and watch.node(a).status == "OK", 20, "it heals by itself")
    assert watch.active() == b and len(watch.switches()) == 1, watch.story()


def test_stopped_databases_move_nothing(tier, watch):
    a, b = tier.address(0), tier.address(1)
    for server in tier.servers:
        server.kill9()
    watch.until(lambda: backend(watch, a) == 0 and backend(watch, b) == 0, 10, "bad backends")
    watch.until(lambda: {watch.node(n).status for n in (a, b)} == {"OK_WARN"}, 10, "both at OK_WARN")
    assert watch.node(a).rule == 297 and "port" in watch.node(a).message, watch.story()
    watch.holds(lambda: watch.active() == a, 3, "the role stays")
    assert not watch.switches() and not watch.found("state") and not watch.found("doubt"), watch.story()
    # A router that dies meanwhile is replaced all the same.
    tier.routers[0].kill9()
    watch.event("switch", b, timeout=5)
    for server in tier.servers:
        server.start()
    for server in tier.servers:
        server.wait_ready()


def test_a_stopped_router_hangs(tier, watch):
    a, b = tier.address(0), tier.address(1)
    tier.routers[0].sigstop()
    try:
        watch.event("switch", b, timeout=15)
        assert watch.node(a).cause == "no_reply" and watch.node(a).status == "FAIL", watch.story()
    finally:
        tier.routers[0].sigcont()
    watch.until(lambda: watch.node(a).state == "STANDBY", 30, "it heals by itself")


def test_a_stopped_database_is_no_hung_router(tier, watch):
    """The port of the X protocol tells whether the router lives, whatever became of the server."""
    a = tier.address(0)
    tier.servers[0].sigstop()
    try:
        watch.until(lambda: backend(watch, a) == 0, 10, "a bad backend")
        watch.holds(lambda: watch.active() == a and watch.node(a).status != "FAIL", 3, "the router lives")
        assert not watch.switches(), watch.story()
    finally:
        tier.servers[0].sigcont()
    watch.until(lambda: watch.node(a).status == "OK", 30, "in order again")


def test_another_host_sees_the_death_by_the_ports(tier):
    """Nobody watches the process of another host: a closed port is a step, and steps are counted."""
    with Watch(tier.text(host="rt9")) as w:
        a, b = tier.address(0), tier.address(1)
        w.settled(a, timeout=30)
        tier.routers[0].kill9().wait_gone()
        w.event("switch", b, timeout=10)
        assert w.node(a).cause == "refused", w.story()


def test_a_router_that_is_not_there_at_the_start(tier):
    tier.routers[0].kill9().wait_gone()
    with Watch(tier.text()) as w:
        w.until(lambda: w.active() == tier.address(1), 10, "the other one is ACTIVE")
        assert w.node(tier.address(0)).cause == "process_exit", w.story()
        wait_until(lambda: w.node(tier.address(0)).state == "FAILED_OFFLINE", 10, "it has failed")
