"""The fault matrix: what can befall a server after the probe has connected, and what everybody is told meanwhile.

Each fault has its cause, leaves the role where it is unless it is a failure, is told alike by the library, its JSON, and the
command (`up`, `is-active`, `status --json`), and heals without a trace. What the rows say is docs/serving.md.
"""

import json
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import primacy
import pytest

from servers import PROBE, wait_converged, wait_until
from servers.faults import (
    PrivateNetwork,
    heal_duplicate_key,
    kill_probe_sessions,
    spike,
    stop_sql_thread_by_duplicate_key,
)
from servers.lan import Lan

from .certificates import Shown
from .host import own_files
from .rings import Ring, insert, make_table, mend, pause, unlock, warm
from .watch import Watch, configuration

COMMAND = Path(os.environ.get("PRIMACY_COMMAND") or Path(__file__).resolve().parents[2] / "target" / "dist" / "primacy")
# Quick enough that a fault shows at the next login, slow enough for a loaded machine.
PROBE_TIMES = {"interval": "100ms", "login_interval": "300ms"}
SAYS = {  # state, status: what `up` and `is-active` say, and selection for clients that write
    ("ACTIVE", True): ("UP", "OK", "node"),
    ("ACTIVE", False): ("DOWN", "NO", "error"),
    ("STANDBY", True): ("UP", "NO", None),
    ("STANDBY", False): ("DOWN", "NO", None),
}


