"""examples/c/proxy.c before two real servers: 200 connections a second of reads and writes, while the ACTIVE node is killed, hangs
and comes back, or hands its role over; and a benchmark client."""

import os
import re
import signal
import ssl
import subprocess
import threading
import time
from collections import namedtuple
from pathlib import Path

import pymysql
import pytest
from servers import APP, wait_converged, wait_replicating, wait_until
from servers.workspace import free_port, output, popen

from .load import TABLE, Load, build, complaints, failed, make_requests_table, rows
from .rings import pause
from .watch import configuration

ROOT = Path(__file__).resolve().parents[2]
PROXY = Path(os.environ.get("PRIMACY_PROXY") or ROOT / "target" / "examples" / "c" / "proxy")
COMMAND = Path(os.environ.get("PRIMACY_COMMAND") or ROOT / "target" / "dist" / "primacy")
RATE = 200

Forward = namedtuple("Forward", "time node count")
Told = namedtuple("Told", "time kind node decided")


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    return build(tmp_path_factory.mktemp("load"))


@pytest.fixture
def proxy(ring, secret, tmp_path):
    """The proxy before the ring, once both services answer."""
    make_requests_table(ring)
    # A client that validates its session and then is kept from running for as long would be cut off between the two.
    with Proxy(ring, secret, tmp_path, options=["-i", "500"]) as made:
        yield made.settled(ring.a)


@pytest.fixture
def load(driver, tmp_path, proxy):
    made = []

    def start(**options):
        made.append(Load(driver, tmp_path, proxy.rw, proxy.ro, rate=RATE, **options))
        return made[-1]

    yield start
    for each in made:
        each.close()


class Proxy:
    def __init__(self, ring, secret, folder, services="", options=()):
        self.file = folder / "primacy.toml"
        top = {"cache_file": folder / "cache"}
        self.file.write_text(configuration(ring.nodes, top=top, password_file=secret) + services)
        self.rw, self.ro = free_port(), free_port()
        self.trace, self.log = folder / "trace", folder / "proxy.log"
        words = [PROXY, "-t", self.trace, *options, self.file, f"rw={self.rw}", f"ro={self.ro}"]
        with open(self.log, "w") as log:
            self.process = popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: "ready\n" in self.log.read_text() or not self.running(), 10, "the proxy listens")
        assert self.running(), self.log.read_text()

    def running(self):
        return self.process.poll() is None

    def connect(self, port):
        times = {"connect_timeout": 10, "read_timeout": 10}
        return pymysql.connect(
            host="127.0.0.1", port=port, user=APP.user, password=APP.password, autocommit=True, **times
        )

    def server(self, port):
        """The server_id that a client of this port comes to."""
        with self.connect(port) as client, client.cursor() as cursor:
            cursor.execute("SELECT @@server_id")
            return cursor.fetchone()[0]

    def settled(self, active):
        good = lambda: self.server(self.rw) == active.server_id != self.server(self.ro)
        wait_until(good, 15, lambda: self.log.read_text(), every=0.1)
        return self

    def traced(self):
        """What was sent to servers, and the events, in order."""
        forwards, told = [], []
        for line in self.trace.read_text().splitlines(keepends=True):
            words = line.rstrip("\n").split(" ", 4)
            if not line.endswith("\n"):
                break
            if words[1] == "forward":
                forwards.append(Forward(int(words[0]), words[2], int(words[3])))
            else:
                told.append(Told(int(words[0]), words[2], words[4], int(words[3])))
        return forwards, told

    def switch(self, to):
        """The last switch to this server, waited for."""

        def found():
            return [each for each in self.traced()[1] if each.kind == "switch" and each.node == to.address]

        return wait_until(found, 30, lambda: f"a switch to {to!r}:\n{self.log.read_text()}")[-1]

    def move(self, old, new):
        """The switch by which the role is handed over."""
        output([COMMAND, "-c", self.file, "maintenance", old.address, "--move", "--reason", "new disk"])
        return self.switch(new)

    def stop(self):
        """End it by SIGTERM; its counters by service."""
        if self.running():
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0, self.log.read_text()[-3000:]
        counters = {}
        for name, text in re.findall(r"^(\w+): (\d+ accepted, .*)$", self.log.read_text(), re.M):
            counters[name] = {what: int(number) for number, what in re.findall(r"(\d+) (\w+)", text)}
        return counters

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.running():
            self.process.kill()
            self.process.wait()
        if kind is not None:
            print(self.log.read_text()[-5000:])


