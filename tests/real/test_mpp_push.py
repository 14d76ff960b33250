"""`primacy run` pushes to two MySQL Proxies that run the real script, while a real ring fails over."""

import ctypes
import os
import subprocess
import time
from pathlib import Path

import primacy
import pytest
from primacy import _abi
from primacy._library import library

from servers import PROBE, wait_until

from .mysql_proxy import ADMIN, Proxy
from .watch import configuration

COMMAND = Path(os.environ.get("PRIMACY_COMMAND") or Path(__file__).resolve().parents[2] / "target" / "dist" / "primacy")
USER, SECRET = ADMIN


class Site:
    """A ring, two proxies and an agent that pushes to them."""

    def __init__(self, folder, ring, secret):
        self.ring = ring
        self.folder = folder
        settings = 'source = "push", role = "active"'
        self.proxies = [Proxy(folder, ring.nodes, settings, name).start() for name in ("one", "two")]
        push = "".join(
            f'[[push]]\naddress = "{admin(proxy)}"\nuser = "{USER}"\npassword_file = "{password(proxy)}"\ninterval = "200ms"\n'
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
        lines = self.run("proxyadmin", "--proxy", admin(proxy), "--show-nodes").splitlines()
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
                       lambda p=proxy: f"{admin(p)}: {self.states(p)} and not {expected}\n{self.story()}")

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

    killed = time.monotonic()
    ring.a.kill9()
    site.wait_states("FAILED_OFFLINE", "ACTIVE")
    figure(f"MPP, {flavour}: kill -9 to both proxies showing the move, looked at from outside: "
           f"{(time.monotonic() - killed) * 1000:.0f} ms")
    assert site.shown(two)[ring.a.address, "mpp", "status"] == "FAIL"
    if flavour == "mariadb":
        # MySQL Proxy has no other login than MariaDB's mysql_native_password.
        assert served_by(one) == ring.b.port and served_by(two) == ring.b.port

    # One is restarted, and knows nothing any more: it is told all again.
    two.stop()
    site.logged(f"proxy {admin(two)}: it does not take what is pushed")
    two.start()
    site.logged(f"proxy {admin(two)}: it takes what is pushed; 2 nodes were initialized", times=2)
    site.wait_states("FAILED_OFFLINE", "ACTIVE")

    # What somebody sets by hand is set back; an order to the agent is pushed.
    site.run("proxyadmin", "--proxy", admin(one), "--set", ring.b.address, "--weight", "9")
    wait_until(lambda: site.shown(one)[ring.b.address, "mpp", "weight"] == "1", 30, site.story)
    site.run("set", ring.b.address, "--weight", "7", "--reason", "a test")
    for proxy in site.proxies:
        wait_until(lambda p=proxy: site.shown(p)[ring.b.address, "mpp", "weight"] == "7", 30, site.story)

    # All that are configured, without naming one.
    text = site.run("proxyadmin", "--show-nodes")
    assert admin(one) in text and admin(two) in text and text.count("| nodename") == 2, text
    by_library = proxy_command(one, "mpp show all")
    assert f"{ring.b.address}\tmpp\tstate\tACTIVE\n" in by_library
    with pytest.raises(primacy.PrimacyError, match="is not configured"):
        proxy_command(one, "MPP INITIALIZE 10.99.99.99 TYPE PRIMARY")
    metrics = site.run("metrics", "--require-agent")
    for proxy in site.proxies:
        assert f'primacy_proxy_up{{proxy="{admin(proxy)}"}} 1' in metrics
    assert SECRET not in site.story() + metrics + text


def admin(proxy):
    return f"127.0.0.1:{proxy.admin_port}"


def password(proxy):
    return proxy.folder / f"{proxy.name}.password"


def proxy_command(proxy, command):
    """One command by the C contract."""
    options = _abi.primacy_proxy_options(
        size=ctypes.sizeof(_abi.primacy_proxy_options), proxy=admin(proxy).encode(), user=USER.encode(),
        password_file=str(password(proxy)).encode())
    return library().text("primacy_proxy_command", ctypes.byref(options), command.encode())


def served_by(proxy):
    """The port of the server that a client of the proxy is connected to."""
    with proxy.connect(PROBE.user, PROBE.password) as client, client.cursor() as cursor:
        cursor.execute("SELECT @@port")
        return cursor.fetchone()[0]
