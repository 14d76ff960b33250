"""Checkpoints over a network that can be cut: the observer lives in a namespace of its own, the servers, a gateway and a web server
in another, and one line lies between them."""

import json
import subprocess
import sys
import time

import pytest

from servers import ring, wait_converged, wait_until
from servers.faults import Namespace, PrivateNetwork, cut
from servers.workspace import popen

from .rings import mend, pause, warm
from .watch import POOL, Watch, configuration

NODES = ("10.78.0.11", "10.78.0.12")
GATEWAY, GATEWAY6, WEB = "10.78.0.254", "fd78::fe", "10.78.0.253"
WEB_PORT = 8080
# One of each method but mysql, one over IPv6: an echo, a refused connection, a web server.
KINDS = {"internal": f"simple:{GATEWAY}", "edge": f"simple:[{GATEWAY6}]:9", "external": f"http:{WEB}:{WEB_PORT}/"}
OK_CRITICAL = ("OK", "OK_INFO", "OK_WARN", "OK_CRITICAL")


class Site:
    """The observer's end of the line is `wire0`, the other one `wire1`."""

    def __init__(self, space, observer):
        self.observer, self.network = observer, Namespace()
        observer.run("ip", "link", "add", "wire0", "type", "veth", "peer", "name", "wire1", "netns", self.network.path)
        # Else a line that is pulled takes its IPv6 addresses along.
        for end in (observer, self.network):
            end.run("sysctl", "-qw", "net.ipv6.conf.all.keep_addr_on_down=1")
        for namespace, wire, addresses in (
            (observer, "wire0", ("10.78.0.1/24", "fd78::1/64")),
            (self.network, "wire1", [f"{host}/24" for host in (*NODES, GATEWAY, WEB)] + [f"{GATEWAY6}/64"]),
        ):
            for address in addresses:
                # Without duplicate address detection an IPv6 address is there at once.
                namespace.run("ip", "addr", "add", address, "dev", wire, *(["nodad"] if ":" in address else []))
            namespace.run("ip", "link", "set", wire, "up")
        (space.path / "www").mkdir()
        self.web = popen(
            [sys.executable, "-m", "http.server", "--bind", WEB, "--directory", space.path / "www", str(WEB_PORT)],
            self.network.handle,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.nodes = [space.create("mariadb", netns=self.network, bind=address).start() for address in NODES]
        for node in self.nodes:
            node.wait_ready()
        ring(*self.nodes)
        wait_converged(self.nodes)
        for node in self.nodes:
            warm(node)
        wait_until(lambda: answers(WEB, WEB_PORT), 20, "the web server")

    def pull(self, own=False):
        """The observer's own line, at its other end or its own: from now on nothing reaches it and nothing leaves it."""
        end, wire = (self.observer, "wire0") if own else (self.network, "wire1")
        end.run("ip", "link", "set", wire, "down")
        return time.monotonic()

    def plug(self):
        self.network.run("ip", "link", "set", "wire1", "up")
        self.observer.run("ip", "link", "set", "wire0", "up")

    def mend(self):
        self.plug()
        for node in self.nodes:
            mend(node)
        wait_until(lambda: answers(WEB, WEB_PORT), 20, "the line")
        return self

    def close(self):
        for node in self.nodes:
            node.discard()
        self.web.kill()
        self.web.wait()
        self.network.close()


def answers(host, port):
    import socket

    try:
        socket.create_connection((host, port), 0.5).close()
        return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def built(space):
    with PrivateNetwork() as observer:
        site = Site(space, observer)
        yield site
        site.close()


@pytest.fixture
def site(built):
    return built.mend()


@pytest.fixture
def guarded(secret):
    """Make instances whose nodes have checkpoints; the first node's are `kinds`, the others have the gateway."""
    made = []

    def make(nodes, kinds=KINDS, **settings):
        text = configuration(nodes, password_file=secret, **settings)
        sets = [f'{{ node = "{nodes[0].address}", ' + ", ".join(f'{kind} = "{target}"' for kind, target in kinds.items()) + " }"]
        sets += [f'{{ node = "{node.address}", internal = "simple:{GATEWAY}" }}' for node in nodes[1:]]
        made.append(Watch(text.replace("nodes = [", f"checkpoints = [ {', '.join(sets)} ]\nnodes = [", 1)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def checkpoints(w, node):
    """The node's checkpoints in the snapshot, by target."""
    pool = next(p for p in w.instance.snapshot().as_dict()["pools"] if p["name"] == POOL)
    return {c["target"]: c for c in next(n for n in pool["nodes"] if n["name"] == node.address)["checkpoints"]}


@pytest.mark.parametrize("own", [False, True], ids=["at the other end", "at its own end"])
def test_the_observers_own_line_pulled(site, guarded, own):
    """Two nodes and their checkpoints fall silent at once: the observer is cut off, says so, and fails nobody.

    At its own end not even what is to go out over a kept connection leaves it: nobody has acknowledged that.
    """
    a, b = site.nodes
    w = guarded(site.nodes).settled(a)
    assert all(c["answers"] is None for c in checkpoints(w, a).values()), "nobody looks while all is well"
    site.pull(own)
    told = w.event("isolated", timeout=5, severity="alarm", rule=213)
    assert "nor does any checkpoint" in told.message, told.message
    w.holds(lambda: w.active() == a.address and w.node(a).status in OK_CRITICAL, 6, "ACTIVE, and not FAIL")
    assert not own or not w.found("status", cause="no_reply"), w.story()
    assert {c["answers"] for c in checkpoints(w, a).values()} == {False}
    assert f"internal checkpoint simple:{GATEWAY} does not answer" in w.pool.explain(), w.pool.explain()
    assert len(w.found("checkpoint", a)) == 3, "each is told once"
    site.plug()
    w.event("isolated", timeout=12, severity="info")
    w.until(lambda: all(w.node(n).status == "OK" and w.node(n).cause == "ok" for n in site.nodes), 15, "all is well")
    assert not w.switches() and not w.found("state") and not w.found("last_node"), w.story()


def test_what_a_hung_node_acknowledged_proves_no_line_that_was_pulled_since(site, guarded):
    """Its probes wait for the answer to an old question and send nothing: they cannot tell that the line is gone."""
    a, b = site.nodes
    w = guarded(site.nodes).settled(a)
    b.sigstop()
    try:
        w.event("state", b, timeout=10, new_state="FAILED_OFFLINE", cause="no_reply")
        # If it was stopped before a question went out, some connections are given up first.
        w.until(lambda: "the server still did not" in w.node(b).message, 20, "a probe that only waits")
        assert w.node(a).status == "OK" and not w.found("isolated"), w.story()
        w.forget()
        site.pull()
        w.event("isolated", timeout=8, severity="alarm", rule=213)
        w.holds(lambda: w.active() == a.address and w.node(a).status in OK_CRITICAL, 5, "ACTIVE, and not FAIL")
    finally:
        b.sigcont()
        site.plug()
    w.event("isolated", timeout=12, severity="info")
    w.settled(a, timeout=30)
    assert not w.found("last_node") and not w.switches(), w.story()


def test_a_pool_of_one_tells_its_own_line_from_its_nodes(site, guarded):
    a = site.nodes[0]
    w = guarded([a]).settled(a)
    site.pull()
    w.event("isolated", timeout=5, severity="alarm")
    w.holds(lambda: w.node(a).status in OK_CRITICAL, 5, "not FAIL, however long it lasts")
    site.plug()
    w.settled(a)
    # The node alone falls silent: its checkpoints answer, so the silence is its own.
    with cut(a.port, netns=site.network) as fault:
        last = w.event("last_node", a, timeout=8, rule=247)
        assert last.mono_ns / 1e9 - fault.started < 6
        assert not w.found("isolated")
        seen = checkpoints(w, a)
        assert {c["answers"] for c in seen.values()} == {True}, seen
        assert seen[f"simple:[{GATEWAY6}]:9"]["message"].startswith("the host is there"), seen
        assert seen[KINDS["external"].rstrip("/")]["message"] == "HTTP status 200", seen
    w.settled(a)
    assert not w.switches()


def test_the_fail_of_mpp_stays_until_it_is_recovered(site, guarded):
    a, b = site.nodes
    quick = {"probe": {"interval": "300ms", "timeout": "100ms", "probe_timeout": "400ms"}, "pool": {"policy": "mpp"}}
    kinds = {**KINDS, "edge": f"mysql:{b.address}"}
    w = guarded(site.nodes, kinds, **quick)
    w.until(lambda: w.active() == a.address and w.node(b).state == "STANDBY" and w.node(a).status == "OK", 10, "the start")
    w.forget()
    # One node silent, its checkpoints in order: the original's ordinary failover.
    with cut(a.port, netns=site.network):
        w.event("switch", b, timeout=8)
    assert w.pool.status == "OK" and {c["answers"] for c in checkpoints(w, a).values()} == {True}
    w.until(lambda: w.node(a).cause == "ok", 5, "the node answers again")
    w.pool.recover(a.address)
    w.event("switch", a, timeout=8)
    w.until(lambda: w.node(b).state == "STANDBY" and w.node(a).status == "OK", 8, "as before")
    w.forget()

    site.pull()
    failed = w.event("pool_status", timeout=5)
    assert failed.severity == "alarm" and failed.rule == 141 and a.address in failed.message, w.story()
    w.until(lambda: w.active() is None, 2, "nobody is ACTIVE")
    pause(2)
    site.plug()
    w.until(lambda: all(w.node(n).cause == "ok" for n in site.nodes), 10, "both answer")
    w.holds(lambda: w.pool.status == "FAIL" and w.active() is None, 2, "the FAIL stays")
    assert "recover pool:" in w.pool.explain()
    w.pool.recover_pool()
    for node in site.nodes:
        w.pool.recover(node.address)
    w.until(lambda: w.pool.status == "OK" and w.active() == a.address, 5, "recovered")


LOOK = """
import json, sys, time, primacy
instance = primacy.Instance(primacy.Config(sys.argv[1]))
instance.start()
deadline = time.monotonic() + 20
while True:
    seen = instance.snapshot().as_dict()["pools"][0]["nodes"][0]["checkpoints"]
    if all(c["answers"] is not None for c in seen) or time.monotonic() > deadline:
        break
    time.sleep(0.01)
print(json.dumps(seen))
"""


@pytest.mark.parametrize(
    "groups, raw, allowed",
    [("1 0", True, True), ("0 0", False, True), ("1 0", False, False)],
    ids=["raw socket", "ping socket", "neither"],
)
def test_echoes_as_the_system_allows_them(site, groups, raw, allowed):
    """Root without CAP_NET_RAW, and the range of groups that may use ping sockets: each way alone, then none."""
    site.observer.run("sysctl", "-qw", f"net.ipv4.ping_group_range={groups}")
    text = f"""
        [pool.p]
        policy = "mpp"
        nodes = [ {{ address = "{GATEWAY}:9" }} ]
        checkpoints = [ {{ node = "{GATEWAY}:9", internal = ["simple:{GATEWAY}", "simple:[{GATEWAY6}]"] }} ]
        """
    drop = [] if raw else ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", "--"]
    done = subprocess.run(
        site.observer.command(*drop, sys.executable, "-c", LOOK, text), stdout=subprocess.PIPE, check=True, timeout=60, text=True
    )
    for seen in json.loads(done.stdout):
        if allowed:
            assert (seen["answers"], seen["cause"]) == (True, "ok"), seen
        else:
            assert (seen["answers"], seen["cause"]) == (False, "local"), seen
            assert "net.ipv4.ping_group_range" in seen["message"] and "simple:HOST:PORT" in seen["message"], seen