def served(requests, after, kind="w"):
    """Requests of a kind that began after that and went well."""
    return [request for request in requests if request.kind == kind and request.begun > after and request.number == 0]


def test_kill_of_the_active(ring, proxy, load, figure):
    a, b = ring.nodes
    running = load()
    wait_until(lambda: len(running.done()) > RATE, 20, "a second of load")
    killed = time.monotonic_ns()
    a.kill9()
    decided = proxy.switch(b).decided
    wait_until(lambda: len(served(running.done(), decided)) > RATE, 30, "writes on the new ACTIVE node")
    requests = running.stop()
    bad = failed(requests)
    flying = [request for request in requests if request.begun < killed < request.done]
    # Those that waited in the proxy meanwhile count too, from when they were answered.
    back = min(request.done for request in served(requests, killed) if request.done > decided)
    outage = (back - killed) / 1e9
    worst = max(request.done - request.begun for request in requests if request.number == 0) / 1e6
    figure(
        f"C proxy, kill -9, {ring.flavour}, {RATE} connections/s: outage {outage * 1000:.0f} ms, {len(bad)} of {len(requests)}"
        f" requests failed, {len(flying)} were in flight, the slowest good one took {worst:.0f} ms"
    )
    assert len(bad) <= len(flying) + RATE * outage, complaints(requests)
    assert outage < 3, complaints(requests)
    assert not [request for request in bad if request.kind == "r" or request.begun > back], complaints(requests)
    # A read comes from the stand-in, and from the ACTIVE node once there is no other.
    assert {request.server for request in requests if request.kind == "r"} == {b.server_id}
    there = rows(b)
    assert all(there[request.sequence] == b.server_id for request in served(requests, decided))


def test_hang_of_the_active(ring, proxy, load, figure):
    """What was sent to the hung node before the switch may still commit there. After the switch nothing is sent."""
    a, b = ring.nodes
    # Kept sessions write all the time: theirs are the statements that lie in the hung server's buffers.
    running = load(kept=8, pause=5)
    wait_until(lambda: len(running.done()) > RATE, 20, "a second of load")
    idle, large = proxy.connect(proxy.rw), proxy.connect(proxy.rw)
    stopped = time.monotonic_ns()
    a.sigstop()
    # More than the server's kernel takes while nobody reads: the rest lies in the proxy's when the switch comes.
    statement = f"INSERT INTO {TABLE} (sequence, server) VALUES (-1, @@server_id) /* {'x' * 1_000_000} */"
    sender = threading.Thread(target=lambda: pytest.raises(Exception, large.query, statement))
    sender.start()
    decided = proxy.switch(b).decided
    # A session that sends nothing ends as well.
    with pytest.raises(ConnectionResetError):
        idle._sock.recv(1)
    assert time.monotonic_ns() - decided < 5e9
    sender.join()
    wait_until(lambda: len(served(running.done(), decided)) > RATE, 30, "writes on the new ACTIVE node")
    a.sigcont()
    pause(1)
    requests = running.stop()
    back = min(request.done for request in served(requests, stopped) if request.done > decided)

    proxy.stop()
    forwards, told = proxy.traced()
    to_a = [forward.time for forward in forwards if forward.node == a.address]
    assert [each.node for each in told if each.kind == "switch"][-1] == b.address, "the role came back by itself"
    assert to_a and max(to_a) < decided, f"{sum(time > decided for time in to_a)} chunks were sent after the switch"
    assert [forward for forward in forwards if forward.node == b.address and forward.time > decided]

    wait_converged(ring.nodes)
    there = rows(b)
    assert there == rows(a) and -1 not in there, "a statement that lay in the proxy when the switch came was carried out"
    by_number = {request.sequence: request for request in requests}
    wrong = [by_number[n] for n, server in there.items() if server == a.server_id and by_number[n].sent > decided]
    assert not wrong, wrong[:5]
    late = [n for n, server in there.items() if server == a.server_id and by_number[n].number != 0]
    bad = failed(requests)
    flying = [request for request in requests if request.begun < stopped < request.done]
    acknowledged = [request for request in requests if request.kind != "r" and request.number == 0]
    assert all(request.sequence in there for request in acknowledged), "an acknowledged row is missing"
    figure(
        f"C proxy, SIGSTOP, {ring.flavour}, {RATE} connections/s: outage {(back - stopped) / 1e6:.0f} ms,"
        f" {len(bad)} of {len(requests)} requests failed, {len(late)} of them were sent before the switch and committed on the old node"
        f" after SIGCONT; 0 sent after it"
    )
    assert len(bad) <= len(flying) + (RATE + 8 * 200) * (back - stopped) / 1e9, complaints(requests)
    assert not [request for request in bad if request.kind == "r"], complaints(requests)


