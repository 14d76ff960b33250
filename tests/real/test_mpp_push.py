"""`primacy run` pushes to two MySQL Proxies that run the real script, while a real ring fails over."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import primacy
import pymysql
import pytest
from primacy import _abi
from primacy._library import library

from servers import PROBE, wait_until

from .conftest import write_secret
from .watch import configuration

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(os.environ.get("PRIMACY_COMMAND") or ROOT / "target" / "dist" / "primacy")
FRONT = ROOT / "tests" / "lua" / "mysql_proxy" / "front.py"
SECRET = "proxy-admin-secret"
USER = "pusher"


class Proxy:
    """MySQL Proxy's admin plugin and data port, as a process of its own that keeps its ports over a restart."""

    def __init__(self, folder, name, nodes):
        self.log = folder / f"{name}.log"
        self.settings = folder / f"{name}.lua"
        self.settings.write_text('return { source = "push", role = "active" }\n')
        self.password = write_secret(folder / f"{name}.password", SECRET)
        self.nodes = [node.address for node in nodes]
        self.admin, self.data = "127.0.0.1:0", "127.0.0.1:0"
        self.process = None

    def start(self):
        backends = [word for node in self.nodes for word in ("--proxy-backend-addresses", node)]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, FRONT, "--admin-address", self.admin, "--admin-username", USER,
                 "--admin-password-file", self.password, "--proxy-address", self.data, *backends,
                 "--settings", self.settings],
                stdout=subprocess.PIPE, stderr=log, text=True)
        ready = self.process.stdout.readline()
        found = re.match(r"ready admin=(\S+) proxy=(\S+)", ready)
        assert found, f"{ready!r}: {self.log.read_text()}"
        self.admin, self.data = found.groups()
        return self

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
            self.process = None