class Site:
    """Two servers that show certificates, an instance that verifies them, and the command beside it."""

    def __init__(self, space, flavour, secret):
        folder = space.path / f"matrix-{flavour}"
        self.shown = Shown(folder, 2)
        self.ring = Ring(space, flavour, 2, places=[{"options": self.shown.options(place)} for place in range(2)]).mend()
        self.flavour = flavour
        self.a, self.b = self.ring.nodes
        probe = {**PROBE_TIMES, "tls": "verify-ca", "tls_ca": self.shown.authority.certificate}
        self.text = configuration(
            self.ring.nodes, probe, {"max_lag": "1s"}, {"cache_file": folder / "cache"}, password_file=secret
        )
        self.file = folder / "primacy.toml"
        self.file.write_text(self.text)
        self.watch = Watch(self.text).settled(self.a)

    def command(self, *words):
        done = subprocess.run([COMMAND, "-c", self.file, *words], capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout.strip(), done.stderr.strip()

    def told(self, server):
        """What everybody says of a node, taken again if it changes in between: none may say anything else."""
        for _ in range(20):
            before = self.watch.node(server)
            up, active = self.command("up", server.address), self.command("is-active", server.address)
            status = json.loads(self.command("status", "--json")[1])["pools"][0]
            snapshot = self.watch.instance.snapshot()
            try:
                address = self.watch.pool.address()
            except primacy.PrimacyError as error:
                address = error
            after = self.watch.node(server)
            if (before.state, before.status, before.cause) == (after.state, after.status, after.cause):
                break
        else:
            raise AssertionError("it does not rest:\n" + self.watch.story())
        by_json = next(node for node in snapshot.as_dict()["pools"][0]["nodes"] if node["name"] == server.address)
        by_command = next(node for node in status["nodes"] if node["name"] == server.address)
        for said in (by_json, by_command):
            assert (said["state"], said["status"], said["cause"]) == (after.state, after.status, after.cause), said
        words = SAYS.get((str(after.state), after.status != "FAIL"), ("DOWN", "NO", None))
        assert (up[1], up[0]) == (words[0], int(words[0] != "UP")), (up, after)
        assert (active[1], active[0]) == (words[1], int(words[1] != "OK")), (active, after)
        assert (by_command["up"], by_command["serves"]) == (words[0] == "UP", words[1] == "OK"), by_command
        if words[2] == "node":
            assert address == server.address
        elif words[2] == "error":
            # Who, since when, why: in the error and in both commands' complaints.
            assert isinstance(address, primacy.PrimacyError) and address.code == primacy.Code.REFUSED
            for text in (str(address), up[2], active[2]):
                assert server.address in text and "status FAIL since 20" in text and after.message[:40] in text, text
        else:
            assert address != server.address
        return after

    def good(self):
        """All is as it was before the fault, and nothing has moved."""
        w = self.watch
        w.until(lambda: all(n.status == "OK" and n.cause == "ok" for n in w.pool.nodes()), 15, "healed")
        assert w.active() == self.a.address
        assert (self.told(self.a).state, self.told(self.b).state) == ("ACTIVE", "STANDBY")

    def no_switch(self):
        assert not self.watch.switches() and self.watch.active() == self.a.address, self.watch.story()
        assert not self.watch.found("state", self.a), self.watch.story()

    def refuses(self, server, cause, number=None):
        """A fault that leaves the server alive: its cause, its end at OK_CRITICAL, and what is told."""
        w = self.watch
        w.until(lambda: w.node(server).cause == cause, 8, cause)
        w.until(lambda: w.node(server).status == "OK_CRITICAL", 8, "OK_CRITICAL")
        w.holds(lambda: w.node(server).status == "OK_CRITICAL" and w.node(server).cause == cause, 0.5, "it stops there")
        node = self.told(server)
        assert number is None or node.error_number in number, node
        self.no_switch()
        return node


@pytest.fixture(scope="module")
def sites(space, secret):
    made = {}

    def get(flavour):
        if flavour not in made:
            made[flavour] = Site(space, flavour, secret)
        return made[flavour]

    yield get
    for site in made.values():
        site.watch.close()
        for node in site.ring.nodes:
            node.discard()


@pytest.fixture
def site(sites, flavour):
    site = sites(flavour)
    site.good()
    site.watch.forget()
    return site


def test_all_is_well(site):
    a, b = site.told(site.a), site.told(site.b)
    assert (a.state, a.status, b.state, b.status) == ("ACTIVE", "OK", "STANDBY", "OK")


# --- refusing: alive, nobody is failed ----------------------------------------------------------------------------------------


def test_certificate_expired(site):
    site.shown.show_expired(site.a, 0)
    node = site.refuses(site.a, "tls_error")
    assert "expired" in node.message, node.message
    site.shown.show(site.a, 0)
    site.good()
    site.no_switch()


def test_tls_switched_off(site):
    """MySQL can do so while it runs; MariaDB only by a restart, which is another fault: there it is the standby's."""
    if site.flavour == "mysql":
        server, before = site.a, site.a.value("@@tls_version")
        server.sql("SET GLOBAL tls_version = ''")
        server.sql("ALTER INSTANCE RELOAD TLS NO ROLLBACK ON ERROR")
    else:
        server = site.b
        with_tls, server.options = server.options, ["--skip-ssl"]
        server.restart()
    if server is site.a:
        node = site.refuses(server, "tls_error")
    else:
        site.watch.until(lambda: site.watch.node(server).cause == "tls_error", 8, "tls_error")
        node = site.told(server)
    assert "does not offer TLS" in node.message, node.message
    if server is site.a:
        server.sql(f"SET GLOBAL tls_version = '{before}'")
        site.shown.show(server, 0)
    else:
        server.options = with_tls
        server.restart()
        wait_converged(site.ring.nodes)
    site.good()
    site.no_switch()


def test_account_locked(site):
    site.a.sql_unlogged(f"ALTER USER '{PROBE.user}'@'%' ACCOUNT LOCK")
    kill_probe_sessions(site.a)
    node = site.refuses(site.a, "auth_denied", (3118, 4151))
    assert "lock" in node.message.lower()
    site.a.sql_unlogged(*unlock(site.a))
    warm(site.a)
    site.good()
    site.no_switch()


def test_account_of_the_standby_locked(site):
    """A STANDBY that lets nobody look at it stays one, at OK_CRITICAL; but it may not take over."""
    site.b.sql_unlogged(f"ALTER USER '{PROBE.user}'@'%' ACCOUNT LOCK")
    kill_probe_sessions(site.b)
    assert site.refuses(site.b, "auth_denied", (3118, 4151)).state == "STANDBY"
    site.b.sql_unlogged(*unlock(site.b))
    warm(site.b)
    site.good()


def test_no_connection_free(site):
    with site.a.connect() as root, spike(site.a, 14), root.cursor() as cursor:
        cursor.execute("SET GLOBAL max_connections = 10")
        cursor.execute("SHOW PROCESSLIST")
        for number in [row[0] for row in cursor.fetchall() if row[1] == PROBE.user]:
            try:
                cursor.execute(f"KILL CONNECTION {number}")
            except Exception as error:
                assert error.args[0] == 1094
        site.refuses(site.a, "too_many_connections", (1040, 1203))
        cursor.execute("SET GLOBAL max_connections = 60")
    site.good()
    site.no_switch()


def test_host_blocked(space, secret, flavour, tmp_path):
    """Handshakes that somebody on the observer's host breaks off block the whole host (1129). Loopback is never blocked, so this
    is between two hosts; and only who resolves its clients' names counts their errors."""
    with PrivateNetwork() as observer:
        lan = Lan(observer, 1)
        server = space.create(flavour, **{**lan.hosts[0].place, "options": ["--max-connect-errors=3"]})
        command = [word for word in server._command() if word != "--skip-name-resolve"]
        server._command = lambda: command
        hosts, switch = tmp_path / "hosts", tmp_path / "nsswitch.conf"
        hosts.write_text(f"127.0.0.1 localhost\n{lan.observer.address} observer.example\n")
        switch.write_text("hosts: files\n")
        server.prefix = own_files({hosts: "/etc/hosts", switch: "/etc/nsswitch.conf"})
        server.start().wait_ready()
        warm(server)
        w = Watch(configuration([server], {"interval": "100ms", "login_interval": "1s", "timeout": "1s"}, password_file=secret))
        try:
            w.settled(server)

            def blocked():
                # A greeting, and no answer to it; a login in between starts the count anew.
                for _ in range(8):
                    with socket.create_connection((server.host, server.port), 2) as peer:
                        peer.recv(128)
                kill_probe_sessions(server)
                pause(0.3)
                return w.node(server).cause == "host_blocked"

            w.until(blocked, 15, "host_blocked")
            w.until(lambda: w.node(server).status == "OK_CRITICAL", 5, "OK_CRITICAL")
            node = w.node(server)
            assert node.error_number == 1129 and "host_cache" in node.message, node.message
            w.holds(lambda: w.node(server).status == "OK_CRITICAL" and w.active() == server.address, 1, "alive")
            assert w.pool.address() == server.address and not w.found("last_node")
            server.sql("TRUNCATE performance_schema.host_cache" if flavour == "mysql" else "FLUSH HOSTS")
            w.until(lambda: w.node(server).status == "OK" and w.node(server).cause == "ok", 10, "healed")
            # The prober's own logins block nobody, however often they come.
            w.holds(lambda: w.node(server).cause == "ok", 1.5, "in good order")
            assert not w.switches()
        finally:
            w.close()
            server.discard()
            lan.close()


# --- writes that hang while reads answer --------------------------------------------------------------------------------------
#
# The probe only reads. On the ACTIVE node it sees nothing of these, and says so: the cause is ok. docs/faults.md tells what does
# show, and where.


class Writer:
    """A session that writes one row, and whether that has come through."""

    def __init__(self, server):
        self.connection = server.connect(timeout=60)
        self.number = self.connection.thread_id()
        self.server = server
        self.done = None
        self.thread = threading.Thread(target=self._write)
        self.thread.start()

    def _write(self):
        try:
            self.connection.cursor().execute("INSERT INTO app.t (v) VALUES (7)")
            self.done = "written"
        except Exception as error:
            self.done = str(error)

    def hangs(self):
        """Whether the statement is under way for a while and does not end."""
        self.thread.join(0.7)
        return self.thread.is_alive()

    def end(self, timeout=20):
        self.thread.join(timeout)
        assert not self.thread.is_alive(), "the write still hangs"
        self.connection.close()
        return self.done


def test_flush_tables_with_read_lock(site):
    make_table(site.ring)
    lock = site.a.connect()
    lock.cursor().execute("FLUSH TABLES WITH READ LOCK")
    writer = Writer(site.a)
    assert writer.hangs()
    # Fresh logins and the kept connection alike.
    site.watch.holds(lambda: site.watch.node(site.a).cause == "ok", 1.5, "reads answer")
    node = site.told(site.a)
    assert (node.state, node.status) == ("ACTIVE", "OK")
    lock.cursor().execute("UNLOCK TABLES")
    lock.close()
    assert writer.end() == "written"
    wait_converged(site.ring.nodes)
    site.good()
    site.no_switch()


def test_flush_tables_with_read_lock_on_the_standby(site):
    """There it shows, as soon as the ACTIVE writes: as lag."""
    make_table(site.ring)
    lock = site.b.connect()
    lock.cursor().execute("FLUSH TABLES WITH READ LOCK")
    try:
        insert(site.a)
        site.watch.until(lambda: site.watch.node(site.b).cause == "replication_lag", 8, "lag")
        node = site.told(site.b)
        # Row 505: `up`, for it has clients that may stay; selection and agent-check send it no new ones.
        assert node.state == "STANDBY" and node.status in ("OK", "OK_INFO", "OK_WARN")
    finally:
        lock.cursor().execute("UNLOCK TABLES")
        lock.close()
    wait_converged(site.ring.nodes)
    site.good()
    site.no_switch()


SEMI_SYNC = {
    "mariadb": (
        ["SET GLOBAL rpl_semi_sync_master_timeout = 3600000", "SET GLOBAL rpl_semi_sync_master_enabled = 1"],
        ["SET GLOBAL rpl_semi_sync_slave_enabled = 1"],
        ["SET GLOBAL rpl_semi_sync_master_enabled = 0"],
        ["SET GLOBAL rpl_semi_sync_slave_enabled = 0"],
        "Rpl_semi_sync_master_clients",
    ),
    "mysql": (
        [
            "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'",
            "SET GLOBAL rpl_semi_sync_source_timeout = 3600000",
            "SET GLOBAL rpl_semi_sync_source_enabled = 1",
        ],
        ["INSTALL PLUGIN rpl_semi_sync_replica SONAME 'semisync_replica.so'", "SET GLOBAL rpl_semi_sync_replica_enabled = 1"],
        ["SET GLOBAL rpl_semi_sync_source_enabled = 0"],
        ["SET GLOBAL rpl_semi_sync_replica_enabled = 0"],
        "Rpl_semi_sync_source_clients",
    ),
}


def test_a_semi_sync_source_that_waits_for_an_acknowledgement(site):
    """Its replica is stopped, its time-out is an hour: commits hang. What is seen is the replica that stands still."""
    source_on, replica_on, source_off, replica_off, clients = SEMI_SYNC[site.flavour]
    make_table(site.ring)
    site.b.sql_unlogged(*replica_on)
    site.a.sql_unlogged(*source_on)
    try:
        site.b.stop_replication()
        site.b.start_replication()
        wait_until(
            lambda: int(site.a.sql(f"SHOW GLOBAL STATUS LIKE '{clients}'")[0][1]) == 1, 10, "a semi-sync replica is connected"
        )
        site.b.stop_replication()
        writer = Writer(site.a)
        assert writer.hangs(), writer.done
        w = site.watch
        w.until(lambda: w.node(site.b).state == "FAILED_ONLINE", 8, "the replica stands still")
        w.holds(lambda: w.node(site.a).cause == "ok", 1.5, "reads answer")
        a, b = site.told(site.a), site.told(site.b)
        assert (a.state, a.status, b.cause) == ("ACTIVE", "OK", "replication_stopped")
        site.b.start_replication()
        assert writer.end() == "written"
    finally:
        site.a.sql_unlogged(*source_off)
        site.b.stop_replication()
        site.b.sql_unlogged(*replica_off)
        site.b.start_replication()
    wait_converged(site.ring.nodes)
    site.good()
    site.no_switch()


# --- replication --------------------------------------------------------------------------------------------------------------


def test_sql_thread_stopped(site):
    key = stop_sql_thread_by_duplicate_key(site.b, site.a)
    site.watch.event("state", site.b, timeout=8, new_state="FAILED_ONLINE")
    assert site.told(site.b).cause == "replication_stopped" and site.told(site.a).status == "OK"
    heal_duplicate_key(site.b, key)
    site.good()
    site.no_switch()


# --- failures -----------------------------------------------------------------------------------------------------------------


def back(site):
    """The old ACTIVE is taken back and gets its role again."""
    w = site.watch
    mend(site.a)
    for node in site.ring.nodes:
        node.stop_replication()
        node.start_replication()
    wait_converged(site.ring.nodes)
    w.until(lambda: w.node(site.a).cause == "ok", 15, "it answers")
    assert site.told(site.a).waits_for_recover
    w.pool.recover(site.a.address)
    w.until(lambda: w.active() == site.a.address, 20, "it has its role again")
    site.good()


@pytest.mark.parametrize("flavour", ["mysql"])
def test_offline_mode(site):
    """MySQL turns every ordinary account away (3032): it serves nobody, so it counts as gone and is failed."""
    site.a.sql("SET GLOBAL offline_mode = 1")
    site.watch.event("switch", site.b, timeout=5)
    node = site.told(site.a)
    assert (node.cause, node.error_number, node.state) == ("offline_mode", 3032, "FAILED_OFFLINE"), node
    assert site.told(site.b).state == "ACTIVE"
    site.a.sql("SET GLOBAL offline_mode = 0")
    back(site)


def test_the_last_node(site):
    """Both are killed: the second has the role, does not answer, and everybody is told who, since when and why."""
    w = site.watch
    site.b.kill9()
    w.event("state", site.b, timeout=8, new_state="FAILED_OFFLINE")
    site.told(site.b)
    before = time.time()
    site.a.kill9()
    w.event("last_node", site.a, timeout=8)
    w.until(lambda: w.node(site.a).status == "FAIL", 5, "FAIL")
    node = site.told(site.a)
    assert node.state == "ACTIVE" and abs(node.changed_ms / 1000 - before) < 5, "since it fell, not since it is ACTIVE"
    site.no_switch()
    for server in site.ring.nodes:
        server.start().wait_ready()
        warm(server)
    wait_converged(site.ring.nodes)
    site.good()


def test_disk_full(space, secret, flavour, tmp_path):
    """The disk that holds the data is full: a small file system in a mount namespace of the server's own. What was connected
    reads on; what a write meets is the server's own choice (MySQL and MariaDB wait or fail), and reads tell nothing of it."""
    server = space.create(flavour)
    held = server.data.with_name("held")
    server.data.rename(held)
    server.data.mkdir()
    size = sum(file.stat().st_size for file in held.rglob("*") if file.is_file()) // 2**20 + 40
    # Everything that is there gets its blocks: what is to fail is what is new.
    script = f'mount -t tmpfs -o size={size}m none {server.data} && cp -a --sparse=never {held}/. {server.data} && exec "$@"'
    server.prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
    server.start().wait_ready(60)
    inside = ["nsenter", f"--target={server.pid}", "--mount", "--"]
    w = None
    writer = None
    try:
        warm(server)
        server.sql("CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT, fill LONGBLOB)")
        w = Watch(configuration([server], PROBE_TIMES, password_file=secret)).settled(server)
        filler = server.data / "filler"
        subprocess.run([*inside, "dd", "if=/dev/zero", f"of={filler}", "bs=64k"], capture_output=True)
        free = subprocess.run([*inside, "df", "--output=avail", server.data], capture_output=True, text=True).stdout.split()[-1]
        assert int(free) < 128, free
        writer = server.connect(timeout=3)
        try:
            for _ in range(64):
                writer.cursor().execute("INSERT INTO app.t (fill) VALUES (REPEAT('x', 1000000))")
            said = "nothing"
        except Exception as error:
            said = f"{type(error).__name__} {error}"
        print(f"disk full, {flavour}: a write meets {said}; running: {server.running()}")
        assert said != "nothing"
        if not server.running():
            # MySQL's binlog_error_action = ABORT_SERVER: the server ends itself. That is a failure, and seen as one.
            w.until(lambda: w.node(server).cause in ("refused", "reset"), 5, "the server has ended itself")
            return
        w.holds(lambda: w.node(server).cause == "ok", 2, "reads answer, also after fresh logins")
        assert (w.node(server).state, w.node(server).status) == ("ACTIVE", "OK") and w.pool.address() == server.address
        subprocess.run([*inside, "rm", filler], check=True)
        def goes_on():
            return not server.running() or server.sql("INSERT INTO app.t (v) VALUES (1)", timeout=30) is not None

        wait_until(goes_on, 90, "writes go on")
        if not server.running():
            # Some end themselves only with a later write.
            w.until(lambda: w.node(server).cause in ("refused", "reset"), 5, "the server has ended itself")
            return
        w.holds(lambda: w.node(server).cause == "ok", 0.5, "as before")
        assert not w.switches() and not w.found("status", server)
    finally:
        if w:
            w.close()
        server.discard()
