"""Three hosts with MySQL Router and an agent, a floating address between them: what clients of the address see.

Longer, and with a picture, it is `make demo-tier`.
"""

import time

import pytest

from servers import Workspace, wait_until
from servers.router_tier import PORTS, VIP4, VIP6, RouterTier
from servers.tier_clients import Asker, Holder, Ping, Session, ask, suits

BOTH = (VIP4, VIP6)


@pytest.fixture(scope="module")
def made():
    with Workspace("primacy-rt-") as space:
        tier = RouterTier(space, failure_timeout="2s")
        try:
            yield tier.start()
        finally:
            tier.close()


@pytest.fixture
def tier(made):
    """All in order, the address on rt1."""
    for server in made.servers:
        if not server.running():
            server.start().wait_ready(60)
    for host in made.hosts:
        host.plug()
        if not host.router_runs():
            host.start_router()
        if host.agent.poll() is not None:
            host.start_agent()
    # What has failed before is barred no longer, and rt1 has the address.
    made.settle()
    return made


def clients_answered(*clients):
    def last():
        return [client.error or (client.answers[-1:] if isinstance(client, Asker) else client.sent[-3:]) for client in clients]

    def answered(client):
        return client.good() if isinstance(client, Asker) else any(echo for _, echo in client.sent)

    wait_until(lambda: all(map(answered, clients)), 10, lambda: f"clients are answered: {last()}")


def test_every_port_leads_to_the_right_kind_of_server(tier):
    for address in BOTH:
        for port, (protocol, role) in PORTS.items():
            number, read_only = tier.client.namespace.call(ask, address, port, 5.0)
            assert suits(port, number, read_only), f"{protocol} {role} at [{address}]:{port}: server {number}, read_only {read_only}"


def test_a_killed_router_moves_the_address_within_a_second(tier, figure):
    client = tier.client
    pings = [Ping(client, address) for address in BOTH]
    holders = {host.name: Holder(host) for host in tier.hosts}
    session = Session(client, pause=5, timeout=20)
    asker = Asker(client, VIP4, 6447, every=0.05)
    try:
        for thread in [*pings, *holders.values(), session, asker]:
            thread.start()
        clients_answered(asker, *pings)
        wait_until(lambda: asked(tier, session.mark), 10, "the session is in its query")
        old = tier.hosts[0].router_pid()
        at = tier.hosts[0].kill_router()
        wait_until(lambda: holders["rt2"].spans, 10, lambda: f"rt2 takes over: {tier.story()}")
        wait_until(lambda: any(when > at + 1 for when, *_ in asker.good()), 10, "the port answers again")
        # The program has brought the router back, and nothing goes back by itself.
        wait_until(tier.hosts[0].router_runs, 10, lambda: f"restart: {tier.story()}")
        assert tier.hosts[0].router_pid() != old
    finally:
        for thread in [*pings, *holders.values(), session, asker]:
            thread.running = False
    for thread in [*pings, *holders.values(), session, asker]:
        thread.stop()
    moved = holders["rt2"].spans[0][0] - at
    off = holders["rt1"].spans[-1][1]
    first = next(when + took for when, took, *_ in asker.good() if when > at)
    lost = [max((b - a for a, b in ping.outages(at - 0.5)), default=0.0) for ping in pings]
    figure(f"router killed: address on rt2 after {moved * 1000:.0f} ms, first answer of 6447 after {(first - at) * 1000:.0f} ms, "
           f"longest without echo {lost[0] * 1000:.0f} ms (IPv4), {lost[1] * 1000:.0f} ms (IPv6)")
    assert 0 < moved < 1.0, tier.story()
    assert off is not None and off <= holders["rt2"].spans[0][0] + 0.02, "the old owner let go first"
    assert len(holders["rt2"].spans) == 1 and not holders["rt3"].spans, tier.story()
    assert max(lost) < 1.0, lost
    assert not asker.wrong()
    # The session ended with its router.
    assert session.breaks and session.breaks[0][1] - at < 1.0 and session.breaks[0][3], session.breaks


@pytest.mark.parametrize("address", BOTH)
def test_an_open_session_is_lost_at_once_when_the_address_moves(tier, figure, address):
    with Session(tier.client, address, pause=5, timeout=20) as session:
        # In a query that would last on.
        wait_until(lambda: asked(tier, session.mark), 10, "the session is in its query")
        at = tier.move("rt2")
        wait_until(lambda: session.breaks and session.breaks[0][3], 15, lambda: f"lost and repeated: {session.breaks}")
    [_, lost, words, again] = session.breaks[0]
    figure(f"planned move, open session at [{address}]: lost after {(lost - at) * 1000:.0f} ms, answered again after {(again - at) * 1000:.0f} ms")
    # A reset, not a timeout; with time for the command to start on a loaded machine.
    assert "2013" in words and lost - at < 2.0, session.breaks
    # A connection that is begun within the move's milliseconds waits for TCP's own repetition, a second each.
    assert again - at < 5.0, session.breaks


def asked(tier, mark):
    """Whether a session of the test is in its query."""
    return tier.servers[0].sql("SELECT 1 FROM information_schema.processlist WHERE user = 'app' AND info LIKE %s", args=(f"%{mark}%",))


def test_stopped_databases_move_nothing(tier):
    with_address = [Holder(host) for host in tier.hosts]
    for thread in with_address:
        thread.start()
    try:
        for server in tier.servers:
            server.kill9()
        time.sleep(4)
        told = tier.hosts[0].ask("status")
        # Shown, and that is all.
        assert "ACTIVE" in told and ("OK_WARN" in told or "OK_CRITICAL" in told) and "FAIL" not in told, told
    finally:
        for thread in with_address:
            thread.running = False
    spans = [thread.stop().spans for thread in with_address]
    assert [len(found) for found in spans] == [1, 0, 0] and spans[0][0][1] is None, tier.story()
    for server in tier.servers:
        server.start()
    for server in tier.servers:
        server.wait_ready(60)
    for address in BOTH:
        wait_until(lambda: tier.client.namespace.call(ask, address, 6446) == (1, 0), 20, f"[{address}]:6446 answers again")
    # A static X route whose servers were all out of reach stays so until the router is started anew.
    for host in tier.hosts[::-1]:
        host.kill_router()


def test_a_crashed_host_loses_the_address_and_comes_back(tier, figure):
    rt1, rt2 = tier.hosts[:2]
    with Holder(rt2) as second, Ping(tier.client, VIP4) as four, Ping(tier.client, VIP6) as six:
        clients_answered(four, six)
        at = time.time()
        rt1.pull()
        rt1.kill_agent()
        wait_until(lambda: second.spans, 10, lambda: f"rt2 takes over: {tier.story()}")
        time.sleep(0.5)
    lost = [max((b - a for a, b in ping.outages(at - 0.2)), default=0.0) for ping in (four, six)]
    figure(f"host crashed: address on rt2 after {(second.spans[0][0] - at) * 1000:.0f} ms, longest without echo "
           f"{lost[0] * 1000:.0f} ms (IPv4), {lost[1] * 1000:.0f} ms (IPv6)")
    # Three adverts of 100 ms and a skew, with time for a loaded machine.
    assert second.spans[0][0] - at < 2.0 and max(lost) < 2.5
    # The kernel of the dead agent's host lets go by itself.
    wait_until(lambda: not rt1.holds(), 6, "the address ends by its lifetime")
    rt1.plug()
    rt1.start_agent()
    wait_until(lambda: tier.sees_all(rt1), 30, lambda: f"rt1 is back: {tier.story()}", every=0.1)
    assert tier.holders() == ["rt2"], tier.story()
