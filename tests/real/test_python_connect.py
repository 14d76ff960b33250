"""Connections from Python on real servers: by primacy.connect, and in SQLAlchemy's pool."""

import threading
import time

import primacy
import pymysql
import pytest
import sqlalchemy
from sqlalchemy import text

from servers import APP, APP_SCHEMA, wait_converged, wait_replicating, wait_until

from .rings import make_table

ACCOUNT = {"user": APP.user, "password": APP.password, "database": APP_SCHEMA, "connect_timeout": 5}


@pytest.fixture
def ring(rings, flavour):
    ring = rings(flavour).mend()
    make_table(ring)
    for node in ring.nodes:
        warm(node)
    return ring


def warm(server):
    """caching_sha2_password: after one login over a socket, those over TCP need no encryption."""
    server.sql("SELECT 1", user=APP.user)


def port_of(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@port")
        return cursor.fetchone()[0]


def write(connection, value):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO t (v) VALUES (%s)", (value,))
    connection.commit()


def count(server, value):
    return server.sql(f"SELECT COUNT(*) FROM app.t WHERE v = {value}")[0][0]


def test_connect(ring, watch, figure):
    a, b = ring.nodes
    w = watch(ring.nodes).settled(a)
    before = count(a, 101)
    writer = primacy.connect(w.pool, "rw", **ACCOUNT)
    assert isinstance(writer, pymysql.connections.Connection)
    assert port_of(writer) == a.port and primacy.session(writer).node == a.address
    write(writer, 101)
    wait_converged(ring.nodes)
    # Readers are on the stand-in; what was written can be asked for.
    position = a.gtid_position()
    w.until(lambda: w.node(b).gtids, 5, "what the stand-in holds")
    reader = primacy.connect(w.instance, "orders.ro", pymysql.connect, min_gtid=position, **ACCOUNT)
    with reader.cursor() as cursor:
        cursor.execute("SELECT COUNT(*), MAX(@@port) FROM t WHERE v = 101")
        rows, port = cursor.fetchone()
    assert rows == before + 1 and port in (a.port, b.port)
    reader.close()
    assert port_of(primacy.connect(w.pool, "ro", **ACCOUNT)) == b.port

    # A database that is not the account's is the same everywhere: raised at once, and the node is not blamed.
    with pytest.raises(pymysql.err.OperationalError) as caught:
        primacy.connect(w.pool, "rw", **{**ACCOUNT, "database": "elsewhere"})
    assert caught.value.args[0] == 1044

    killed = time.monotonic()
    a.kill9()
    # The next writer waits over the fail-over: no error.
    heir = primacy.connect(w.pool, "rw", wait=20, **ACCOUNT)
    took = (time.monotonic() - killed) * 1000
    assert port_of(heir) == b.port
    figure(f"kill -9, primacy.connect, {ring.flavour}: {took:.0f} ms until a new writer is connected")
    write(heir, 102)
    assert primacy.session(writer).current() == "ends" and primacy.session(heir).current() == "stays"
    with pytest.raises(pymysql.err.MySQLError):
        write(writer, 103)
    writer.close()
    assert count(b, 102) >= 1
    # Nobody left: an error that names node and reason, or what the connector said; after the wait, not before.
    b.kill9()
    began = time.monotonic()
    with pytest.raises((primacy.NoBackend, pymysql.err.OperationalError)):
        primacy.connect(w.pool, "rw", wait=0.5, **ACCOUNT)
    assert 0.25 < time.monotonic() - began < 10
    w.until(lambda: w.node(b).status == "FAIL", 10, "FAIL")
    with pytest.raises(primacy.NoBackend, match=b.address):
        primacy.connect(w.pool, "rw", wait=0, **ACCOUNT)


def test_a_hung_server(ring, watch, figure):
    """A stopped server takes connections and says nothing: the connector's own time limits tell."""
    a, b = ring.nodes
    w = watch(ring.nodes, probe={"interval": "100ms", "timeout": "100ms"}).settled(a)
    a.sigstop()
    stopped = time.monotonic()
    connection = primacy.connect(w.pool, "rw", wait=20, read_timeout=1, **ACCOUNT)
    figure(f"SIGSTOP, primacy.connect, {ring.flavour}: {(time.monotonic() - stopped) * 1000:.0f} ms until a new writer is connected")
    assert port_of(connection) == b.port
    connection.close()
    a.sigcont()


def engine(pool, service, **keywords):
    made = sqlalchemy.create_engine(
        "mysql+pymysql://", creator=primacy.creator(pool, service, wait=20, **ACCOUNT), pool_size=4, max_overflow=0, **keywords
    )
    primacy.sqlalchemy_events(made)
    return made


def test_sqlalchemy(ring, watch, figure):
    a, b = ring.nodes
    w = watch(ring.nodes).settled(a)
    rw, ro = engine(w.pool, "rw"), engine(w.pool, "ro")
    port = text("SELECT @@port")
    with ro.connect() as session:
        assert session.execute(port).scalar() == b.port
    # Four writers, over a kill. Each statement is a checkout; what was acknowledged is counted.
    written, failed, stop = [], [], threading.Event()

    def work(number):
        while not stop.is_set():
            try:
                with rw.begin() as session:
                    session.execute(text("INSERT INTO t (v) VALUES (:v)"), {"v": 200 + number})
                    at = session.execute(port).scalar()
                written.append((time.monotonic(), at))
            except sqlalchemy.exc.DBAPIError as error:
                failed.append((time.monotonic(), error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    try:
        wait_until(lambda: len(written) > 40, 20, "the first rows")
        killed = time.monotonic()
        a.kill9()
        wait_until(lambda: sum(at == b.port for _, at in written) > 40, 20, "rows on the new ACTIVE")
    finally:
        stop.set()
        for each in threads:
            each.join()
    # One statement of each writer was under way, and no more: the pool's other connections are replaced without an error.
    assert len(failed) <= 4 and all(when >= killed for when, _ in failed), failed
    first = min(when for when, at in written if at == b.port)
    figure(
        f"kill -9, SQLAlchemy with 4 writers, {ring.flavour}: {(first - killed) * 1000:.0f} ms to the first row on the new ACTIVE,"
        f" {len(failed)} failed"
    )

    # Back in order, and moved on purpose: what is in the pool is replaced at checkout, and nothing fails.
    a.restart()
    warm(a)
    wait_replicating(ring.nodes)
    wait_converged(ring.nodes)
    w.until(lambda: w.node(a).cause == "ok", 10, "the old ACTIVE answers")
    held = rw.connect()
    assert held.execute(port).scalar() == b.port
    with rw.connect() as session:
        assert session.execute(port).scalar() == b.port
    w.pool.recover(a.address)
    w.until(lambda: w.active() == a.address and not w.pool.paused, 20, "the role is back")
    # A session that is under way drains: it may end its work.
    assert primacy.session(held.connection.dbapi_connection).current() == "drains"
    assert held.execute(port).scalar() == b.port
    held.close()
    for _ in range(6):
        with rw.connect() as session:
            assert session.execute(port).scalar() == a.port
    assert rw.pool.checkedout() == 0
    rw.dispose()
    ro.dispose()
