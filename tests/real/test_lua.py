"""Lua hosts on real servers: the example scripts see a failover, and send clients where they belong."""

import os
import subprocess
from pathlib import Path

import pytest

from servers import wait_replicating, wait_until

from .watch import configuration

ROOT = Path(__file__).resolve().parents[2]


def environment(lua):
    return {**os.environ, "LUA_CPATH": str(ROOT / "target" / "lua" / lua.replace("lua", "") / "?.so")}


def route(lua, config, service, code=0):
    """Where clients would go: (address, reason) of each, or the text if there is nobody."""
    done = subprocess.run(
        [lua, ROOT / "examples" / "lua" / "route.lua", config, service, "2"],
        env=environment(lua), capture_output=True, text=True, timeout=60,
    )
    assert done.returncode == code, done
    return [line.split(": ", 1)[1] for line in done.stdout.splitlines()]


def test_route(rings, secret, space):
    ring = rings("mariadb").mend()
    a, b = ring.nodes
    config = space.path / "route.toml"
    config.write_text(
        configuration(ring.nodes, password_file=secret)
        + "[pool.orders.service.write]\nrole = 'active'\n"
        + "[pool.orders.service.read]\nrole = 'any'\nstrategy = 'least-connections'\n"
    )
    assert route("lua5.3", config, "orders.write") == [f"{a.address} (role)"] * 2
    assert sorted(route("luajit", config, "orders.read")) == sorted(f"{node.address} (role)" for node in ring.nodes)
    a.kill9()
    b.kill9()
    try:
        said = route("lua5.1", config, "orders.write", code=1)
        assert len(said) == 2 and "orders" in said[0], said
    finally:
        for node in ring.nodes:
            node.restart()
        wait_replicating(ring.nodes)


@pytest.mark.parametrize("lua", ["lua5.1", "lua5.4"])
def test_watch(rings, secret, space, lua):
    ring = rings("mariadb").mend()
    a, b = ring.nodes
    config, output = space.path / f"{lua}.toml", space.path / f"{lua}.out"
    config.write_text(configuration(ring.nodes, password_file=secret, probe={"interval": "100ms", "timeout": "50ms"}))
    with output.open("w") as out:
        host = subprocess.Popen(
            [lua, ROOT / "examples" / "lua" / "watch.lua", config], env=environment(lua), stdout=out, stderr=out
        )
    try:
        wait_until(lambda: f"orders: {a.address}\n" in output.read_text(), 20, output.read_text)
        a.kill9()
        wait_until(lambda: f"orders: {b.address}\n" in output.read_text(), 20, output.read_text)
        assert "(rule 245)" in output.read_text()
    finally:
        host.kill()
        host.wait()
        a.restart()
        wait_replicating(ring.nodes)
