"""Who drives the instance makes no difference; names, sockets and IPv6."""

import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

import primacy
import pytest

from servers import wait_until

from .process import open_descriptors, threads
from .watch import POOL, configuration, delay

QUICK = {"interval": "100ms", "timeout": "50ms"}


class HostLoop:
    """A host's own epoll loop in a thread: the library's descriptor, its events' descriptor, and nothing else."""

    def __init__(self, watch):
        self.watch = watch
        self.dispatched = 0
        self.longest = 0.0
        self._wake, self._stop = os.pipe()
        self._epoll = select.epoll()
        # The contract asks for level-triggered input alone.
        self._epoll.register(watch.instance.fd, select.EPOLLIN)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="host loop")
        self._thread.start()

    def _run(self):
        while True:
            for number, _ in self._epoll.poll():
                if number == self._wake:
                    return
                began = time.monotonic()
                self.watch.instance.dispatch()
                self.longest = max(self.longest, time.monotonic() - began)
                self.dispatched += 1

    def close(self):
        os.close(self._stop)
        self._thread.join()
        self._epoll.close()
        os.close(self._wake)


@pytest.mark.parametrize("drive", ["thread", "host loop"])
def test_own_thread_and_host_loop_take_over_alike(ring, watch, drive, figure):
    a, b = ring.nodes
    w = watch(ring.nodes, run="thread" if drive == "thread" else "no")
    loop = HostLoop(w) if drive != "thread" else None
    try:
        w.settled(a)
        epoch = w.pool.epoch
        killed = time.monotonic()
        a.kill9()
        switch = w.event("switch", b, timeout=5)
        took = delay(switch, killed)
        figure(f"kill -9, safe, {ring.flavour}, defaults, driven by {drive}: {took:.0f} ms to the switch")
        assert took < 1000 and switch.rule == 245 and switch.epoch == epoch + 1
        kinds = [str(event.kind) for event in w.found("doubt") + w.found("switch")]
        assert kinds == ["doubt", "switch"]
        if loop:
            assert "primacy" not in " ".join(name for name in threads() if "helper" not in name)
            # It slept in between: a kill is settled in some dozens of wake-ups, not by spinning.
            assert loop.dispatched < 2000 and loop.longest < 0.25, (loop.dispatched, loop.longest)
    finally:
        if loop:
            loop.close()


def test_the_two_ways_exclude_each_other(ring, watch):
    w = watch(ring.nodes, run="no")
    assert w.instance.fd >= 0
    with pytest.raises(primacy.PrimacyError) as refused:
        w.instance.start()
    assert refused.value.code == primacy.Code.STATE
    w = watch(ring.nodes)
    for call in (lambda: w.instance.fd, w.instance.dispatch, w.pool.run_cycle):
        with pytest.raises(primacy.PrimacyError) as refused:
            call()
        assert refused.value.code == primacy.Code.STATE


