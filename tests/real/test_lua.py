"""Lua hosts on real servers: the example script sees a failover."""

import os
import subprocess
from pathlib import Path

import pytest

from servers import wait_replicating, wait_until

from .watch import configuration

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("lua", ["lua5.1", "lua5.4"])
def test_watch(rings, secret, space, lua):
    ring = rings("mariadb").mend()
    a, b = ring.nodes
    config, output = space.path / f"{lua}.toml", space.path / f"{lua}.out"
    config.write_text(configuration(ring.nodes, password_file=secret, probe={"interval": "100ms", "timeout": "50ms"}))
    environment = {**os.environ, "LUA_CPATH": str(ROOT / "target" / "lua" / lua[3:] / "?.so")}
    with output.open("w") as out:
        host = subprocess.Popen([lua, ROOT / "examples" / "lua" / "watch.lua", config], env=environment, stdout=out, stderr=out)
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
