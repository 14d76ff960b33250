"""MySQL Proxy's script in front of real servers: clients, errors, a failover told by MPP commands, what cannot be fronted."""

import socket
import subprocess
import threading
import time

import pymysql
import pytest

from servers import APP, APP_SCHEMA, wait_converged, wait_replicating, wait_until

from .mysql_proxy import ADMIN, Proxy
from .watch import POOL, configuration


@pytest.fixture(scope="module")
def ring(rings):
    return rings("mariadb").mend()


@pytest.fixture
def proxy(ring, tmp_path):
    """One that is told by commands and sends everything to the ACTIVE node."""
    with Proxy(tmp_path, ring.nodes, 'source = "push", data_port_users = { "app" }') as proxy:
        proxy.tell(ring.a, "ACTIVE", kind="PRIMARY")
        proxy.tell(ring.b, "STANDBY")
        yield proxy


def command_line(port, user, password, statement, *more):
    """The outcome of MariaDB's own client program: code, output, errors."""
    ran = subprocess.run(
        ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{port}", f"-u{user}", f"-p{password}", *more, "-N", "-e", statement],
        capture_output=True, text=True, timeout=30,
    )
    return ran.returncode, ran.stdout.strip(), ran.stderr.strip()


def test_a_session_is_carried_whole(ring, proxy):
    with proxy.connect(*APP, database=APP_SCHEMA) as client, client.cursor() as cursor:
        cursor.execute("SELECT @@port, DATABASE()")
        assert cursor.fetchone() == (ring.a.port, APP_SCHEMA)
        cursor.execute("SELECT REPEAT('x', 300000) UNION ALL SELECT 'y'")
        assert [len(row[0]) for row in cursor.fetchall()] == [300000, 1]
        with pytest.raises(pymysql.err.ProgrammingError):
            cursor.execute("SELECT * FROM nowhere")
        cursor.execute("CREATE OR REPLACE TABLE through_proxy (a INT)")
        assert cursor.execute("INSERT INTO through_proxy VALUES (1), (2)") == 2
        cursor.execute("MPP SHOW ALL")
        assert {row[0] for row in cursor.fetchall()} == {ring.a.address, ring.b.address}
        cursor.execute("SELECT COUNT(*) FROM through_proxy")
        assert cursor.fetchone() == (2,)
        cursor.execute("DROP TABLE through_proxy")
        client.ping(reconnect=False)
    code, output, errors = command_line(proxy.port, *APP, "SELECT 1; SELECT 2 UNION SELECT 3")
    assert (code, output.split()) == (0, ["1", "2", "3"]), errors
    wait_until(lambda: proxy.show()[ring.a.address]["proxy.connected_clients"] == "0", 5, "the sessions are gone")


def test_the_login_is_the_servers(proxy):
    with pytest.raises(pymysql.err.OperationalError) as refused:
        proxy.connect(APP.user, "wrong")
    assert refused.value.args[0] == 1045
    with pytest.raises(pymysql.err.OperationalError) as refused:
        pymysql.connect(host="127.0.0.1", port=proxy.admin_port, user=ADMIN[0], password="wrong")
    assert refused.value.args[0] == 1045


def test_ed25519(ring, proxy):
    """The server asks the client by a plugin of its own; the proxy hands both on."""
    ring.a.sql("INSTALL SONAME 'auth_ed25519'")
    try:
        ring.a.sql_unlogged("CREATE OR REPLACE USER ed@'%' IDENTIFIED VIA ed25519 USING PASSWORD('ed-secret')")
        code, output, errors = command_line(proxy.port, "ed", "ed-secret", "SELECT CURRENT_USER()")
        assert (code, output) == (0, "ed@%"), errors
    finally:
        ring.a.sql_unlogged("DROP USER IF EXISTS ed@'%'")
        ring.a.sql("UNINSTALL SONAME 'auth_ed25519'")


