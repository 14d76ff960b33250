"""HAProxy with Lua in front of real servers: the library in its threads chooses the server of each connection. The files of
examples/haproxy as they stand, but for addresses."""

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pymysql
import pytest

from servers import PROBE, wait_converged, wait_replicating, wait_until
from servers.accounts import APP
from servers.workspace import free_port

from .balancers import COMMAND, ROOT, Process, Stats, from_example, write_password
from .rings import make_table

RATE = 200


def connect(port, read_timeout=15):
    return pymysql.connect(
        host="127.0.0.1", port=port, user=APP.user, password=APP.password, database="app", autocommit=True,
        connect_timeout=15, read_timeout=read_timeout,
    )


def ask(connection, statement="SELECT @@port"):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
        return row and row[0]


class Site:
    """The ring, and HAProxy in front of it."""

    def __init__(self, folder, ring, on_locked="error", load="lua-load-per-thread", master=False, **settings):
        self.folder, self.ring = folder, ring
        a, b = ring.nodes
        for node in ring.nodes:
            # caching_sha2_password: one login over a socket, and those over TCP need no encryption.
            node.sql("SELECT 1", user=APP.user)
        self.rw, self.ro = free_port(), free_port()
        nodes = {"10.0.1.11:3306": a.address, "10.0.1.12:3306": b.address}
        self.toml = from_example(
            "haproxy/haproxy.toml",
            folder / "primacy.toml",
            {
                "/var/lib/haproxy/primacy/cache": folder / "cache",
                '"follow"': f'"{on_locked}"',
                "/etc/primacy/probe.password": write_password(folder / "password"),
                'user = "primacy"': f'user = "{PROBE.user}"\nrsa_public_key = "from-server"',
                **settings,
                **nodes,
            },
        )
        self.socket = folder / "haproxy.sock"
        self.config = from_example(
            "haproxy/haproxy-lua.cfg",
            folder / "haproxy.cfg",
            {
                "/run/haproxy/primacy.sock": self.socket,
                "/etc/primacy/haproxy.toml": self.toml,
                "/usr/local/lib/lua/5.3": ROOT / "target" / "lua" / "5.3",
                "/etc/haproxy/select.lua": ROOT / "examples" / "haproxy" / "select.lua",
                "lua-load-per-thread": load,
                "maxconn 4000": f"maxconn 4000\n    user nobody\n    chroot {folder}" if master and os.geteuid() == 0 else "maxconn 4000",
                "127.0.0.1:6446": f"127.0.0.1:{self.rw}",
                "127.0.0.1:6447": f"127.0.0.1:{self.ro}",
                **nodes,
            },
        )
        self.workers = []
        if master:
            if os.geteuid() == 0:
                shutil.chown(folder, "nobody")
            self.start("-W")
        else:
            self.start()

    def start(self, *options):
        name = f"haproxy-{len(self.workers)}"
        self.workers.append(Process(self.folder, name, ["haproxy", "-db", "-f", self.config, *options]))
        return self.workers[-1]

    def reload(self):
        """A new worker takes the listening sockets over; the old one ends with its last session."""
        old = self.workers[-1]
        return old, self.start("-x", self.socket, "-sf", old.popen.pid)

    def said(self):
        return "\n".join(worker.said() for worker in self.workers)

    def until_active(self, node, timeout=20):
        def there():
            assert not self.workers[-1].ended(), self.said()
            try:
                with connect(self.rw) as connection:
                    return ask(connection) == node.port
            except pymysql.err.MySQLError:
                return False

        wait_until(there, timeout, lambda: f"writers are on {node.address}: {self.said()}", every=0.1)
        return self

    def close(self):
        for worker in self.workers:
            worker.close()


@pytest.fixture
def site(rings, tmp_path, monkeypatch):
    made = []
    monkeypatch.setenv("LD_LIBRARY_PATH", str(ROOT / "target" / "dist"))

    def make(flavour="mariadb", **settings):
        ring = rings(flavour).mend()
        make_table(ring)
        ring.a.sql("CREATE TABLE IF NOT EXISTS app.w (v INT PRIMARY KEY, port INT)")
        made.append(Site(tmp_path, ring, **settings))
        return made[-1].until_active(ring.a)

    yield make
    for each in made:
        print(each.said())
        each.close()


