"""The harness itself, on real servers of both flavours. A server that is not there fails these tests."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pymysql
import pytest

from servers import Workspace, chain, free_port, ring, star, wait_converged, wait_replicating, wait_until
from servers.faults import (
    Namespace,
    PrivateNetwork,
    cut,
    heal_duplicate_key,
    kill_probe_sessions,
    loss,
    reject,
    rotate_password,
    sessions,
    spike,
    stop_sql_thread_by_duplicate_key,
)
from servers.server import ServerError

TESTS = Path(__file__).resolve().parent.parent
both = pytest.mark.parametrize("flavour", ["mariadb", "mysql"])


@pytest.fixture
def space():
    with Workspace() as made:
        yield made


def up(space, flavour, number=2, **options):
    nodes = [space.create(flavour, **options).start() for _ in range(number)]
    for node in nodes:
        node.wait_ready()
    return nodes


def rows(node):
    return [row[0] for row in node.sql("SELECT v FROM app.t ORDER BY id", user="app")]


def make_table(node):
    node.sql("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)", user="app", db="app")


def write(node, value):
    node.sql("INSERT INTO app.t (v) VALUES (%s)", args=(value,), user="app")


@both
def test_a_ring_lives_through_crash_hang_and_shutdown(space, flavour):
    a, b = up(space, flavour)
    ring(a, b)
    make_table(a)
    write(a, 1)
    first = wait_converged([a, b])
    write(b, 2)
    assert wait_converged([a, b]) != first
    assert rows(a) == rows(b) == [1, 2]

    # Crash: gone and reaped, its port refuses, its peer notices, and what it had acknowledged is still there.
    write(a, 3)
    pid = a.pid
    a.kill9()
    assert not a.running() and not a.listening()
    assert not Path(f"/proc/{pid}").exists()
    wait_until(lambda: b.replication_threads() == ("Connecting", "Yes"), 5, "the peer reconnecting")
    write(b, 4)
    port = a.port
    a.restart()
    assert a.port == port
    wait_replicating([a, b])
    wait_converged([a, b])
    assert sorted(rows(a)) == sorted(rows(b)) == [1, 2, 3, 4]

    # Hang: the kernel still accepts, the server does not greet; afterwards it goes on where it was.
    a.sigstop()
    assert a.running() and a.listening()
    with pytest.raises(OSError):
        a.greeting(timeout=0.3)
    a.sigcont()
    assert a.greeting(timeout=2)
    write(a, 5)
    wait_converged([a, b])

    # Clean shutdown.
    a.shutdown()
    assert a.process.returncode == 0 and not a.listening()
    assert "Shutdown complete" in a.log.read_text()
    write(b, 6)
    a.restart()
    wait_replicating([a, b])
    wait_converged([a, b])
    assert sorted(rows(a)) == sorted(rows(b)) == [1, 2, 3, 4, 5, 6]


@both
def test_chain_and_star_carry_every_row(space, flavour):
    a, b, c = up(space, flavour, 3)
    chain(a, b, c)
    make_table(a)
    write(a, 1)
    wait_converged([a, b, c])
    assert rows(c) == [1]
    star(a, b, c)
    b.stop_replication()
    write(a, 2)
    wait_converged([a, c])
    assert rows(b) == [1] and rows(c) == [1, 2]
    with pytest.raises(ServerError, match="converged"):
        wait_converged([a, b], timeout=0.2)
    b.start_replication()
    wait_converged([a, b, c])


PROBE_STATEMENTS = {
    "mariadb": [
        ("SLAVE MONITOR", "SHOW ALL SLAVES STATUS"),
        ("SLAVE MONITOR", "SHOW SLAVE STATUS"),
        ("BINLOG MONITOR", "SHOW BINLOG STATUS"),
        (None, "SELECT @@gtid_current_pos, @@gtid_binlog_pos, @@gtid_slave_pos, @@read_only, @@server_id, @@gtid_domain_id"),
        (None, "SHOW GLOBAL STATUS LIKE 'Threads_connected'"),
    ],
    "mysql": [
        ("REPLICATION CLIENT", "SHOW REPLICA STATUS"),
        ("REPLICATION CLIENT", "SHOW BINARY LOG STATUS"),
        (None, "SELECT @@global.gtid_executed, @@global.gtid_purged, @@read_only, @@super_read_only, @@server_uuid"),
        (None, "SHOW GLOBAL STATUS LIKE 'Threads_connected'"),
    ],
}


@both
def test_the_probe_may_do_what_it_needs_and_no_more(space, flavour):
    (a,) = up(space, flavour, 1)
    plugins = dict(a.sql("SELECT user, plugin FROM mysql.user WHERE user IN ('probe', 'app', 'repl')"))
    wanted = "caching_sha2_password" if flavour == "mysql" else "mysql_native_password"
    assert plugins == {"probe": wanted, "app": wanted, "repl": wanted}
    for _, statement in PROBE_STATEMENTS[flavour]:
        a.sql(statement, user="probe")
    for statement in ("SELECT * FROM mysql.user", "CREATE DATABASE x", "SET GLOBAL read_only = 1"):
        with pytest.raises(pymysql.err.MySQLError):
            a.sql(statement, user="probe")
    for privilege in {privilege for privilege, _ in PROBE_STATEMENTS[flavour] if privilege}:
        a.sql_unlogged(f"REVOKE {privilege} ON *.* FROM 'probe'@'%'")
    for privilege, statement in PROBE_STATEMENTS[flavour]:
        if privilege:
            with pytest.raises(pymysql.err.MySQLError):
                a.sql(statement, user="probe")
        else:
            a.sql(statement, user="probe")
    # Nothing of this, nor the accounts themselves, is in the binary log: nodes start equal.
    assert a.gtid_position() == ""


@both
def test_client_faults(space, flavour):
    a, b = up(space, flavour, options=["--max-connections=12"])
    ring(a, b)

    session = a.connect("probe", tcp=True)
    assert len(sessions(a)) == 1
    assert kill_probe_sessions(a) == 1
    with pytest.raises((pymysql.err.MySQLError, OSError)):
        with session.cursor() as cursor:
            cursor.execute("SELECT 1")
    wait_until(lambda: not sessions(a), 5, "the session gone")

    session = a.connect("probe", tcp=True)
    rotate_password(a, "another")
    session.ping(reconnect=False)
    session.close()
    with pytest.raises(pymysql.err.OperationalError, match="1045"):
        a.connect("probe", tcp=True)
    a.connect("probe", password="another", tcp=True).close()
    b.connect("probe", tcp=True).close()

    with spike(a) as full:
        assert full.refused and len(full) >= 9
        with pytest.raises(pymysql.err.OperationalError, match="1040"):
            a.connect("app", tcp=True)
        # Root has a connection of its own.
        assert a.sql("SELECT 1") == [(1,)]
    wait_until(lambda: a.sql("SELECT 1", user="app"), 5, "room again")
    with spike(a, 3) as few:
        assert len(few) == 3 and not few.refused

    key = stop_sql_thread_by_duplicate_key(b, a)
    assert b.replication_threads() == ("Yes", "No")
    heal_duplicate_key(b, key)
    wait_converged([a, b])


def test_network_faults_in_a_namespace(space):
    with Namespace() as net:
        (a,) = up(space, "mariadb", 1, netns=net)
        assert not a.listening(), "a server in a namespace must not be reachable from outside"

        def greeted(timeout):
            try:
                return net.call(a.greeting, timeout)[4:5] == b"\x0a"
            except (TimeoutError, socket.timeout):
                return False

        assert greeted(1)
        with cut(a.port, netns=net) as fault:
            assert fault.in_place() and not greeted(0.3)
        assert not fault.in_place() and greeted(1)

        # An open session outlives a short cut, and its answer comes later by about its length.
        session = net.call(a.connect, "probe", tcp=True)
        with session.cursor() as cursor:
            cursor.execute("SELECT 1")
            fault = cut(a.port, 0.2, netns=net)
            cursor.execute("SELECT 2")
            waited = time.monotonic() - fault.started
            assert cursor.fetchall() == ((2,),)
        assert 0.19 < waited < 1.5, waited
        assert fault.wait() < 3
        session.close()

        with reject(a.port, netns=net), pytest.raises(ConnectionRefusedError):
            net.call(a.greeting)
        with reject(a.port, netns=net, kind="host-unreachable"), pytest.raises(OSError, match="No route to host"):
            net.call(a.greeting)
        # A greeting takes four packets, so about four in ten come through at the first try: neither all nor none of 40 do.
        with loss(a.port, 20, netns=net):
            outcomes = {greeted(0.1) for _ in range(40)}
        assert outcomes == {True, False}
        assert greeted(1)


def test_a_private_network_moves_this_thread_and_nothing_else(space):
    with pytest.raises(ServerError, match="namespaces the test made"):
        cut(3306)
    home = os.readlink("/proc/thread-self/ns/net")
    with PrivateNetwork():
        assert os.readlink("/proc/thread-self/ns/net") != home
        (a,) = up(space, "mariadb", 1)
        with cut(a.port):
            assert not a.listening(0.2)
        assert a.listening()
    assert os.readlink("/proc/thread-self/ns/net") == home
    assert not a.listening()


def test_a_lost_race_for_the_port_picks_another(space):
    a = space.create("mariadb")
    with socket.create_server(("127.0.0.1", a.port)):
        taken = a.port
        a.start().wait_ready()
        assert a.port != taken
    b = space.create("mariadb", port=free_port())
    with socket.create_server(("127.0.0.1", b.port)):
        with pytest.raises(ServerError, match="(?i)already in use"):
            b.start().wait_ready()


@both
def test_a_server_that_cannot_start_says_why(space, flavour):
    a = space.create(flavour, options=["--no-such-option=1"])
    with pytest.raises(ServerError, match="no-such-option"):
        a.start().wait_ready(20)


CHILD = """
import sys, time
sys.path.insert(0, {tests!r})
import threading
from servers import Workspace
space = Workspace()
a = space.create("mariadb")
# The thread that starts the server ends; the server must not end with it.
starter = threading.Thread(target=a.start)
starter.start()
starter.join()
a.wait_ready()
time.sleep(0.2)
a.sql("SELECT 1")
print(a.pid, a.port, space.path, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_servers_end_with_the_process_that_made_them(number):
    command = [sys.executable, "-c", CHILD.format(tests=str(TESTS))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        pid, port, folder = child.stdout.readline().split()
        child.send_signal(number)
        child.wait(120)

    def gone():
        try:
            socket.create_connection(("127.0.0.1", int(port)), 0.5).close()
            return False
        except ConnectionRefusedError:
            return True

    wait_until(gone, 60, f"the server {pid} gone")
    if number == signal.SIGKILL:
        # Nothing can clean up after that but us.
        assert Path(folder).exists()
        subprocess.run(["rm", "-rf", folder], check=True)
    else:
        assert not Path(folder).exists()


def test_logs_stay_after_a_failure(capfd):
    with pytest.raises(ZeroDivisionError):
        with Workspace() as space:
            a = space.create("mariadb").start().wait_ready()
            raise ZeroDivisionError
    assert not a.running()
    assert a.log.exists()
    assert str(space.path) in capfd.readouterr().err
    subprocess.run(["rm", "-rf", space.path], check=True)


def test_ports_are_not_given_twice():
    code = f"import sys; sys.path.insert(0, {str(TESTS)!r}); from servers import free_port; import time\n"
    code += "print(*(free_port() for _ in range(200)), flush=True); time.sleep(60)"
    children = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    try:
        ports = [port for child in children for port in child.stdout.readline().split()]
        assert len(ports) == len(set(ports)) == 600
    finally:
        for child in children:
            child.kill()
            child.wait()
            child.stdout.close()


def test_another_mysql_than_9_7_is_refused_by_its_version(tmp_path):
    tree = tmp_path / "mysql-9.7"
    loader = tree / ("usr/lib64/ld-linux-x86-64.so.2" if os.uname().machine == "x86_64" else "usr/lib/ld-linux-aarch64.so.1")
    loader.parent.mkdir(parents=True)
    loader.write_text("#!/bin/sh\necho 'mysqld  Ver 9.8.1 for Linux on x86_64 ((Debian))'\n")
    loader.chmod(0o755)
    done = subprocess.run(
        [TESTS / "tools" / "mysql97.sh"], env={**os.environ, "PRIMACY_CACHE": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stdout == ""
    assert "expected MySQL 9.7" in done.stderr and "9.8.1" in done.stderr
