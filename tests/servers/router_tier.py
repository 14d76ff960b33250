"""A router tier as sites have it: three hosts with MySQL Router and an agent each, a floating address between them, three
databases behind, a client in front. Every host is a network namespace on one switch.

Static routes: writes lead to db1 and nowhere else, reads to db2 and db3.
"""

import atexit
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from .accounts import PROBE
from .faults import Namespace
from .flavours import MySQL
from .router import Router
from .server import ServerError
from .topology import star, wait_until
from .workspace import output, popen

ROOT = Path(__file__).resolve().parents[2]

VIP4, VIP6 = "10.0.0.101", "fd00::101"
VIP = (f"{VIP4}/16", "fe80::65/64", f"{VIP6}/64")
#: What each port of a router is for: protocol, and whether it takes writes.
PORTS = {6446: ("classic", "rw"), 6447: ("classic", "ro"), 64460: ("x", "rw"), 64470: ("x", "ro")}
WRITES, READS = {1}, {2, 3}
PEER_PORT = 6470


def command():
    """The command `primacy`: PRIMACY_COMMAND, else as `make` leaves it."""
    return Path(os.environ.get("PRIMACY_COMMAND") or ROOT / "target" / "dist" / "primacy")


def alive(pid):
    """Whether a process of that number runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return False


def started_with(argument):
    """The processes that have this word among their arguments."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(argument).encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                yield int(entry.name)
        except (FileNotFoundError, ProcessLookupError):
            pass


class Host:
    """A namespace on the switch with an address of each family."""

    def __init__(self, switch, name, number):
        self.name, self.switch = name, switch
        self.ip, self.ip6 = f"10.0.{number // 10}.{number % 10}", f"fd00::{number}"
        self.namespace = Namespace()
        self._port = f"port-{name}"
        # An address is there at once, and nobody waits for duplicates on a switch of our own.
        for place in ("default", "all"):
            write_in(self.namespace, f"/proc/sys/net/ipv6/conf/{place}/accept_dad", "0")
        switch.run("ip", "link", "add", self._port, "type", "veth", "peer", "name", "eth0", "netns", self.namespace.path)
        switch.run("ip", "link", "set", self._port, "master", "bridge", "up")
        self.namespace.run("ip", "link", "set", "eth0", "up")
        self.namespace.run("ip", "addr", "add", f"{self.ip}/16", "dev", "eth0")
        self.namespace.run("ip", "addr", "add", f"{self.ip6}/64", "dev", "eth0", "nodad")

    def pull(self):
        self.switch.run("ip", "link", "set", self._port, "down")

    def plug(self):
        self.switch.run("ip", "link", "set", self._port, "up")


def write_in(namespace, path, text):
    namespace.call(lambda: Path(path).write_text(text))


