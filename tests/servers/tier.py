"""Hosts of a router tier on one switch: agents and keepalived in namespaces, a service on each, and a client that asks all the time.

    with Tier(folder, hosts=3) as tier:
        for host in tier.hosts:
            host.agent(advert="100ms")
        tier.until_owner(tier.hosts[0])

All times are nanoseconds of CLOCK_REALTIME, since the kernel stamps captured packets with that.
"""

import ctypes
import os
import selectors
import signal
import socket
import struct
import subprocess
import threading
import time
from collections import namedtuple
from pathlib import Path

from .faults import Namespace
from .topology import wait_until
from .workspace import output, popen

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(os.environ.get("PRIMACY_COMMAND") or ROOT / "target" / "dist" / "primacy")
KEEPALIVED = "/usr/sbin/keepalived"
VIP = "10.0.0.101"
VIP6 = "fd00::101"
LINK_LOCAL = "fe80::65"
PORT = 6446
PEER_PORT = 6470
KEY = bytes(range(32))
SO_TIMESTAMPNS = 35
SO_ATTACH_FILTER = 26

#: A change of the addresses of a host: `here` or not.
Change = namedtuple("Change", "at host here address")
#: A captured packet: an advert (`priority`), or an announcement (`announces` an address).
Packet = namedtuple("Packet", "at host kind data priority announces")
#: An answer that the client got.
Answer = namedtuple("Answer", "number sent at host")


def seconds(ns):
    return ns / 1e9


class Addresses(threading.Thread):
    """Every address that comes to or leaves a host, when the kernel tells it."""

    def __init__(self, hosts):
        super().__init__(name="addresses", daemon=True)
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._ending, self._end = os.pipe()
        self._selector.register(self._ending, selectors.EVENT_READ)
        self.changes = []
        self._now = {}
        for host in hosts:
            self._now[host.name] = set()
            self._selector.register(host.namespace.call(self._open), selectors.EVENT_READ, host.name)
        self.start()

    @staticmethod
    def _open():
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        made.bind((0, 0x10 | 0x100))  # RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
        return made

    def run(self):
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                data, at = key.fileobj.recv(65536), time.time_ns()
                for here, address in _addresses(data):
                    self._take(Change(at, key.data, here, address))

    def _take(self, change):
        with self._lock:
            held = self._now[change.host]
            if change.here != (change.address in held):
                (held.add if change.here else held.discard)(change.address)
                self.changes.append(change)

    def holders(self, address):
        with self._lock:
            return [host for host, held in self._now.items() if address in held]

    def since(self, at, address):
        with self._lock:
            return [change for change in self.changes if change.at >= at and change.address == address]

    def longest_double(self, address, since):
        """Seconds for which more than one host had the address at the longest."""
        with self._lock:
            changes = [change for change in self.changes if change.address == address]
        held, began, longest = set(), None, 0
        for change in changes + [Change(time.time_ns(), "", False, address)]:
            if began is not None and change.at > since:
                longest = max(longest, change.at - max(began, since))
            (held.add if change.here else held.discard)(change.host)
            began = (began or change.at) if len(held) > 1 else None
        return seconds(longest)

    def close(self):
        os.write(self._end, b"x")
        self.join()
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                key.fileobj.close()
        self._selector.close()
        os.close(self._ending)
        os.close(self._end)


def _addresses(data):
    """(whether it is there, the address) of each RTM_NEWADDR and RTM_DELADDR."""
    at = 0
    while at + 24 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if kind in (20, 21):
            family = data[at + 16]
            attribute, local = at + 24, None
            while attribute + 4 <= at + length:
                size, what = struct.unpack_from("=HH", data, attribute)
                if what == 2 or (what == 1 and local is None):
                    local = socket.inet_ntop(family, data[attribute + 4 : attribute + size])
                attribute += max(4, (size + 3) & ~3)
            yield kind == 20, local
        at += max(16, (length + 3) & ~3)