def test_planned_move_with_drain(ring, proxy, load, figure):
    """Sessions drain: those that come and go end by themselves, kept ones between two statements. Nobody is refused, no row lost."""
    a, b = ring.nodes
    running = load(kept=5, pause=1000, ping=True)
    wait_until(lambda: len(running.done()) > RATE, 20, "a second of load")
    asked = time.monotonic_ns()
    decided = proxy.move(a, b).decided
    wait_until(lambda: len(served(running.done(), decided)) > RATE, 30, "writes on the new ACTIVE node")
    wait_until(lambda: len(served(running.done(), decided, "k")) >= 5, 20, "writes of the kept sessions")
    requests = running.stop()
    counters = proxy.stop()
    worst = max(request.done - request.begun for request in requests) / 1e6
    figure(
        f"C proxy, planned move with drain, {ring.flavour}, {RATE} connections/s: {len(failed(requests))} of {len(requests)} requests"
        f" failed, the slowest took {worst:.0f} ms, {counters['rw']['drained']} kept sessions were drained"
    )
    assert not failed(requests), complaints(requests)
    assert asked < decided and counters["rw"]["killed"] == 0 and counters["rw"]["drained"] >= 5, counters
    wait_converged(ring.nodes)
    there = rows(a)
    assert there == rows(b) and len(there) == sum(request.kind != "r" for request in requests)
    after = [request for request in requests if request.kind != "r" and request.begun > decided + 2e9]
    assert {there[request.sequence] for request in after} <= {b.server_id}
    assert set(there.values()) == {a.server_id, b.server_id}


def test_what_does_not_drain_ends_at_the_deadline(rings, secret, tmp_path):
    """A statement that runs for long, and a client that thinks within a transaction, after the role was moved."""
    ring = rings("mariadb").mend()
    a, b = ring.nodes
    make_requests_table(ring)
    services = """
        [pool.orders.service.rw]
        role = "active"
        drain_deadline = "3s"
        [pool.orders.service.ro]
        role = "standby"
        fallback = "active"
        """
    with Proxy(ring, secret, tmp_path, services) as proxy:
        proxy.settled(a)
        thinker, sleeper = proxy.connect(proxy.rw), proxy.connect(proxy.rw)
        thinker.begin()
        thinker.cursor().execute(f"INSERT INTO {TABLE} (sequence, server) VALUES (1, @@server_id)")
        sleeper._execute_command(pymysql.constants.COMMAND.COM_QUERY, "SELECT SLEEP(30)")
        decided = proxy.move(a, b).decided / 1e9
        # Nothing can be seen of a transaction; the server rolls it back.
        assert thinker._sock.recv(1) == b""
        assert time.monotonic() - decided < 2.9
        assert wait_until(lambda: a.value(f"COUNT(*) FROM {TABLE}") == 0, 5, "rolled back")
        with pytest.raises(pymysql.err.OperationalError):
            sleeper._read_query_result()
        assert 2.9 < time.monotonic() - decided < 8
        counters = proxy.stop()
        assert (counters["rw"]["drained"], counters["rw"]["killed"]) == (1, 1), counters