class Site:
    """A ring, two proxies and an agent that pushes to them."""

    def __init__(self, folder, ring, secret):
        self.ring = ring
        self.proxies = [Proxy(folder, name, ring.nodes).start() for name in ("one", "two")]
        push = "".join(
            f'[[push]]\naddress = "{proxy.admin}"\nuser = "{USER}"\npassword_file = "{proxy.password}"\ninterval = "200ms"\n'
            for proxy in self.proxies)
        probe = {"interval": "200ms", "confirm_interval": "20ms", "timeout": "500ms", "probe_timeout": "2s"}
        text = configuration(ring.nodes, probe=probe, top={"cache_file": folder / "cache"}, password_file=secret)
        self.config = folder / "primacy.toml"
        self.config.write_text(text + push)
        self.log = folder / "agent.log"
        self.agent = None

    def run(self, *words, code=0):
        done = subprocess.run([COMMAND, "-c", self.config, *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == code, f"{words}: {done}\n{self.log.read_text() if self.log.exists() else ''}"
        return done.stdout

    def start(self):
        with self.log.open("a") as log:
            self.agent = subprocess.Popen([COMMAND, "-c", self.config, "run"], stderr=log)
        return self

    def shown(self, proxy):
        """The rows of MPP SHOW ALL as {(node, group, element): value}."""
        lines = self.run("proxyadmin", "--proxy", proxy.admin, "--show-nodes").splitlines()
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        assert rows[0] == ["nodename", "group", "element", "value"], lines
        return {tuple(row[:3]): row[3] for row in rows[1:]}

    def states(self, proxy):
        """What MPP says of both nodes; never are two ACTIVE."""
        shown = self.shown(proxy)
        states = [shown.get((node.address, "mpp", "state")) for node in self.ring.nodes]
        assert states.count("ACTIVE") <= 1, shown
        return states

    def wait_states(self, *expected):
        for proxy in self.proxies:
            wait_until(lambda p=proxy: self.states(p) == list(expected), 30,
                       lambda p=proxy: f"{p.admin}: {self.states(p)} and not {expected}\n{self.story()}")

    def story(self):
        return self.log.read_text() + "".join(proxy.log.read_text() for proxy in self.proxies)

    def logged(self, text, times=1):
        wait_until(lambda: self.log.read_text().count(text) >= times, 30, lambda: f"{text!r} is not in\n{self.story()}")

    def end(self):
        if self.agent:
            self.agent.terminate()
            assert self.agent.wait(30) == 0, self.story()
        for proxy in self.proxies:
            proxy.stop()


@pytest.fixture
def site(tmp_path, ring, secret):
    made = Site(tmp_path, ring, secret)
    try:
        yield made.start()
    finally:
        made.end()


def test_two_proxies_follow_a_switch(site, ring, flavour, figure):
    one, two = site.proxies
    site.wait_states("ACTIVE", "STANDBY")
    site.logged("2 nodes were initialized", times=2)
    shown = site.shown(one)
    assert shown[ring.a.address, "mpp", "type"] == "PRIMARY" and shown[ring.b.address, "mpp", "weight"] == "1", shown
    assert any(group == "proxy" for _, group, _ in shown), shown

    ring.a.kill9()
    killed = time.monotonic()
    site.wait_states("FAILED_OFFLINE", "ACTIVE")
    figure(f"MPP, {flavour}: kill -9 to both proxies showing the move, looked at from outside: "
           f"{(time.monotonic() - killed) * 1000:.0f} ms")
    assert site.shown(two)[ring.a.address, "mpp", "status"] == "FAIL"
    if flavour == "mariadb":
        # MySQL Proxy has no other login than MariaDB's mysql_native_password.
        assert served_by(one) == ring.b.port and served_by(two) == ring.b.port

    # One is restarted, and knows nothing any more: it is told all again.
    two.stop()
    site.logged(f"proxy {two.admin}: it does not take what is pushed")
    two.start()
    site.logged(f"proxy {two.admin}: it takes what is pushed; 2 nodes were initialized", times=2)
    site.wait_states("FAILED_OFFLINE", "ACTIVE")

    # What somebody sets by hand is set back; an order to the agent is pushed.
    site.run("proxyadmin", "--proxy", one.admin, "--set", ring.b.address, "--weight", "9")
    wait_until(lambda: site.shown(one)[ring.b.address, "mpp", "weight"] == "1", 30, site.story)
    site.run("set", ring.b.address, "--weight", "7", "--reason", "a test")
    for proxy in site.proxies:
        wait_until(lambda p=proxy: site.shown(p)[ring.b.address, "mpp", "weight"] == "7", 30, site.story)

    # All that are configured, without naming one.
    text = site.run("proxyadmin", "--show-nodes")
    assert one.admin in text and two.admin in text and text.count("| nodename") == 2, text
    by_library = proxy_command(one, "mpp show all")
    assert f"{ring.b.address}\tmpp\tstate\tACTIVE\n" in by_library
    with pytest.raises(primacy.PrimacyError, match="is not configured"):
        proxy_command(one, "MPP INITIALIZE 10.99.99.99 TYPE PRIMARY")
    metrics = site.run("metrics", "--require-agent")
    for proxy in site.proxies:
        assert f'primacy_proxy_up{{proxy="{proxy.admin}"}} 1' in metrics
    assert SECRET not in site.story() + metrics + text


def proxy_command(proxy, command):
    """One command by the C contract."""
    options = _abi.primacy_proxy_options(
        size=ctypes.sizeof(_abi.primacy_proxy_options), proxy=proxy.admin.encode(), user=USER.encode(),
        password_file=str(proxy.password).encode())
    return library().text("primacy_proxy_command", ctypes.byref(options), command.encode())


def served_by(proxy):
    """The port of the server that a client of the proxy is connected to."""
    host, port = proxy.data.rsplit(":", 1)
    with pymysql.connect(host=host, port=int(port), user=PROBE.user, password=PROBE.password, connect_timeout=20,
                         read_timeout=20) as client, client.cursor() as cursor:
        cursor.execute("SELECT @@port")
        return cursor.fetchone()[0]
