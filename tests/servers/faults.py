"""Faults for real servers: what the network, the clients and the people around a database do to it."""

import os
import threading
import time
from itertools import count

import pymysql

from .accounts import APP_SCHEMA, PROBE
from .server import ServerError
from .topology import wait_until
from .workspace import NetNs, output

_numbers = count(1)

# --- network ------------------------------------------------------------------------------------------------------------------


class Namespace:
    """A network namespace of the test's own with loopback up; needs root.

    It has no name, only a descriptor that this process holds: nothing is left of it when the process is gone, however it went.
    `path` stands for it in `nsenter --net=` and in `ip link set … netns`.
    """

    def __init__(self):
        made = {}

        def inside():
            try:
                made["handle"] = NetNs.unshare()
            except BaseException as error:
                made["error"] = error

        # The thread moves into the new namespace, hands out a descriptor, and ends.
        thread = threading.Thread(target=inside, name="new namespace")
        thread.start()
        thread.join()
        if "error" in made:
            raise made["error"]
        self.handle = made["handle"]
        self.path = self.handle.path
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *command, timeout=60):
        """Run a command in it to its end and return what it printed."""
        return self.handle.run(*command, timeout=timeout)

    def command(self, *command):
        """The words that run `command` in it, for a caller that starts processes by itself."""
        return ["nsenter", f"--net={self.path}", "--", *map(str, command)]

    def call(self, function, *args, **options):
        """Call a function in a thread that has entered the namespace, and return its value or raise its error. Sockets,
        threads and processes made inside stay there."""
        result = {}

        def inside():
            try:
                self.handle.enter()
                result["value"] = function(*args, **options)
            except BaseException as error:
                result["error"] = error

        thread = threading.Thread(target=inside, name="in a namespace")
        thread.start()
        thread.join()
        if "error" in result:
            raise result["error"]
        return result["value"]

    def close(self):
        """Let go of it; it ends with the last process and socket in it."""
        self.handle.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class PrivateNetwork:
    """Moves the calling thread, usually the main one, into a fresh namespace for the length of a `with` block.

    Everything started inside (threads, servers, a host program) lives there, so faults on its loopback reach nobody else.
    Threads that run already stay where they are.
    """

    def __enter__(self):
        self._home = NetNs.current()
        self._namespace = Namespace()
        self._namespace.handle.enter()
        return self._namespace

    def __exit__(self, *_):
        self._home.enter()
        self._namespace.close()
        self._home.close()


class NetworkFault:
    """Rules on the packets of some ports, from construction to `heal` (or the end of the `with` block).

    The packets are taken where they arrive: to both ends the network has lost them, no call fails by itself.
    """

    def __init__(self, ports, verdict, seconds=None, netns=None, both=True):
        self.ports = [ports] if isinstance(ports, int) else list(ports)
        if not self.ports:
            raise ValueError("a network fault needs a port")
        self._netns = getattr(netns, "handle", netns) or NetNs.current()
        if not self._netns.is_ours():
            raise ServerError("network faults are for namespaces the test made; this one it did not make")
        self._table = f"primacy_fault_{os.getpid()}_{next(_numbers)}"
        # With a time, the kernel itself ends the fault, however busy this process is.
        flags = "flags timeout;" if seconds else ""
        life = f" timeout {int(seconds * 1000)}ms" if seconds else ""
        elements = ", ".join(f"{port}{life}" for port in self.ports)
        rules = f"""
            table inet {self._table} {{
                set ports {{ type inet_service; {flags} elements = {{ {elements} }} }}
                chain arriving {{
                    type filter hook input priority -200; policy accept;
                    tcp dport @ports {verdict}
                    {f"tcp sport @ports {verdict}" if both else ""}
                }}
            }}"""
        self._netns.run("nft", rules)
        self.started = time.monotonic()
        self._ends = self.started + seconds if seconds else None
        self._healed = False

    def wait(self):
        """Wait until a fault with a time is over, then remove its rules; returns how long it was in place at most."""
        if self._ends is None:
            raise ServerError("this fault has no time: end it with heal()")
        time.sleep(max(0.0, self._ends - time.monotonic()))
        self.heal()
        return time.monotonic() - self.started

    def in_place(self):
        """Whether the rules are there, as nft lists them (those of a fault with a time stay, without effect, after it)."""
        return self._table in self._netns.run("nft", "list", "tables")

    def heal(self):
        if not self._healed:
            self._healed = True
            self._netns.run("nft", "delete", "table", "inet", self._table)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.heal()


def cut(ports, seconds=None, netns=None):
    """Drop every packet to and from the ports. With `seconds`, the cut ends by itself: `cut(port, 0.2).wait()`."""
    return NetworkFault(ports, "drop", seconds, netns)


