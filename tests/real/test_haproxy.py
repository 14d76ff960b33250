"""HAProxy without Lua in front of two real servers: examples/haproxy as it stands, but for its addresses."""

import json
import socket
import time
import urllib.error
import urllib.request

import pytest
from servers import PROBE, wait_replicating, wait_until
from servers.workspace import free_port

from .balancers import Agent, Clients, Process, Stats, connect, from_example, write_password
from .rings import make_table


def page(port, path):
    """Status and document of a page."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.fixture
def site(rings, tmp_path):
    """The ring, the agent and HAProxy, once all of them agree."""
    ring = rings("mariadb").mend()
    ports = {name: free_port() for name in ("8008", "8009", "6446", "6447")}
    nodes = {"10.0.1.11:3306": ring.a.address, "10.0.1.12:3306": ring.b.address}
    config = from_example(
        "haproxy/primacy.toml",
        tmp_path / "primacy.toml",
        {
            "/var/lib/primacy/cache": tmp_path / "cache",
            "/etc/primacy/probe.password": write_password(tmp_path / "password"),
            'user = "primacy"': f'user = "{PROBE.user}"',
            "127.0.0.1:8008": f"127.0.0.1:{ports['8008']}",
            "127.0.0.1:8009": f"127.0.0.1:{ports['8009']}",
            **nodes,
        },
    )
    stats = tmp_path / "haproxy.sock"
    balancer = from_example(
        "haproxy/haproxy.cfg",
        tmp_path / "haproxy.cfg",
        {
            "/run/haproxy/primacy.sock": stats,
            "port 8008": f"port {ports['8008']}",
            "agent-port 8009": f"agent-port {ports['8009']}",
            "127.0.0.1:6446": f"127.0.0.1:{ports['6446']}",
            "127.0.0.1:6447": f"127.0.0.1:{ports['6447']}",
            **nodes,
        },
    )
    agent = Agent(tmp_path, config)
    wait_until(lambda: page(ports["8008"], f"/primary/{ring.a.address}")[0] == 200, 20, lambda: agent.said())
    wait_until(lambda: page(ports["8008"], f"/replica/{ring.b.address}")[0] == 200, 20, lambda: agent.said())
    haproxy = Process(tmp_path, "haproxy", ["haproxy", "-db", "-f", balancer])
    stats = Stats(stats)
    try:
        stats.until("orders_active", "db1", "UP")
        stats.until("orders_active", "db2", "DOWN")
        stats.until("orders_standby", "db2", "UP")
        # The ACTIVE node's readers may stay, new ones do not come.
        stats.until("orders_standby", "db1", "DRAIN")
        yield ring, ports, agent, stats, haproxy
    finally:
        haproxy.close()
        agent.close()


def test_drain_kill_and_standstill(site, figure):
    ring, ports, agent, stats, haproxy = site
    a, b = ring.nodes
    rw, ro, http = int(ports["6446"]), int(ports["6447"]), ports["8008"]
    table = make_table(ring)
    status, told = page(http, f"/primary?node={a.address}&pool=orders")
    assert (status, told["state"], told["rule"]) == (200, "ACTIVE", 503), told

    def check(line):
        with socket.create_connection(("127.0.0.1", int(ports["8009"])), 5) as s:
            s.sendall(f"{line}\n".encode())
            return s.makefile().read()

    # By service: role, fallback and what a lost role means come from its table.
    assert check(f"{a.address} service=rw") == check(f"{b.address} service=orders.ro") == "ready up 100%\n"
    assert check(f"{b.address} service=rw").startswith("down #orders.rw: ")
    assert check(f"{a.address} service=ro").split("#")[0] in ("down ", "up drain\n")

    # Maintenance of the stand-in drains it: who reads there may go on, who comes reads from the ACTIVE node.
    with connect(ro) as old, old.cursor() as cursor:
        cursor.execute("SELECT @@port")
        assert cursor.fetchone()[0] == b.port
        agent.run("maintenance", b.address, "--stay", "--reason", "a new disk")
        stats.until("orders_standby", "db2", "DRAIN")
        status, told = page(http, f"/replica/{b.address}")
        assert (status, told["rule"], told["maintenance"]) == (503, 516, True), told
        with Clients(ro, []) as readers:
            readers.answered(a.port, 5)
        assert readers.by() == {a.port} and not readers.failures
        cursor.execute("SELECT @@port")
        assert cursor.fetchone()[0] == b.port, "the old session goes on"
    agent.run("unset", b.address)
    stats.until("orders_standby", "db2", "UP")
    with Clients(ro, []) as readers:
        readers.answered(b.port, 5)
    # A weight of 0 drains too.
    agent.run("set", b.address, "--weight", "0", "--reason", "quiet")
    stats.until("orders_standby", "db2", "DRAIN")
    agent.run("unset", b.address)
    stats.until("orders_standby", "db2", "UP")

    # The ACTIVE node is killed under writes, each on a connection of its own.
    with Clients(rw, [f"INSERT INTO {table} (v) VALUES (1)"]) as writers, Clients(ro, []) as readers:
        writers.answered(a.port, 30)
        readers.answered(b.port, 30)
        assert writers.by() == {a.port} and readers.by() == {b.port}
        killed = time.monotonic()
        a.kill9()
        writers.answered(b.port, 30)
        assert writers.by(killed + 0.5) == {b.port}
        assert len({port for at, port in writers.answers if at < killed}) == 1
        readers.answered(b.port, 30)
    gap = writers.longest_gap(killed)
    figure(
        f"HAProxy without Lua (httpchk /primary, inter 100 ms, fall 2), kill -9: writes out for {gap * 1000:.0f} ms, "
        f"{len(writers.failures)} writes failed, {len(readers.failures)} reads failed"
    )
    # Three quick looks, two checks of the balancer and a loaded machine.
    assert gap < 5, (gap, writers.failures, agent.said())
    stats.until("orders_active", "db1", "DOWN")
    stats.until("orders_active", "db2", "UP")
    # Nobody but the ACTIVE node is left for `ro`, which falls back on it.
    assert check(f"{b.address} service=ro") == check(f"{b.address} service=rw") == "ready up 100%\n"
    assert check(f"{a.address} service=rw").startswith("down #orders.rw: ")
    # No stand-in is left: readers are on the ACTIVE node by the frontend's word.
    stats.until("orders_standby", "db2", "DRAIN")

    # The failed node comes back as a stand-in, by an operator's word.
    a.restart()
    wait_replicating(ring.nodes)
    wait_until(lambda: page(http, f"/health/{a.address}")[1]["class"] == "ok", 20, lambda: agent.said())
    # It answers and waits for an operator: no clients.
    for path in ("primary", "replica", "read-only", "health"):
        assert page(http, f"/{path}/{a.address}")[0] == 503
    agent.run("recover", a.address)
    stats.until("orders_active", "db1", "UP", 30)
    with Clients(rw, [f"INSERT INTO {table} (v) VALUES (1)"]) as writers:
        writers.answered(a.port, 10)

    # Without an agent a health check fails, and an agent-check leaves what was.
    agent.popen.kill()
    agent.popen.wait()
    stats.until("orders_active", "db1", "DOWN")
    assert not haproxy.ended(), haproxy.said()