class RouterHost(Host):
    """rt1, rt2 or rt3: a router, and the agent that owns the address for it."""

    def __init__(self, tier, name, number):
        super().__init__(tier.switch, name, number)
        self.tier = tier
        self.folder = Path(tier.space.path) / f"host-{name}"
        self.folder.mkdir()
        self.agent = None
        self.router = Router(
            tier.space.path, tier.routes(), name=name, bind="::", ports={f"p{port}": port for port in PORTS}, netns=self.namespace
        )
        self.config = self.folder / "primacy.toml"
        self.log = self.folder / "agent.log"
        self.restart = self.folder / "restart-router"

    # The router.

    def start_router(self):
        self.router.start()
        wait_until(lambda: self.router.missing() is None, 30, lambda: f"{self.name}'s router: {self.router.log_tail()}")
        self.namespace.call(wait_until, self.router_listens, 30, lambda: f"{self.name}'s router: {self.router.log_tail()}")

    def router_listens(self):
        import socket

        for port in PORTS:
            socket.create_connection((self.ip, port), 1).close()
        return True

    def router_pid(self):
        try:
            return int(self.router.pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def router_runs(self):
        if self.router.process is not None:
            self.router.process.poll()
        pid = self.router_pid()
        return pid > 0 and alive(pid)

    def kill_router(self):
        """As a crash would; returns when."""
        pid = self.router_pid()
        at = time.time()
        os.kill(pid, signal.SIGKILL)
        return at

    # The agent.

    def write(self, settings=()):
        """The files that the agent needs."""
        tier = self.tier
        words = " ".join(f"'{word}'" for word in [*MySQL.router_command(), "-c", self.router.folder / "router.conf", "--user=root"])
        # What `systemctl restart mysqlrouter` is elsewhere. A router that was killed leaves its pid file, and the next one would
        # take it for another router's.
        self.restart.write_text(
            f"#!/bin/sh\n"
            # One that was started and is not ready yet is left alone: it holds the lock as long as it lives.
            f"exec 9>> '{self.folder / 'router.lock'}'\nflock -n 9 || exit 0\n"
            f"rm -f '{self.router.pid_file}'\n"
            f"setsid {words} < /dev/null >> '{self.router.output}' 2>&1 &\n"
        )
        self.restart.chmod(0o755)
        self.config.write_text(tier.configuration(self, settings))

    def start_agent(self):
        with open(self.log, "ab") as log:
            self.agent = popen([command(), "--config", self.config, "run"], self.namespace.handle, stdout=log, stderr=log)

    def kill_agent(self):
        self.agent.kill()
        self.agent.wait(10)

    def stop_agent(self):
        """SIGTERM, as systemd stops it."""
        self.agent.terminate()
        self.agent.wait(10)

    def ask(self, *words, timeout=10):
        """What the command prints on this host."""
        return output(self.namespace.command(command(), "--config", self.config, *words), timeout)

    def holds(self):
        """Which addresses of the VIP are on this host, by the kernel."""
        found = json.loads(self.namespace.run("ip", "-j", "addr", "show", "dev", "eth0"))
        there = {entry["local"] for link in found for entry in link.get("addr_info", ())}
        return [address for address in VIP if address.split("/")[0] in there]


class RouterTier:
    """The whole. `start` brings it up; `close` ends every process that was started for it."""

    def __init__(self, space, secret=None, advert="100ms", failure_timeout="15s"):
        self.space, self.advert, self.failure_timeout = space, advert, failure_timeout
        self.key = Path(space.path) / "tier.key"
        self._secret(self.key, os.urandom(32).hex())
        self.secret = Path(space.path) / "probe.password"
        self._secret(self.secret, PROBE.password + "\n")
        self.switch = Namespace()
        self.switch.run("ip", "link", "add", "bridge", "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
        self.switch.run("ip", "link", "set", "bridge", "up")
        self.databases = [Host(self.switch, f"db{n}", 20 + n) for n in (1, 2, 3)]
        self.client = Host(self.switch, "client", 31)
        self.hosts = [RouterHost(self, f"rt{n}", 10 + n) for n in (1, 2, 3)]
        self.servers = []
        atexit.register(self.close)

    @staticmethod
    def _secret(path, text):
        path.touch(0o600)
        path.write_text(text)

    def host(self, name):
        return next(host for host in self.hosts if host.name == name)

    def routes(self):
        """Static: what a route leads to is written down once, and nobody tells it of a new source."""
        at = {"classic": 3306, "x": 33060}
        made = {}
        for port, (protocol, role) in PORTS.items():
            databases = self.databases[:1] if role == "rw" else self.databases[1:]
            strategy = "first-available" if role == "rw" else "round-robin"
            made[f"p{port}"] = (protocol, [f"{db.ip}:{at[protocol]}" for db in databases], strategy)
        return made

    def configuration(self, host, settings=()):
        """The configuration of the agent on a host."""
        hosts = ", ".join(f'{h.name} = "{h.ip}:{PEER_PORT}"' for h in self.hosts)
        ports = "\n".join(
            f'    {{ type = "router", port = {port}, role = "{role}", protocol = "{protocol}" }},'
            for port, (protocol, role) in PORTS.items()
        )
        nodes = "\n".join(
            f'  {{ address = "{h.ip}:6446", type = "{"primary" if h is self.hosts[0] else "secondary"}", host = "{h.name}", checks = [\n'
            f'{ports}\n    {{ type = "process", pid_file = "{h.router.pid_file}" }},\n  ] }},'
            for h in self.hosts
        )
        addresses = ", ".join(f'"{address}"' for address in VIP)
        more = "\n".join(settings)
        return f"""
cache_file = "{host.folder}/cache"

[tier]
host = "{host.name}"
hosts = {{ {hosts} }}
key_file = "{self.key}"

[probe]
user = "{PROBE.user}"
password_file = "{self.secret}"
rsa_public_key = "from-server"

[pool.routers]
kind = "router"
nodes = [
{nodes}
]

[vip.front]
addresses = [{addresses}]
interface = "eth0"
pool = "routers"
vrid = 51
advert_interval = "{self.advert}"
locations = {{ rt1 = 150, rt2 = 100, rt3 = 50 }}
failure_timeout = "{self.failure_timeout}"
restart = ["{host.restart}"]
restart_interval = "2s"
{more}
"""

    def start(self, settings=()):
        for number, host in enumerate(self.databases, 1):
            made = self.space.create("mysql", server_id=number, port=3306, bind=host.ip, netns=host.namespace, options=[
                "--mysqlx=ON", f"--mysqlx-bind-address={host.ip}", "--mysqlx-port=33060",
            ])
            made.options.append(f"--mysqlx-socket={made.folder / 'x'}")
            self.servers.append(made.start())
        for server in self.servers:
            server.wait_ready(60)
        star(self.servers[0], *self.servers[1:])
        for replica in self.servers[1:]:
            replica.sql("SET GLOBAL super_read_only = ON")
            # It stays so after a restart.
            replica.options.append("--super-read-only=ON")
        for host in self.hosts:
            host.start_router()
        for host in self.hosts:
            host.write(settings)
            host.start_agent()
        return self

    def holders(self):
        """The hosts that have all addresses of the VIP, and those that have some, by name."""
        return [host.name for host in self.hosts if len(host.holds()) == len(VIP)]

    def wait_holder(self, name, timeout=20):
        wait_until(lambda: self.holders() == [name], timeout, lambda: f"{name} holds the address: {self.story()}")

    def settle(self, name="rt1", timeout=40):
        """Wait until one host holds the address and every agent sees every host in order, and bring the address to a host: whose agent
        comes first at the start is a matter of chance."""
        wait_until(lambda: len(self.holders()) == 1, timeout, lambda: f"one host holds the address: {self.story()}")
        wait_until(lambda: all(map(self.sees_all, self.hosts)), timeout, lambda: f"all in order: {self.story()}", every=0.2)
        if self.holders() != [name]:
            self.move(name)

    def sees_all(self, host):
        try:
            seen = json.loads(host.ask("status", "--json"))
        except (RuntimeError, ValueError, subprocess.TimeoutExpired):
            return False
        nodes = [node for pool in seen["pools"] for node in pool["nodes"]]
        return len(nodes) == len(self.hosts) and all(node["status"] == "OK" for node in nodes)

    def move(self, name):
        """An operator moves the address, asked on the host that has it, and leaves it to the rules again. Returns when the command was
        started."""
        [owner] = self.holders()
        at = time.time()
        self.host(owner).ask("vip", "move", name)
        self.wait_holder(name)
        self.host(owner).ask("vip", "clear")
        return at

    def story(self):
        """What the agents said last, for errors."""
        told = []
        for host in self.hosts:
            text = host.log.read_text(errors="replace") if host.log.exists() else ""
            told.append(f"--- {host.name}, holds {host.holds()}, router {'runs' if host.router_runs() else 'is dead'}\n"
                        + "\n".join(text.splitlines()[-25:]))
        return "\n".join(told)

    def check(self):
        """Fail if an agent has ended by itself."""
        for host in self.hosts:
            if host.agent and host.agent.poll() not in (None, -signal.SIGKILL, 0):
                raise ServerError(f"the agent of {host.name} ended with {host.agent.returncode}: {self.story()}")

    def close(self):
        atexit.unregister(self.close)
        for host in self.hosts:
            # First the one that would start a router anew.
            if host.agent and host.agent.poll() is None:
                host.agent.kill()
                host.agent.wait(10)
        for host in self.hosts:
            # What `restart` started is no child of ours, and may not have written its pid file yet.
            for pid in started_with(host.router.folder / "router.conf"):
                os.kill(pid, signal.SIGKILL)
            host.router.discard()
        for server in self.servers:
            server.discard()
        for host in [*self.hosts, *self.databases, self.client]:
            host.namespace.close()
        self.switch.close()