def test_a_failover_told_by_commands(ring, proxy):
    a, b = ring.nodes
    session, idle = (proxy.connect(*APP) for _ in range(2))
    with session.cursor() as cursor:
        cursor.execute("SELECT @@port")
        assert cursor.fetchone() == (a.port,)

    # Demoted while it runs: the next statement gets the error, and is not run.
    proxy.admin(f"MPP SET {a.address} STATE STANDBY", f"MPP SET {b.address} STATE ACTIVE")
    before = a.value("(SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'COM_DO')")
    for client in (session, idle):
        with pytest.raises(pymysql.err.OperationalError) as ended, client.cursor() as cursor:
            cursor.execute("DO 1")
        assert ended.value.args[0] == 1053
        assert a.address in ended.value.args[1] and "STANDBY/OK since" in ended.value.args[1]
        with pytest.raises((pymysql.err.OperationalError, pymysql.err.InterfaceError)), client.cursor() as cursor:
            cursor.execute("SELECT 1")
    assert a.value("(SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'COM_DO')") == before
    with proxy.connect(*APP) as client, client.cursor() as cursor:
        cursor.execute("SELECT @@port")
        assert cursor.fetchone() == (b.port,)
        shown = proxy.show()
        assert shown[a.address]["proxy.state"] == "BACKEND_STATE_DOWN" and shown[b.address]["proxy.state"] == "BACKEND_STATE_UP"

        # Dead, and nobody has told: the error names the node, and the proxy picks no other.
        b.kill9()
        try:
            with pytest.raises(pymysql.err.OperationalError) as refused:
                proxy.connect(*APP)
            assert refused.value.args[0] == 1040
            assert f"{b.address} is ACTIVE/OK" in refused.value.args[1] and "cannot be connected to" in refused.value.args[1]
            proxy.admin(f"MPP SET {b.address} STATE FAILED_OFFLINE", f"MPP SET {a.address} STATE ACTIVE")
            with proxy.connect(*APP) as other, other.cursor() as cursor:
                cursor.execute("SELECT @@port")
                assert cursor.fetchone() == (a.port,)
        finally:
            b.restart()
            wait_replicating(ring.nodes)


@pytest.fixture
def library(ring, secret, tmp_path):
    """One with the library in its process, which probes the servers and chooses."""
    config = tmp_path / "primacy.toml"
    config.write_text(configuration(
        ring.nodes, password_file=secret, probe={"interval": "100ms", "timeout": "200ms", "probe_timeout": "500ms", "silence": "2s"},
        top={"cache_file": tmp_path / "cache", "control_socket": "none"},
    ))
    settings = f'source = "library", config = "{config}", service = "{POOL}.rw", refuse_at = "login"'
    with Proxy(tmp_path, ring.nodes, settings) as proxy:
        wait_until(lambda: port_through(proxy) == ring.a.port, 20, lambda: f"the PRIMARY takes clients: {proxy.log.read_text()}")
        yield proxy


def port_through(proxy):
    """The port of the server that a new client gets, None where it is refused."""
    try:
        # A server that hangs is met, and waited for, until it is replaced.
        with proxy.connect(*APP, connect_timeout=1, read_timeout=1) as client, client.cursor() as cursor:
            cursor.execute("SELECT @@port")
            return cursor.fetchone()[0]
    except pymysql.err.OperationalError as refused:
        assert refused.args[0] in (1040, 1053, 2003, 2013), refused
        return None


def test_the_library_moves_clients_when_a_server_is_killed(ring, library):
    a, b = ring.nodes
    session = library.connect(*APP)
    a.kill9()
    fault = time.monotonic()
    try:
        with pytest.raises(pymysql.err.OperationalError) as lost, session.cursor() as cursor:
            cursor.execute("SELECT 1")
        assert lost.value.args[0] in (1053, 2013)
        wait_until(lambda: port_through(library) == b.port, 20, library.log.read_text)
        print(f"out for {time.monotonic() - fault:.3f} s")
        shown = library.show()
        assert shown[b.address]["mpp.state"] == "ACTIVE"
        assert shown[a.address]["mpp.state"] == "FAILED_OFFLINE" and shown[a.address]["proxy.state"] == "BACKEND_STATE_DOWN"
    finally:
        a.restart()
        wait_replicating(ring.nodes)
    # The old PRIMARY is back, and waits for an operator: no client of ours goes there.
    for _ in range(3):
        assert port_through(library) == b.port


def test_many_clients_over_a_kill(ring, library):
    """Six writers, a connection for each row: what is acknowledged is there, what fails says why, and all go on."""
    a, b = ring.nodes
    a.sql(f"CREATE OR REPLACE TABLE {APP_SCHEMA}.many (id VARCHAR(20) PRIMARY KEY)")
    wait_converged(ring.nodes)
    acknowledged, errors, stop = {a.port: [], b.port: []}, [], threading.Event()

    def write(writer):
        number = 0
        while not stop.is_set():
            number += 1
            try:
                with library.connect(*APP, database=APP_SCHEMA, connect_timeout=2, read_timeout=2, autocommit=True) as client, client.cursor() as cursor:
                    cursor.execute("SELECT @@port")
                    port = cursor.fetchone()[0]
                    cursor.execute("INSERT INTO many VALUES (%s)", (f"{writer}-{number}",))
                    acknowledged[port].append(f"{writer}-{number}")
            except pymysql.err.MySQLError as error:
                errors.append(error.args)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(6)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(acknowledged[a.port]) > 60, 20, "rows on the PRIMARY")
        assert not errors and not acknowledged[b.port]
        a.kill9()
        wait_until(lambda: len(acknowledged[b.port]) > 60, 20, library.log.read_text)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        a.restart()
        wait_replicating(ring.nodes)
    found = {row["id"] if isinstance(row, dict) else row[0] for row in b.sql(f"SELECT id FROM {APP_SCHEMA}.many")}
    assert found.issuperset(acknowledged[b.port])
    assert {number for number, *_ in errors} <= {1040, 1053, 2003, 2013, 2006}, errors
    assert 1 <= len(errors) < 300, len(errors)
    assert library.process.poll() is None and "(critical)" not in library.log.read_text()


