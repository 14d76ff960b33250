"""Rings of real servers that outlive a test: mended before each use, made anew where mending fails."""

import time
from pathlib import Path

import pymysql

from servers import PROBE, REPLICATION, ring, wait_converged, wait_replicating, wait_until
from servers.faults import rotate_password
from servers.server import ServerError


class Ring:
    """Servers that replicate in a circle, the first from the last. `a` is the first, `b` the second.

    `options` are server options; `places` says where each lives, as further arguments of `Workspace.create`.
    """

    def __init__(self, space, flavour, number=2, options=(), places=()):
        self.space = space
        self.flavour = flavour
        self.number = number
        self.options = list(options)
        self.places = list(places) or [{}] * number
        self.nodes = []

    @property
    def a(self):
        return self.nodes[0]

    @property
    def b(self):
        return self.nodes[1]

    def mend(self):
        """Make every node run, replicate, agree with the others and take the accounts' first passwords."""
        if self.nodes:
            try:
                for node in self.nodes:
                    mend(node)
                for node in self.nodes:
                    node.stop_replication()
                    node.start_replication()
                wait_replicating(self.nodes, 5)
                wait_converged(self.nodes, 10)
                wait_until(lambda: all(lag(node) == 0 for node in self.nodes), 20, "no lag that is left over")
                return self
            except (ServerError, OSError, pymysql.err.MySQLError) as error:
                print(f"the ring is made anew: {error}")
                for node in self.nodes:
                    node.discard()
        self.nodes = [
            self.space.create(self.flavour, **{**place, "options": [*self.options, *place.get("options", ())]}).start()
            for place in self.places
        ]
        for node in self.nodes:
            node.wait_ready()
        ring(*self.nodes)
        wait_converged(self.nodes)
        for node in self.nodes:
            warm(node)
        return self


def is_stopped(server):
    stat = Path(f"/proc/{server.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def lag(server):
    """How many seconds the server says it is behind. After a start of replication that may be the age of the last transaction."""
    rows = server.replica_status()
    return max((row.get("Seconds_Behind_Source", row.get("Seconds_Behind_Master")) or 0 for row in rows), default=0)


def mend(server):
    """Undo what a test did to one server."""
    if server.running() and is_stopped(server):
        server.sigcont()
    if not server.running():
        server.start()
    server.wait_ready()
    if server.flavour == "mysql":
        server.sql("SET GLOBAL offline_mode = 0")
    set_read_only(server, False)
    server.sql("SET GLOBAL max_connections = 60")
    for account in (PROBE, REPLICATION):
        rotate_password(server, account.password, account.user)
    server.sql_unlogged(*unlock(server))
    warm(server)


def unlock(server):
    return [f"GRANT {server.probe_privileges} ON *.* TO '{PROBE.user}'@'%'", f"ALTER USER '{PROBE.user}'@'%' ACCOUNT UNLOCK"]


def warm(server):
    """Let caching_sha2_password know the probe's account: a login over TCP then needs no encryption."""
    server.sql("SELECT 1", user=PROBE.user)


def set_read_only(server, on):
    if not on and server.flavour == "mysql":
        server.sql("SET GLOBAL super_read_only = 0")
    server.sql(f"SET GLOBAL read_only = {int(on)}")


def kill_replica_sessions(server):
    """Cut the sessions in which others read this server's binary log."""
    killed = 0
    for row in server.sql("SHOW PROCESSLIST"):
        if row[1] == REPLICATION.user:
            try:
                server.sql(f"KILL CONNECTION {row[0]}")
                killed += 1
            except pymysql.err.MySQLError:
                pass
    return killed


def bar_replicas(server):
    """Let nobody replicate from this server: the account gets another password and its sessions end. The replicas' IO threads
    are then connecting for as long as the server is there to reject them."""
    rotate_password(server, "not-for-replicas", REPLICATION.user)
    wait_until(lambda: kill_replica_sessions(server) == 0, 5, f"no replica reads from {server!r}")


def make_table(ring):
    """A table on every node of the ring, empty or not; returns its name."""
    ring.a.sql("CREATE TABLE IF NOT EXISTS app.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)")
    wait_converged(ring.nodes)
    return "app.t"


def insert(server, rows=1):
    for _ in range(rows):
        server.sql("INSERT INTO app.t (v) VALUES (1)")


def pause(seconds):
    """Let time pass in which something must NOT happen; waiting for something is `Watch.until`."""
    time.sleep(seconds)