class Capture(threading.Thread):
    """The adverts and announcements that hosts send into the switch, with the kernel's time."""

    def __init__(self, tier):
        super().__init__(name="capture", daemon=True)
        self._ports = {host.port: host.name for host in tier.hosts}
        self._socket = tier.switch.call(self._open)
        self._socket.settimeout(0.2)
        self._ended = False
        self.packets = []
        self.start()

    @staticmethod
    def _open():
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        # EtherType ARP; IPv4 of protocol 112; IPv6 of 112, or a neighbour advertisement: all else stays in the kernel.
        program = [
            (0x28, 0, 0, 12), (0x15, 8, 0, 0x0806), (0x15, 0, 2, 0x0800), (0x30, 0, 0, 23), (0x15, 5, 6, 112),
            (0x15, 0, 5, 0x86DD), (0x30, 0, 0, 20), (0x15, 2, 0, 112), (0x30, 0, 0, 54), (0x15, 0, 1, 136),
            (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0),
        ]
        code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in program))
        made.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HL", len(program), ctypes.addressof(code)))
        made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        return made

    def run(self):
        while not self._ended:
            try:
                data, control, _, (interface, _, kind, *_) = self._socket.recvmsg(2048, 64)
            except TimeoutError:
                continue
            host = self._ports.get(interface)
            if kind == socket.PACKET_OUTGOING or host is None:
                continue
            at = time.time_ns()
            for _, what, value in control:
                if what == SO_TIMESTAMPNS:
                    at = struct.unpack("@qq", value)[0] * 10**9 + struct.unpack("@qq", value)[1]
            packet = _packet(at, host, data)
            if packet:
                self.packets.append(packet)

    def adverts(self, host=None, since=0):
        return [p for p in list(self.packets) if p.kind == "advert" and p.at >= since and host in (None, p.host)]

    def announcements(self, address, host=None, since=0):
        return [p for p in list(self.packets) if p.announces == address and p.at >= since and host in (None, p.host)]

    def close(self):
        self._ended = True
        self.join()
        self._socket.close()


def _packet(at, host, data):
    kind = data[12:14]
    if kind == b"\x08\x06" and len(data) >= 42:
        sender, target = data[28:32], data[38:42]
        return Packet(at, host, "arp", data, None, socket.inet_ntoa(sender) if sender == target else None)
    if kind == b"\x08\x00":
        payload = data[14 + 4 * (data[14] & 15) :]
    else:
        payload = data[54:]
        if data[20] == 58:
            return Packet(at, host, "na", data, None, socket.inet_ntop(socket.AF_INET6, payload[8:24]))
    return Packet(at, host, "advert", data, payload[2] if len(payload) >= 8 else None, None)