def test_a_benchmark_client(ring, proxy, figure):
    """sysbench by both ports, without one error."""
    common = [
        "sysbench",
        "--db-driver=mysql",
        "--mysql-host=127.0.0.1",
        f"--mysql-user={APP.user}",
        f"--mysql-password={APP.password}",
        "--mysql-db=app",
        "--tables=2",
        "--table-size=2000",
        "--threads=4",
        "--time=2",
    ]
    ring.a.sql("DROP TABLE IF EXISTS app.sbtest1, app.sbtest2")
    output([*common, f"--mysql-port={proxy.rw}", "oltp_read_write", "prepare"])
    wait_converged(ring.nodes)
    for port, test in ((proxy.rw, "oltp_read_write"), (proxy.ro, "oltp_point_select")):
        report = output([*common, f"--mysql-port={port}", test, "run"])
        queries = float(re.search(r"queries: +\d+ +\(([\d.]+) per sec", report).group(1))
        reconnects = int(re.search(r"reconnects: +(\d+)", report).group(1))
        assert queries > 0 and reconnects == 0 and "FATAL" not in report, report
        figure(f"C proxy, sysbench {test}, 4 threads, {ring.flavour}: {queries:.0f} queries/s")
    counters = proxy.stop()
    for service in ("rw", "ro"):
        assert counters[service]["killed"] == counters[service]["drained"] == 0, counters
    wait_converged(ring.nodes)
    ring.a.sql("DROP TABLE app.sbtest1, app.sbtest2")


def test_bytes_pass_as_they_are(ring, proxy):
    """More than any buffer holds, both ways, to a client that is slow to read; and TLS."""
    text = "".join(chr(33 + i % 90) for i in range(97)) * 30_000
    with proxy.connect(proxy.rw) as client, client.cursor(pymysql.cursors.SSCursor) as cursor:
        cursor.execute("SELECT SHA2(%s, 256)", (text,))
        digest = cursor.fetchone()[0]
        cursor.fetchall()
        numbers = " UNION ALL ".join(f"SELECT {n} AS n" for n in range(12))
        cursor.execute(f"SELECT n, CONVERT(REPEAT(CHAR(97 + n), 1000000) USING utf8mb4) FROM ({numbers}) AS t ORDER BY n")
        pause(0.3)
        for n in range(12):
            assert cursor.fetchone() == (n, chr(97 + n) * 1_000_000)
        assert cursor.fetchone() is None
    assert digest == ring.a.sql("SELECT SHA2(%s, 256)", args=(text,))[0][0]
    if ring.flavour == "mysql":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = pymysql.connect(host="127.0.0.1", port=proxy.rw, user=APP.user, password=APP.password, ssl=context)
        with client, client.cursor() as cursor:
            cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
            assert cursor.fetchone()[1]


def test_nobody_takes_clients(secret, tmp_path):
    """An error packet in place of the greeting, with the library's text; and what is wrong on the command line."""

    class Nobody:
        nodes = [f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"]

    with Proxy(Nobody, secret, tmp_path) as proxy:
        for port in (proxy.rw, proxy.ro):
            with pytest.raises(pymysql.err.OperationalError) as error:
                proxy.connect(port)
            assert error.value.args[0] == 1040 and error.value.args[1].startswith("pool orders, service r"), error.value
        for counters in proxy.stop().values():
            assert counters["accepted"] == counters["refused"] == 1, counters
        taken = free_port()
        for words, code, complaint in (
            ([], 2, "usage"),
            ([proxy.file, "rw"], 2, "usage"),
            (["-x", proxy.file, "rw=1"], 2, "usage"),
            ([proxy.file, f"xx={taken}"], 1, "PRIMACY_E_NOT_FOUND"),
            ([tmp_path / "none.toml", f"rw={taken}"], 1, "none.toml"),
            ([proxy.file, "rw=x"], 1, "port x"),
        ):
            done = subprocess.run([PROXY, *map(str, words)], capture_output=True, text=True, timeout=10)
            assert (done.returncode, complaint in done.stderr) == (code, True), (words, done)