class Load:
    """New connections at an even pace, every other one a writer. `done` holds (begin, end, kind, port or None, error or None)."""

    def __init__(self, site, rate=RATE, threads=16):
        self.site, self.every, self.done = site, threads / rate, []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(n / rate, n)) for n in range(threads)]

    def _run(self, first, number):
        at = time.monotonic() + first
        while not self.over.wait(max(0.0, at - time.monotonic())):
            # Never two at once in a thread; what was missed is not made up for.
            at = max(at + self.every, time.monotonic())
            kind = ("write", "read")[number % 2]
            begin, port, error = time.monotonic(), None, None
            try:
                with connect(self.site.rw if kind == "write" else self.site.ro) as connection:
                    if kind == "write":
                        ask(connection, "INSERT INTO t (v) VALUES (1)")
                    port = ask(connection)
            except (pymysql.err.MySQLError, OSError) as failed:
                error = failed
            self.done.append((begin, time.monotonic(), kind, port, error))

    def __enter__(self):
        self.began = time.monotonic()
        for each in self.threads:
            each.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for each in self.threads:
            each.join()
        self.ended = time.monotonic()

    def rate(self):
        return len(self.done) / (self.ended - self.began)

    def failed(self, kind=None):
        return [one for one in list(self.done) if one[4] is not None and kind in (None, one[2])]

    def on(self, kind, port):
        return [one for one in list(self.done) if one[2] == kind and one[3] == port]

    def until(self, kind, port, count=40, timeout=30):
        have = len(self.on(kind, port))
        wait_until(lambda: len(self.on(kind, port)) >= have + count, timeout, lambda: f"{kind}s on {port}; {self.site.said()}")


def test_kill_under_load(site, figure):
    """kill -9 of the ACTIVE node at 200 connections a second, by two threads with a Lua state each: what fails is what was
    under way, and what came before the switch."""
    s = site()
    a, b = s.ring.nodes
    # Sessions that stay, more of them than one thread would have.
    held = [connect(s.rw) for _ in range(8)]
    with Load(s) as load:
        load.until("write", a.port, 150)
        load.until("read", b.port, 150)
        killed = time.monotonic()
        a.kill9()
        load.until("write", b.port, 150)
        load.until("read", b.port, 50)
    recovered = min(end for _, end, *_ in load.on("write", b.port))
    writes, reads = load.failed("write"), load.failed("read")
    figure(
        f"HAProxy with Lua, kill -9 at {load.rate():.0f} connections a second: writes out for {(recovered - killed) * 1000:.0f} ms, "
        f"{len(writes)} writes and {len(reads)} reads failed"
    )
    for begin, end, *_, error in writes + reads:
        assert end >= killed and begin <= recovered, (begin - killed, end - killed, recovered - killed, error)
    under_way = sum(1 for begin, end, *_ in load.done if begin < killed <= end)
    assert len(writes) + len(reads) <= under_way + RATE * (recovered - killed) + 1
    assert not [one for one in load.on("write", a.port) if one[0] > killed]
    for connection in held:
        with pytest.raises(pymysql.err.MySQLError):
            ask(connection)
    assert s.said().count(f"ACTIVE was {a.address}, is {b.address}") in (1, 2), "one thread tells it, to the log and to the terminal"


@pytest.mark.parametrize("flavour", ["mysql"])
def test_mysql_kill(site, figure, flavour):
    s = site(flavour)
    a, b = s.ring.nodes
    with Load(s, rate=60, threads=6) as load:
        load.until("write", a.port, 20)
        killed = time.monotonic()
        a.kill9()
        load.until("write", b.port, 20)
    recovered = min(end for _, end, *_ in load.on("write", b.port))
    figure(
        f"HAProxy with Lua, MySQL, kill -9 at {load.rate():.0f} connections a second: writes out for "
        f"{(recovered - killed) * 1000:.0f} ms, {len(load.failed())} failed"
    )
    for begin, end, *_, error in load.failed():
        assert end >= killed and begin <= recovered, (begin - killed, end - killed, error)