def test_a_loop_that_sleeps_blames_nobody(ring, watch):
    """The host does not come round for two seconds: what would have timed out meanwhile is not charged to the servers."""
    a, b = ring.nodes
    w = watch(ring.nodes, run="no")
    poller = select.poll()
    poller.register(w.instance.fd, select.POLLIN)

    def turn(seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if poller.poll(20):
                w.instance.dispatch()

    turn(2)
    w.forget()
    assert w.active() == a.address
    for _ in range(6):
        time.sleep(1.5)
        turn(0.1)
    turn(1)
    assert not w.switches() and not w.found("doubt"), w.story()
    assert [node.status for node in w.pool.nodes()] == ["OK", "OK"]


def test_run_cycle(ring, watch):
    """From cron: one cycle with its burst on an instance that does not run."""
    a, b = ring.nodes
    w = watch(ring.nodes, run="no")
    before = threads()
    began = time.monotonic()
    w.pool.run_cycle()
    assert time.monotonic() - began < 2
    assert w.pool.active.name == a.address and [n.cause for n in w.pool.nodes()] == ["ok", "ok"]
    epoch = w.pool.epoch
    a.kill9()
    w.forget()
    began = time.monotonic()
    w.pool.run_cycle()
    assert time.monotonic() - began < 2
    assert w.pool.active.name == b.address and w.pool.epoch == epoch + 1, w.story()
    assert w.found("switch", b)[0].rule == 245
    # Nothing goes on between two cycles.
    observed = w.node(b).observed_ms
    time.sleep(0.7)
    assert w.node(b).observed_ms == observed
    assert [name for name in threads() if name not in before and "helper" not in name] == []


def test_run_cycle_under_mpp_counts_one_by_one(ring, watch):
    a, b = ring.nodes
    w = watch(ring.nodes, pool={"policy": "mpp"}, run="no")
    for _ in range(4):
        w.pool.run_cycle()
    assert w.active() == a.address and w.node(b).state == "STANDBY"
    a.kill9()
    counts = []
    for _ in range(4):
        w.pool.run_cycle()
        counts.append((w.node(a).count, w.active()))
    assert [count for count, _ in counts] == [1, 2, 3, 4], counts
    assert [active for _, active in counts] == [a.address] * 3 + [b.address]


def test_stop_and_free_leave_nothing(ring, watch):
    a, b = ring.nodes
    before_threads, before_descriptors = threads(), open_descriptors()
    for _ in range(5):
        w = watch(ring.nodes)
        w.settled(a)
        began = time.monotonic()
        w.instance.stop()
        assert time.monotonic() - began < 1
        assert w.pool.active.name == a.address, "snapshots still work"
        with pytest.raises(primacy.PrimacyError) as refused:
            w.pool.recover(a.address)
        assert refused.value.code == primacy.Code.STOPPED
        w.close()
    wait_until(lambda: threads() == before_threads, 2, "the library's threads are gone")
    assert open_descriptors() == before_descriptors
    # And no session stays open on the servers.
    from servers.faults import sessions

    wait_until(lambda: not sessions(a) and not sessions(b), 5, "the probe's sessions are closed")


# --- addresses ----------------------------------------------------------------------------------------------------------------


def test_a_unix_socket(ring, watch):
    a, b = ring.nodes
    names = [f"unix:{node.socket}" for node in ring.nodes]
    w = watch(names).settled(names[0])
    killed = time.monotonic()
    a.kill9()
    switch = w.event("switch", names[1], timeout=5)
    assert delay(switch, killed) < 1000
    w.until(lambda: w.node(names[0]).cause == "refused", 3, "refused")
    a.start().wait_ready()
    w.until(lambda: w.node(names[0]).cause == "ok", 10, "it answers")
    b.sigstop()
    w.event("last_node", names[1], timeout=5)
    assert w.node(names[1]).cause == "no_reply"


@pytest.mark.parametrize("flavour", ["mariadb", "mysql"])
def test_ipv6(space, flavour, watch):
    server = space.create(flavour, bind="::1").start().wait_ready()
    try:
        assert server.address == f"[::1]:{server.port}"
        w = watch([server])
        w.settled(server)
        # Any spelling finds the node.
        with pytest.raises(primacy.PrimacyError) as refused:
            w.pool.recover(f"[0:0:0:0:0:0:0:1]:{server.port}")
        assert refused.value.code == primacy.Code.REFUSED
        server.kill9()
        w.event("last_node", server, timeout=5)
        assert w.node(server).cause == "refused"
    finally:
        server.discard()


def test_localhost(ring, watch):
    """One name, ::1 and 127.0.0.1; the servers listen on the latter alone."""
    names = [f"localhost:{node.port}" for node in ring.nodes]
    w = watch(names).settled(names[0])
    killed = time.monotonic()
    ring.a.kill9()
    switch = w.event("switch", names[1], timeout=5)
    assert delay(switch, killed) < 1000 and w.node(names[0]).cause == "refused"


HOSTS = """
import sys, time
sys.path[:0] = {paths!r}
import primacy

hosts, text = sys.argv[1:]


def write(lines):
    # In place: another file in its place would not show through the mount.
    with open(hosts, "r+") as out:
        out.truncate()
        out.write("".join(line + "\\n" for line in lines))


with primacy.Instance(primacy.Config(text)) as p:
    p.start()
    pool = p.pool({pool!r})
    for line in sys.stdin:
        command, _, rest = line.strip().partition(" ")
        if command == "hosts":
            write(filter(None, rest.split(";")))
            print("done", flush=True)
        elif command == "show":
            print("\\t".join(f"{{n.name}}|{{n.state}}|{{n.status}}|{{n.cause}}|{{n.message}}" for n in pool.nodes()), flush=True)
"""


class Names:
    """An instance in a process with an /etc/hosts of its own, so that names come, go and move as the test wants."""

    def __init__(self, folder, lines, text):
        self.hosts = folder / "hosts"
        self.hosts.write_text("".join(line + "\n" for line in lines))
        switch = folder / "nsswitch.conf"
        switch.write_text("hosts: files\n")
        paths = [path for path in sys.path if path]
        script = folder / "child.py"
        script.write_text(HOSTS.format(paths=paths, pool=POOL))
        mounts = f"mount --bind {self.hosts} /etc/hosts && mount --bind {switch} /etc/nsswitch.conf"
        self.process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh", sys.executable, script, self.hosts, text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline().strip()
        assert line, "the child has ended"
        return line

    def set(self, *lines):
        assert self.ask("hosts " + ";".join(lines)) == "done"

    def nodes(self):
        return [dict(zip(("name", "state", "status", "cause", "message"), part.split("|", 4))) for part in self.ask("show").split("\t")]

    def until(self, condition, timeout, what):
        wait_until(lambda: condition(*self.nodes()), timeout, lambda: f"{what}: {self.nodes()}", every=0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.mark.parametrize("flavour", ["mariadb"])
def test_names_come_go_and_move(ring, secret, tmp_path):
    a, b = ring.nodes
    names = [f"one.example:{a.port}", f"two.example:{b.port}"]
    text = configuration(names, QUICK, password_file=secret)
    here = "127.0.0.1 one.example", "127.0.0.1 two.example"
    with Names(tmp_path, [here[1]], text) as names:
        # One that never resolved is not looked at: that is nobody's failure.
        names.until(lambda one, two: two["state"] == "ACTIVE", 5, "the known one has the role")
        names.until(lambda one, two: one["cause"] == "dns" and one["state"] == "UNKNOWN", 5, "dns")
        (one, two) = names.nodes()
        assert "one.example" in one["message"] and one["status"] == "OK" and two["status"] == "OK"
        # It comes.
        names.set(*here)
        names.until(lambda one, two: one["state"] in ("STANDBY", "ACTIVE") and one["cause"] == "ok", 6, "the name resolves now")
        # All names go: the last addresses stay in use.
        names.set()
        until = time.monotonic() + 3
        while time.monotonic() < until:
            one, two = names.nodes()
            assert one["cause"] == two["cause"] == "ok", (one, two)
            time.sleep(0.05)
        # A restart in that time is a fault like any other and heals without the resolver.
        b.kill9()
        names.until(lambda one, two: two["cause"] == "refused", 5, "refused, by the last address")
        b.start().wait_ready()
        names.until(lambda one, two: two["cause"] == "ok", 10, "healed by the last address")


@pytest.mark.parametrize("flavour", ["mariadb"])
def test_a_name_that_moves_to_another_address(space, secret, tmp_path, flavour):
    """A fail-over of the DNS kind: the old address stops answering, the name points elsewhere."""
    port = None
    old = space.create(flavour, bind="127.0.0.2").start().wait_ready()
    new = space.create(flavour, bind="127.0.0.3", port=old.port).start().wait_ready()
    try:
        port = old.port
        with Names(tmp_path, ["127.0.0.2 moving.example"], configuration([f"moving.example:{port}"], QUICK, password_file=secret)) as names:
            names.until(lambda one: one["state"] == "ACTIVE" and one["cause"] == "ok", 5, "the old address")
            names.set("127.0.0.3 moving.example")
            old.kill9()
            names.until(lambda one: one["cause"] == "refused", 5, "the old address is tried first")
            names.until(lambda one: one["cause"] == "ok", 6, "the new address is found within RETRY of the failure")
    finally:
        old.discard()
        new.discard()


def test_an_unresolvable_name_disturbs_nobody(ring, watch):
    """By the machine's own resolver, which may be slow to say no."""
    a, b = ring.nodes
    began = time.monotonic()
    w = watch([f"no-such-host.invalid:{a.port}", a, b], probe=QUICK)
    print(f"made in {time.monotonic() - began:.2f} s")
    w.until(lambda: w.active() == a.address, 20, "a known one has the role")
    lost = w.pool.nodes()[0]
    w.until(lambda: w.pool.nodes()[0].cause == "dns", 20, "dns")
    lost = w.pool.nodes()[0]
    assert (lost.state, lost.status) == ("UNKNOWN", "OK") and "no-such-host.invalid" in lost.message
    w.forget()
    killed = time.monotonic()
    a.kill9()
    switch = w.event("switch", b, timeout=5)
    assert delay(switch, killed) < 1000


def test_the_library_is_the_one_that_was_built():
    """Not one that lies around on the machine."""
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "libprimacy" in line}
    assert len(mapped) == 1