def test_the_library_ends_sessions_of_a_server_that_hangs(ring, library):
    """Stopped, replaced, continued: what a session sends afterwards is not run there."""
    a, b = ring.nodes
    session = library.connect(*APP)
    try:
        a.sigstop()
        wait_until(lambda: port_through(library) == b.port, 30, library.log.read_text)
    finally:
        a.sigcont()
    with pytest.raises(pymysql.err.OperationalError) as ended, session.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {APP_SCHEMA}.not_here (a INT)")
    assert ended.value.args[0] == 1053 and a.address in ended.value.args[1]
    assert a.value(f"(SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{APP_SCHEMA}' AND TABLE_NAME = 'not_here')") == 0


@pytest.mark.parametrize("refuse_at", ["connect", "login"])
def test_nobody_to_go_to(ring, tmp_path, refuse_at):
    """What clients make of the error, before the greeting and after the login."""
    with Proxy(tmp_path, ring.nodes, f'source = "push", refuse_at = "{refuse_at}"') as proxy:
        proxy.tell(ring.a, "FAILED_ONLINE", "FAIL", kind="PRIMARY")
        words = f"no ACTIVE node: {ring.a.address} is FAILED_ONLINE/FAIL since 20"
        with pytest.raises(pymysql.err.OperationalError) as refused:
            proxy.connect(*APP)
        assert refused.value.args[0] == 1040 and words in refused.value.args[1]
        _, _, errors = command_line(proxy.port, *APP, "SELECT 1", "--skip-ssl")
        assert f"ERROR 1040 (08004): {words}" in errors
        # A client that would like TLS believes no error that comes before it, except at the login.
        _, _, errors = command_line(proxy.port, *APP, "SELECT 1")
        assert ("ERROR 1040 (08004)" if refuse_at == "login" else "Received error packet before completion of TLS handshake") in errors
        assert words in errors


@pytest.mark.parametrize("refuse_at", ["connect", "login"])
def test_a_client_that_goes_on_after_it_was_refused(ring, tmp_path, refuse_at):
    """MySQL Proxy 0.8.5 crashes of it unless the refusal came with a greeting; nobody gets at the commands either way."""
    with Proxy(tmp_path, ring.nodes, f'source = "push", refuse_at = "{refuse_at}", data_port_users = {{ "app" }}') as proxy:
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
            first = client.recv(4096)
            login = (0x208).to_bytes(4, "little") + bytes(28) + b"app\0" + b"\0"
            client.sendall(len(login).to_bytes(3, "little") + b"\1" + login)
            if refuse_at == "connect":
                assert first[4] == 0xFF
                wait_until(lambda: proxy.process.poll() == 1, 10, "the proxy has crashed")
                assert "(died)" in proxy.log.read_text()
                return
            assert first[4] == 10
            refusal = client.recv(4096)
            assert refusal[4] == 0xFF and b"#08004no ACTIVE node" in refusal
            client.sendall(b"\x0d\0\0\0\x03MPP SHOW ALL")
            answer = b""
            while part := client.recv(4096):
                answer += part
            assert answer[4] == 0xFF and b"#08004no ACTIVE node" in answer
        assert proxy.admin("MPP SHOW ALL")


def test_what_it_cannot_front(space, tmp_path):
    """MySQL 9.7 has no account that gets through: caching_sha2_password's short way waits for nobody."""
    server = space.create("mysql").start().wait_ready()
    try:
        # So that the server has the password in its cache.
        assert command_line(server.port, *APP, "SELECT 1", "--ssl")[0] == 0
        with Proxy(tmp_path, [server], 'source = "push"') as proxy:
            proxy.tell(server, "ACTIVE", kind="PRIMARY")
            with pytest.raises(subprocess.TimeoutExpired):
                subprocess.run(
                    ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{proxy.port}", f"-u{APP.user}", f"-p{APP.password}", "-e", "SELECT 1"],
                    capture_output=True, timeout=3,
                )
    finally:
        server.discard()