def test_a_planned_move_fails_nothing(site, figure):
    """Killed, mended and taken back: at the hand-back new writers wait for it, those under way go on, and nothing fails."""
    s = site(**{'role = "active"': 'role = "active"\ndrain_deadline = "1s"'})
    a, b = s.ring.nodes
    a.kill9()
    s.until_active(b)
    a.restart()
    wait_replicating(s.ring.nodes)
    wait_converged(s.ring.nodes)
    held = connect(s.rw)
    assert ask(held) == b.port
    with Load(s) as load:
        load.until("write", b.port)
        command(s, "recover", a.address)
        # The session that was there drains: it goes on, and at the deadline it is ended.
        deadline = time.monotonic() + 30
        while True:
            try:
                assert ask(held) == b.port
            except pymysql.err.MySQLError:
                break
            assert time.monotonic() < deadline, "a session outlives the drain's deadline"
            time.sleep(0.02)
        ended = time.monotonic()
        load.until("write", a.port)
        load.until("read", b.port)
    first = min(begin for begin, *_ in load.on("write", a.port))
    ends = sorted(end for _, end, kind, port, _ in load.done if kind == "write" and port)
    figure(
        f"HAProxy with Lua, planned move at {load.rate():.0f} connections a second: longest pause of writes "
        f"{max(y - x for x, y in zip(ends, ends[1:])) * 1000:.0f} ms, {len(load.failed())} failed, an open session drained for "
        f"{ended - first:.1f} s"
    )
    assert not load.failed(), load.failed()[:3]
    assert not [one for one in load.on("write", b.port) if one[0] > first + 1]
    assert 0.8 < ended - first < 10


