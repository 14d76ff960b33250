"""The command on real servers: `poll` as cron runs it, and the agent, through fault, take-over, recovery and hand-back."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from servers import PROBE, Workspace, ring, wait_until  # noqa: E402

COMMAND = Path(os.environ.get("PRIMACY_COMMAND") or TESTS.parent / "target" / "release" / "primacy")


class Site:
    """A ring of two real servers and the command's configuration for it."""

    def __init__(self, space, flavour):
        self.nodes = [space.create(flavour).start() for _ in range(2)]
        for node in self.nodes:
            node.wait_ready()
        ring(*self.nodes)
        self.names = [f"{node.host}:{node.port}" for node in self.nodes]
        self.config = space.path / "primacy.toml"
        password = space.path / "password"
        password.touch(0o600)
        password.write_text(PROBE[1])
        self.config.write_text(
            f"""
            cache_file = "{space.path}/cache"
            [probe]
            user = "{PROBE[0]}"
            password_file = "{password}"
            rsa_public_key = "from-server"
            interval = "100ms"
            [pool.orders]
            nodes = [ {{ address = "{self.names[0]}", type = "primary" }}, {{ address = "{self.names[1]}" }} ]
            """
        )

    def run(self, *words, code=0):
        done = subprocess.run([COMMAND, "-c", self.config, *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == code, f"{words}: {done}"
        return done

    def status(self):
        return json.loads(self.run("status", "--json").stdout)["pools"][0]

    def active(self):
        """The ACTIVE node's name; None also while an agent that has just begun has stored nothing."""
        done = subprocess.run([COMMAND, "-c", self.config, "status", "--json"], capture_output=True, text=True, timeout=60)
        if done.returncode == 4 and "has not stored anything" in done.stderr:
            return None
        assert done.returncode == 0, done
        return json.loads(done.stdout)["pools"][0]["active"]


@pytest.fixture(params=["mariadb", "mysql"])
def site(request):
    with Workspace() as space:
        yield Site(space, request.param)


def test_cron(site):
    first, second = site.names
    site.run("check", str(site.config))
    site.run("init")
    done = site.run("poll", "-v")
    assert "SERVER" in done.stdout and site.nodes[0].flavour in done.stdout and "LAG" in done.stdout, done
    assert "switch" in done.stderr
    assert site.active() == first
    assert site.run("poll").stderr == "", "nothing changed, so cron sends no mail"
    assert site.run("is-active", first).stdout == "OK\n"
    assert site.run("up", second).stdout == "UP\n"
    assert site.run("report", first).stdout.startswith("OK/ACTIVE (PRIMARY) :")

    site.nodes[0].kill9()
    done = site.run("poll")
    assert "switch" in done.stderr and "ALARM" in done.stderr, done
    assert site.active() == second
    assert site.run("up", first, code=1).stdout == "DOWN\n"
    epoch = site.status()["epoch"]

    site.nodes[0].restart()
    site.run("poll")
    assert site.active() == second, "a node that failed as ACTIVE waits for recover"
    assert f"{first} waits for `primacy recover {first}`" in site.run("status").stdout
    assert "refused by rule" in site.run("activate-primary", code=3).stderr
    site.run("recover", first)

    def handed_back():
        site.run("poll")
        return site.active() == first

    wait_until(handed_back, 30, lambda: f"handed back: {site.run('explain').stdout}")
    assert site.status()["epoch"] > epoch
    done = site.run("remove", first)
    assert site.active() == second, done
    assert site.status()["removed"] == [first]


def test_agent(site):
    first, second = site.names
    log = site.config.with_name("agent.log")
    with log.open("w") as out:
        agent = subprocess.Popen([COMMAND, "-c", site.config, "run"], stderr=out)
    try:
        wait_until(lambda: "watching" in log.read_text() and site.active() == first, 20, log.read_text)
        assert f"process {agent.pid}" in site.run("poll", code=5).stderr
        assert "refused by rule" in site.run("recover", first, code=3).stderr
        site.nodes[0].kill9()
        wait_until(lambda: site.active() == second, 20, log.read_text)
        site.nodes[0].restart()
        # The agent is asked to recover and hands the role back, without a restart.
        site.run("recover", first)
        wait_until(lambda: site.active() == first, 30, log.read_text)
        status = site.run("status").stdout
        assert "LAG" in status and "RTT" in status and site.nodes[0].flavour in status, status
        agent.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert agent.wait(10) == 0
        assert time.monotonic() - began < 2
    finally:
        agent.kill()
        agent.wait()