def loss(ports, percent, seconds=None, netns=None):
    """Drop packets to and from the ports at random, `percent` (1 to 100) of them in each direction."""
    if not 1 <= percent <= 100:
        raise ValueError(f"percent must be 1 to 100, not {percent}")
    return NetworkFault(ports, f"numgen random mod 100 < {int(percent)} drop", seconds, netns)


def lost_syns(ports, number=1, netns=None):
    """Drop the first SYNs that arrive at the ports, `number` of them; what is sent again gets through."""
    # A SYN of Linux over IPv4 has 60 bytes: 20 of IP, 20 of TCP, 20 of options.
    quota = f"tcp flags & (syn | ack) == syn quota until {60 * number + 30} bytes drop"
    return NetworkFault(ports, quota, None, netns, both=False)


def reject(ports, seconds=None, netns=None, kind="tcp reset"):
    """Answer packets to the ports instead of delivering them: "tcp reset", or an ICMP "host-unreachable", "port-unreachable",
    "admin-prohibited" … The answer itself comes from such a port, so that direction stays open."""
    verdict = "reject with tcp reset" if kind == "tcp reset" else f"reject with icmpx type {kind}"
    return NetworkFault(ports, verdict, seconds, netns, both=False)


# --- clients and people -------------------------------------------------------------------------------------------------------


class Spike:
    """Idle sessions that fill a server; `close` ends them. `refused` tells whether the server had no room for more."""

    def __init__(self, server, n=None, user="app"):
        self.server = server
        self.refused = False
        self._sessions = []
        while n is None or len(self._sessions) < n:
            try:
                self._sessions.append(server.connect(user))
            except pymysql.err.OperationalError as error:
                if error.args[0] != 1040:
                    self.close()
                    raise
                self.refused = True
                break

    def __len__(self):
        return len(self._sessions)

    def close(self):
        for session in self._sessions:
            session.close()
        self._sessions.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def spike(server, n=None, user="app"):
    """Open `n` idle sessions, or without `n` as many as max_connections allows (error 1040, Too many connections)."""
    return Spike(server, n, user)


def rotate_password(server, new, user=PROBE.user):
    """Give an account another password on this server only: open sessions go on, new ones need the new password."""
    server.sql_unlogged(f"ALTER USER '{user}'@'%' {server.identified.format(new)}")


def sessions(server, user=PROBE.user):
    """The ids of an account's sessions on a server."""
    return [row[0] for row in server.sql("SHOW PROCESSLIST") if row[1] == user]


def kill_probe_sessions(server, user=PROBE.user):
    """KILL every session of an account and return how many there were."""
    killed = 0
    for number in sessions(server, user):
        try:
            server.sql(f"KILL CONNECTION {number}")
            killed += 1
        except pymysql.err.MySQLError as error:
            # 1094: it went by itself in between.
            if error.args[0] != 1094:
                raise
    return killed


_FAULT_TABLE = f"{APP_SCHEMA}.primacy_duplicate"


def stop_sql_thread_by_duplicate_key(standby, source, timeout=20):
    """Let the standby's SQL thread stop on a row that is there already (error 1062), and wait until it has.
    The table is made on the source; `heal_duplicate_key` undoes it."""
    source.sql(f"CREATE TABLE IF NOT EXISTS {_FAULT_TABLE} (id INT PRIMARY KEY)")
    wait_until(lambda: standby.sql(f"SELECT 1 FROM {_FAULT_TABLE} LIMIT 1") is not None, timeout, "the fault's table on the standby")
    key = source.sql(f"SELECT COALESCE(MAX(id), 0) + 1 FROM {_FAULT_TABLE}")[0][0]
    standby.sql_unlogged(f"INSERT INTO {_FAULT_TABLE} VALUES ({key})")
    source.sql(f"INSERT INTO {_FAULT_TABLE} VALUES ({key})")
    wait_until(
        lambda: standby.replication_threads()[1] == "No" and standby.replica_status()[0]["Last_SQL_Errno"] == 1062,
        timeout,
        lambda: f"the SQL thread stopped by a duplicate key: {standby.replication_threads()}",
    )
    return key


def heal_duplicate_key(standby, key, timeout=20):
    """Remove the row in the way and let the SQL thread go on."""
    standby.sql_unlogged(f"DELETE FROM {_FAULT_TABLE} WHERE id = {key}")
    standby.stop_replication()
    standby.start_replication()
    wait_until(
        lambda: standby.replication_threads()[1] == "Yes", timeout, lambda: f"the SQL thread running: {standby.replication_threads()}"
    )