def command(site, *words):
    """What an operator does: the order reaches the library within HAProxy by its control socket."""
    done = subprocess.run([COMMAND, "-c", site.toml, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done


def test_a_hung_server_gets_nothing_more(site, figure):
    """SIGSTOP under writes in long sessions: after the switch nothing is forwarded to the old ACTIVE node, and what was in its
    socket by then is counted."""
    s = site()
    a, b = s.ring.nodes
    sent, over, lock, ports = {}, threading.Event(), threading.Lock(), {}
    last = s.ring.a.sql("SELECT COALESCE(MAX(v), 0) FROM app.w")[0][0]

    def work():
        nonlocal last
        connection = None
        while not over.is_set():
            with lock:
                last += 1
                number = last
            try:
                connection = connection or connect(s.rw)
                sent[number] = time.monotonic()
                ask(connection, f"INSERT INTO w (v, port) VALUES ({number}, @@port)")
                ports[number] = time.monotonic()
            except (pymysql.err.MySQLError, OSError):
                connection = None
                time.sleep(0.01)
            time.sleep(0.005)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for each in threads:
        each.start()
    try:
        wait_until(lambda: len(ports) > 60, 20, "the first rows")
        stopped = time.monotonic()
        a.sigstop()
        wait_until(lambda: f"is {b.address}" in s.said(), 20, s.said)
        switched = time.monotonic()
        have = len(ports)
        wait_until(lambda: len(ports) > have + 60, 20, "rows on the new ACTIVE")
        a.sigcont()
        have = len(ports)
        wait_until(lambda: len(ports) > have + 60, 20, "rows after SIGCONT")
    finally:
        over.set()
        for each in threads:
            each.join()
    on_a = {row[0] for row in a.sql(f"SELECT v FROM app.w WHERE port = {a.port}")} & set(sent)
    late = [number for number in on_a if sent[number] > switched + 0.1]
    stranded = [number for number in on_a if number not in ports]
    figure(
        f"HAProxy with Lua, SIGSTOP under 6 writers: {(switched - stopped) * 1000:.0f} ms to the switch, {len(late)} statements sent "
        f"after it went to the old ACTIVE node, {len(stranded)} in flight were committed there later"
    )
    assert not late, [(sent[number] - switched) for number in late]


@pytest.mark.parametrize("load", ["lua-load", "lua-load-per-thread"])
def test_sessions_are_counted(site, load):
    """Sessions are counted until they end, whether the threads share one Lua state or have one each."""
    s = site(load=load, **{'role = "standby"\nfallback = "active"': 'role = "any"'})
    a, b = s.ring.nodes
    held = [connect(s.ro) for _ in range(8)]
    where = [ask(connection) for connection in held]
    assert sorted(where) == sorted([a.port, b.port] * 4)
    for connection, port in zip(held, where):
        if port == b.port:
            connection.close()
    stats = Stats(s.socket)
    wait_until(lambda: stats.rows()["orders_ro", "db2"]["scur"] == "0", 10, lambda: f"HAProxy sees the ends: {stats.rows()}")
    again = [connect(s.ro) for _ in range(4)]
    assert [ask(connection) for connection in again] == [b.port] * 4
    for connection in again:
        connection.close()


def test_nobody_is_there(site):
    """A client that nobody takes waits, and is then told why, in MySQL's words."""
    s = site()
    a, b = s.ring.nodes
    a.kill9()
    s.until_active(b)
    b.kill9()

    def told():
        try:
            connect(s.rw).close()
        except pymysql.err.MySQLError as error:
            return error.args[1] if error.args[0] == 1105 else None

    began = time.monotonic()
    said = wait_until(told, 30, s.said)
    assert f"{b.address} is ACTIVE but does not serve: status FAIL since" in said
    assert time.monotonic() - began > 4
    # It is back, and so are its clients.
    waiting = []
    client = threading.Thread(target=lambda: waiting.append(connect(s.rw)))
    client.start()
    b.restart()
    client.join(20)
    s.until_active(b)
    assert waiting and ask(waiting[0]) == b.port


def children(pid):
    return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def decider(site):
    """The process that holds the cache's lock; None while it writes its name there."""
    found = re.search(r"\d+", (site.folder / "cache.lock").read_text())
    return found and int(found.group())


def test_reload_while_the_old_worker_lives_on(site, figure):
    """A reload under load, with a master, another user and another root, as Debian runs it. Sessions keep the old worker alive and it
    goes on deciding; the new one follows, fails over with it, and decides once it has ended: one decider at every moment."""
    s = site(on_locked="follow", master=True)
    a, b = s.ring.nodes
    master = s.workers[0].popen

    def ended(worker):
        return worker not in children(master.pid)

    deciders = []
    over = threading.Event()

    def sample():
        while not over.wait(0.01):
            pid = decider(s)
            if pid and deciders[-1:] != [pid]:
                deciders.append(pid)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        held = connect(s.ro)
        assert ask(held) == b.port
        with Load(s) as load:
            load.until("write", a.port)
            (old,) = children(master.pid)
            master.send_signal(signal.SIGUSR2)
            (new,) = wait_until(lambda: children(master.pid) - {old}, 20, s.said)
            load.until("write", a.port, 150)
            assert not load.failed(), load.failed()[:3]
            assert not ended(old) and ask(held) == b.port and decider(s) == old
            # The new worker's clients leave with the old one's decision.
            mine = connect(s.rw)
            assert ask(mine) == a.port
            killed = time.monotonic()
            a.kill9()
            load.until("write", b.port, 60)
        recovered = min(end for _, end, *_ in load.on("write", b.port))
        figure(
            f"HAProxy with Lua, kill -9 behind a worker that follows: writes out for {(recovered - killed) * 1000:.0f} ms, "
            f"{len(load.failed())} failed"
        )
        for begin, end, *_, error in load.failed():
            assert end >= killed and begin <= recovered, (begin - killed, end - killed, error)
        with pytest.raises(pymysql.err.MySQLError):
            ask(mine)

        a.restart()
        wait_replicating(s.ring.nodes)
        with Load(s) as load:
            load.until("write", b.port)
            held.close()
            wait_until(lambda: ended(old), 20, s.said)
            wait_until(lambda: decider(s) == new, 10, s.said)
            load.until("write", b.port)
            # It decides now: an order reaches it, and moves the role.
            command(s, "recover", a.address)
            load.until("write", a.port)
        assert not load.failed(), load.failed()[:3]
    finally:
        over.set()
        sampler.join()
    assert deciders == [old, new]


@pytest.mark.parametrize("on_locked", ["error", "follow"])
def test_reload_without_followers(site, on_locked):
    """With on_locked = "error", and where the library's configuration has changed, the new worker's clients wait until the old one has
    ended, and none is lost."""
    s = site(on_locked=on_locked)
    a, b = s.ring.nodes
    if on_locked == "follow":
        s.toml.write_text(s.toml.read_text().replace("[probe]", '[probe]\ninterval = "300ms"'))
    held = connect(s.ro)
    with Load(s) as load:
        load.until("write", a.port)
        old, new = s.reload()
        wait_until(lambda: "primacy: start: " in new.said(), 20, s.said)
        held.close()
        wait_until(old.ended, 20, s.said)
        load.until("write", a.port)
    assert not load.failed(), load.failed()[:3]
    assert old.popen.returncode == 0 and decider(s) == new.popen.pid