class Client:
    """Asks an address every `period` seconds, from its first moment on, and keeps who answered when."""

    def __init__(self, tier, address, period=0.005):
        self.period = period
        self._path = tier.folder / f"answers-{time.monotonic_ns()}"
        with open(self._path, "w") as out:
            command = [tier.asker, "ask", address, PORT, int(period * 1e6)]
            self.process = popen(command, tier.client.handle, stdout=out, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        self._read = open(self._path)
        self._rest = ""
        self.answers = []

    def look(self):
        """All answers until now."""
        text = self._rest + self._read.read()
        *lines, self._rest = text.split("\n")
        for line in lines:
            number, sent, at, host = line.split()
            self.answers.append(Answer(int(number), int(sent), int(at), host))
        return self.answers

    def answered_by(self, host, since):
        """The first answer of that host after a moment."""
        return next((a for a in self.look() if a.at > since and a.host == host.name), None)

    def outage(self, since, until=None):
        """Seconds of the longest time without an answer after `since`, less the time from one request to the next: what a service that
        is never away has is about 0. Neighbours of the borders count."""
        answers = [a.at for a in self.look() if a.at >= since - 1e9 and (until is None or a.at <= until)]
        gaps = [b - a for a, b in zip(answers, answers[1:]) if b >= since]
        return max(0.0, seconds(max(gaps)) - self.period) if gaps else None

    def close(self):
        self.process.kill()
        self.process.wait()
        self._read.close()


class Process:
    """An agent or keepalived: a process, its log, and what is done to it."""

    def __init__(self, host, command, log, **options):
        self.host = host
        self.path = log
        self.started = time.time_ns()
        with open(log, "a") as out:
            self._from = out.tell()
            self.process = popen(command, host.namespace.handle, stdout=out, stderr=out, stdin=subprocess.DEVNULL, **options)

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        with open(self.path, errors="replace") as text:
            text.seek(self._from)
            return text.read()

    def until(self, words, timeout=15):
        """Wait until the log has these words."""
        wait_until(lambda: words in self.log(), timeout, lambda: f"{self.host.name}: {words}; it says:\n{self.log()[-3000:]}")
        return self

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        """To it and all that it started: keepalived's work is done by a child, which is in a group of its own."""
        everybody = [*self._children(self.pid), self.pid]
        at = time.time_ns()
        if number == signal.SIGKILL:
            # Nobody shall tidy up because another one died.
            for pid in everybody[::-1]:
                os.kill(pid, signal.SIGSTOP)
        for pid in everybody:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        return at

    @classmethod
    def _children(cls, pid):
        found = []
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += [*cls._children(child), int(child)]
        return found

    def pause(self):
        return self.signal(signal.SIGSTOP)

    def resume(self):
        return self.signal(signal.SIGCONT)

    def kill(self):
        at = time.time_ns()
        if self.running():
            self.signal(signal.SIGKILL)
            self.process.wait(10)
        return at

    def stop(self, timeout=10):
        """End it as an operator does."""
        at = time.time_ns()
        os.kill(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout)
        return at

    def cpu(self):
        """Seconds of a core that it took."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


class Host:
    """A host of the tier: its namespace, its line to the switch, its service and its agent."""

    def __init__(self, tier, number):
        self.tier = tier
        self.number = number
        self.name = f"h{number}"
        self.address = f"10.0.1.{number}"
        self.address6 = f"fd00::{number}"
        self.port = f"port{number}"
        self.namespace = Namespace()
        tier.wire(self.namespace, self.port, self.address, self.address6)
        self.service = None
        self.process = None

    @property
    def pid_file(self):
        return self.tier.folder / f"{self.name}.pid"

    def ip(self, *words):
        return self.namespace.run("ip", *words)

    def mac(self):
        return self.ip("-br", "link", "show", "eth0").split()[2]

    def holds(self, address=VIP):
        return self.name in self.tier.addresses.holders(address)

    # The line.

    def pull(self):
        at = time.time_ns()
        self.tier.switch.run("ip", "link", "set", self.port, "down")
        return at

    def plug(self):
        self.tier.switch.run("ip", "link", "set", self.port, "up")

    # The service.

    def serve(self):
        if self.service is None or self.service.poll() is not None:
            self.pid_file.unlink(missing_ok=True)
            command = [self.tier.asker, "serve", PORT, self.name, self.pid_file]
            self.service = popen(command, self.namespace.handle, stdin=subprocess.DEVNULL)
            wait_until(lambda: self.pid_file.exists() and self.pid_file.read_text().strip(), 10, f"the service of {self.name}")
        return self

    def kill_service(self):
        at = time.time_ns()
        self.service.kill()
        self.service.wait()
        return at

    # Its agents.

    def agent_text(self, vips=None, tier_keys="", pool=False, peers=True, **keys):
        """The configuration of an agent: `vips` are tables by name, or one named `front` is made of `keys`."""
        vips = vips if vips is not None else {"front": keys}
        lines = [f'cache_file = "{self.tier.folder}/{self.name}.cache"', "[tier]", f'host = "{self.name}"']
        if peers:
            hosts = ", ".join(f'{host.name} = "{host.address}:{PEER_PORT}"' for host in self.tier.hosts)
            lines += [f"hosts = {{ {hosts} }}", f'key_file = "{self.tier.key}"']
        lines.append(tier_keys)
        if pool:
            nodes = ",\n".join(
                f'  {{ address = "{host.address}:{PORT}", type = "{"primary" if host.number == 1 else "secondary"}", host = "{host.name}", '
                f'checks = [ {{ type = "tcp", port = {PORT} }}, {{ type = "process", pid_file = "{host.pid_file}" }} ] }}'
                for host in self.tier.hosts
            )
            lines += ["[pool.routers]", 'kind = "router"', f"nodes = [\n{nodes}\n]"]
        for name, given in vips.items():
            table = {"addresses": [f"{VIP}/16"], "interface": "eth0", "vrid": 51, **given}
            if table.get("ownership") == "lease":
                table.pop("vrid")
            if pool:
                table["pool"] = "routers"
            lines += [f"[vip.{name}]", *(f"{key} = {toml(value)}" for key, value in table.items())]
        return "\n".join(lines) + "\n"

    def agent(self, wrap=(), ready=True, **keys):
        """Start the agent; its log is `process.log()`."""
        path = self.tier.folder / f"{self.name}.toml"
        path.write_text(self.agent_text(**keys))
        self.process = Process(self, [*wrap, COMMAND, "run", "-c", path], self.tier.folder / f"{self.name}.log")
        if ready:
            self.process.until(", commands at ")
        return self.process

    def command(self, *words):
        """What `primacy WORDS` prints on this host, with its agent's configuration."""
        return self.namespace.run(COMMAND, *words, "-c", self.tier.folder / f"{self.name}.toml")

    def again(self, wrap=()):
        """Start the agent anew with the same configuration."""
        path = self.tier.folder / f"{self.name}.toml"
        self.process = Process(self, [*wrap, COMMAND, "run", "-c", path], self.tier.folder / f"{self.name}.log")
        return self.process.until(", commands at ")

    def keepalived(self, ready=True, **keys):
        path = self.tier.folder / f"{self.name}.keepalived"
        path.write_text(self.keepalived_text(**keys))
        pid = self.tier.folder / f"{self.name}.keepalived"
        for left in (f"{pid}.pid", f"{pid}.vrrp.pid"):
            # Of one that was killed, and whose number nobody may have collected yet.
            Path(left).unlink(missing_ok=True)
        command = [KEEPALIVED, "-n", "-l", "-D", "-P", "-f", path, "-p", f"{pid}.pid", "-r", f"{pid}.vrrp.pid"]
        self.process = Process(self, command, self.tier.folder / f"{self.name}.keepalived.log")
        if ready:
            self.process.until("Entering BACKUP STATE")
        return self.process

    def keepalived_text(self, priority=100, advert=1, addresses=(f"{VIP}/16",), preempt=True, version=3, unicast=False,
                        password=None, script=False, vrid=51):
        track = ""
        lines = [f"global_defs {{\n router_id {self.name}\n vrrp_version {version}\n script_user root\n}}"]
        if script:
            lines.append(f'vrrp_script service {{\n script "/usr/bin/pgrep -F {self.pid_file}"\n interval 1\n fall 1\n rise 1\n}}')
            track = " track_script {\n  service\n }\n"
        for family in (4, 6):
            own = [a for a in addresses if (":" in a) == (family == 6)]
            if not own:
                continue
            peers = ""
            if unicast:
                others = [h for h in self.tier.hosts if h is not self]
                peers = " unicast_peer {\n" + "".join(f"  {h.address if family == 4 else h.link_local()}\n" for h in others) + " }\n"
                # Over IPv6 keepalived sends to peers at the hop limit of the system, 64, unless it is told; RFC 9568 wants 255.
                peers = f" unicast_ttl 255\n unicast_src_ip {self.address if family == 4 else self.link_local()}\n" + peers
            auth = f" authentication {{\n  auth_type PASS\n  auth_pass {password}\n }}\n" if password else ""
            lines.append(
                f"vrrp_instance front{family} {{\n interface eth0\n state BACKUP\n virtual_router_id {vrid}\n priority {priority}\n"
                f" advert_int {advert}\n{'' if preempt else ' nopreempt' + chr(10)}{peers}{auth}{track}"
                " virtual_ipaddress {\n" + "".join(f"  {a} dev eth0\n" for a in own) + " }\n}"
            )
        return "\n".join(lines) + "\n"

    def link_local(self):
        for word in self.ip("-6", "-br", "addr", "show", "eth0").split():
            address = word.partition("/")[0]
            if address.startswith("fe80") and address != LINK_LOCAL:
                return address
        raise LookupError(f"{self.name} has no link-local address")

    def mend(self):
        """No agent, no VIP, line and service in order."""
        try:
            self.ip("link", "show", "eth0")
        except RuntimeError:
            self.tier.switch.run("sh", "-c", f"ip link del {self.port} 2>/dev/null || true")
            self.tier.wire(self.namespace, self.port, self.address, self.address6)
        self.ip("link", "set", "eth0", "up")
        self.plug()
        if self.process:
            if self.process.running():
                self.process.resume()
            self.process.kill()
        for line in self.ip("-o", "addr", "show").splitlines():
            words = line.split()
            address = words[3]
            if words[1] == "eth0" and address.partition("/")[0] in self.tier.floating:
                self.ip("addr", "del", address, "dev", "eth0")
        for left in self.tier.folder.glob(f"{self.name}.cache*"):
            left.unlink(missing_ok=True)

    def close(self):
        for process in (self.process and self.process.process, self.service):
            if process and process.poll() is None:
                os.killpg(process.pid, signal.SIGCONT)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.namespace.close()


def toml(value):
    """A value as TOML spells it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(each) for each in value) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


class Tier:
    """A switch, `hosts` hosts with a service each, and a client."""

    def __init__(self, folder, hosts=3):
        self.folder = Path(folder)
        self.key = self.folder / "key"
        self.key.write_bytes(KEY)
        self.key.chmod(0o600)
        self.asker = self.folder / "asker"
        warnings = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O2"]
        output([os.environ.get("CC", "cc"), *warnings, Path(__file__).with_name("asker.c"), "-o", self.asker])
        #: Addresses that `mend` takes off hosts.
        self.floating = {VIP, VIP6, LINK_LOCAL}
        self.switch = Namespace()
        self.switch.run("ip", "link", "add", "bridge", "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
        self.switch.run("ip", "link", "set", "bridge", "up")
        self.hosts = []
        self.client = Namespace()
        self.wire(self.client, "client", "10.0.2.1", "fd00::2:1")
        for number in range(1, hosts + 1):
            self.hosts.append(Host(self, number))
        self._until_linked()
        self.addresses = Addresses(self.hosts)
        self.capture = Capture(self)
        for host in self.hosts:
            host.serve()

    def wire(self, namespace, port, address, address6):
        for scope in ("default", "all"):
            namespace.run("sysctl", "-qw", f"net.ipv6.conf.{scope}.accept_dad=0")
        self.switch.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace.path)
        self.switch.run("ip", "link", "set", port, "master", "bridge", "up")
        namespace.run("ip", "link", "set", "eth0", "up")
        namespace.run("ip", "addr", "add", f"{address}/16", "dev", "eth0")
        namespace.run("ip", "addr", "add", f"{address6}/64", "dev", "eth0", "nodad")

    def _until_linked(self):
        for host in self.hosts:
            wait_until(lambda host=host: "fe80" in host.ip("-6", "addr", "show", "eth0"), 10, f"{host.name} has a link-local address")

    def owner(self, address=VIP):
        """The one host that has the address; None if none or several have it."""
        holders = self.addresses.holders(address)
        return next((h for h in self.hosts if holders == [h.name]), None)

    def until_owner(self, host, address=VIP, timeout=20):
        """Wait until this host alone has the address."""
        wait_until(lambda: self.owner(address) is host, timeout, lambda: self.story(f"{address} is on {host.name} alone"), every=0.005)
        return time.time_ns()

    def until_owned(self, address=VIP, timeout=20):
        """Wait until one host has the address; that host."""
        return wait_until(lambda: self.owner(address), timeout, lambda: self.story(f"{address} is on one host"), every=0.005)

    def story(self, what=""):
        """Who has what, and the ends of the logs, for a test that failed."""
        parts = [what, f"now: {dict((h.name, sorted(self.addresses._now[h.name])) for h in self.hosts)}"]
        parts += [f"{seconds(c.at):.3f} {c.host} {'+' if c.here else '-'} {c.address}" for c in self.addresses.changes[-12:]]
        parts += [f"--- {h.name}\n{h.process.log()[-2500:]}" for h in self.hosts if h.process]
        return "\n".join(parts)

    def mend(self):
        for host in self.hosts:
            host.mend()
        for host in self.hosts:
            host.serve()
        self._until_linked()
        return self

    def ask(self, address=VIP, period=0.005):
        return Client(self, address, period)

    def close(self):
        self.addresses.close()
        self.capture.close()
        for host in self.hosts:
            host.close()
        self.client.close()
        self.switch.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Etcd:
    """A real etcd beside the client, where every host reaches it."""

    endpoint = "http://10.0.2.1:2379"

    def __init__(self, tier):
        self.tier, self.process, self.folder = tier, None, tier.folder / f"etcd-{time.monotonic_ns()}"

    def start(self):
        url = "http://10.0.2.1"
        words = [
            "etcd", "--data-dir", self.folder, "--listen-client-urls", f"{url}:2379", "--advertise-client-urls", f"{url}:2379",
            "--listen-peer-urls", f"{url}:2380", "--initial-advertise-peer-urls", f"{url}:2380", "--initial-cluster", f"default={url}:2380",
        ]
        with open(self.tier.folder / "etcd.log", "a") as log:
            self.process = popen(words, self.tier.client.handle, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_until(self._answers, 30, "etcd answers")
        return self

    def _answers(self):
        self.tier.client.call(socket.create_connection, ("10.0.2.1", 2379), 1).close()
        return True

    def close(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGCONT)
            self.process.kill()
            self.process.wait()
