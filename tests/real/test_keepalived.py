"""Whole agents and keepalived 2.2 as one virtual router, each in each role, and their packets as tshark reads them."""

import re
import struct
import time

import pytest

from servers.tier import LINK_LOCAL, VIP, VIP6, Tier, seconds, wait_until
from servers.workspace import output

TWENTY = [f"10.0.4.{n}/16" for n in range(1, 21)]
ADVERT = 0.1
#: For a loaded machine, beside what the timers say.
MARGIN = 1.5
#: What keepalived says of packets that it does not take.
COMPLAINTS = re.compile(r"bogus|checksum|mismatch|invalid|dropp|different|wrong", re.IGNORECASE)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with Tier(tmp_path_factory.mktemp("keepalived"), hosts=2) as tier:
        tier.floating |= {address.partition("/")[0] for address in TWENTY}
        yield tier


@pytest.fixture
def tier(made):
    made.mend()
    yield made
    for host in made.hosts:
        host.mend()


class Pair:
    """An agent on the first host and keepalived on the second, with the same settings."""

    def __init__(self, tier, ours, theirs, addresses=(f"{VIP}/16",), preempt=True, version=3, unicast=False, password=None,
                 our_advert=ADVERT, their_advert=ADVERT):
        self.tier = tier
        self.agent, self.keepalived = tier.hosts
        self.addresses = list(addresses)
        self.ours, self.theirs = ours, theirs
        self._their = dict(priority=theirs, advert=their_advert, addresses=self.addresses, preempt=preempt, version=version,
                           unicast=unicast, password=password)
        self._our = dict(addresses=self.addresses, location=ours, advert_interval=f"{round(our_advert * 1000)}ms", version=version,
                         stickiness=0 if preempt else 255, peers=False)
        if unicast:
            v6 = any(":" in a for a in addresses)
            self._our["unicast"] = [self.keepalived.link_local() if v6 else self.keepalived.address]
        if password:
            secret = tier.folder / "auth"
            secret.write_text(password)
            secret.chmod(0o600)
            self._our["auth_password_file"] = str(secret)

    def start(self, host):
        if host is self.agent:
            host.agent(**self._our)
        else:
            host.keepalived(**self._their)
        return host

    def ips(self):
        return [address.partition("/")[0] for address in self.addresses]

    def until(self, host, timeout):
        """Wait until this host has all addresses and the other one none."""
        wait_until(lambda: all(self.tier.owner(ip) is host for ip in self.ips()), timeout, lambda: self.tier.story(f"all are on {host.name}"), every=0.005)
        return time.time_ns()

    def other(self, host):
        return self.keepalived if host is self.agent else self.agent

    def check(self):
        """Neither side complained about the other's packets."""
        if self.keepalived.process:
            bad = [line for line in self.keepalived.process.log().splitlines() if COMPLAINTS.search(line)]
            assert not bad, bad
        bad = [line for line in self.agent.process.log().splitlines() if re.search(r"rule 7(29|3\d|4\d)\b", line) and "ALARM" in line]
        assert not bad, bad


CASES = {
    "one address": {},
    "two addresses": {"addresses": [f"{VIP}/16", "10.0.4.1/16"]},
    "twenty addresses": {"addresses": TWENTY},
    "IPv6": {"addresses": [f"{LINK_LOCAL}/64", f"{VIP6}/64"]},
    "unicast": {"unicast": True},
    "IPv6 unicast": {"addresses": [f"{LINK_LOCAL}/64", f"{VIP6}/64"], "unicast": True},
    "our interval is longer": {"our_advert": 0.3},
    "their interval is longer": {"their_advert": 0.3},
    "version 2": {"version": 2, "password": "geheim", "our_advert": 1, "their_advert": 1},
}


def down(advert, priority):
    return advert * (3 + (256 - priority) / 256)


@pytest.mark.parametrize("higher", ["ours", "theirs"])
@pytest.mark.parametrize("case", CASES)
def test_each_role(tier, case, higher):
    """The lower one owns until the higher one comes and takes over; the higher one crashes, and the lower one follows."""
    ours, theirs = (150, 100) if higher == "ours" else (100, 150)
    pair = Pair(tier, ours, theirs, **CASES[case])
    first = pair.start(pair.keepalived if higher == "ours" else pair.agent)
    slowest = max(CASES[case].get("our_advert", ADVERT), CASES[case].get("their_advert", ADVERT))
    pair.until(first, down(slowest, 100) + MARGIN + 0.5)
    second = pair.start(pair.other(first))
    pair.until(second, down(slowest, 150) + MARGIN + 0.5)
    at = second.pull()
    second.process.kill()
    wait_until(lambda: all(first.holds(ip) for ip in pair.ips()), down(slowest, 100) + MARGIN, lambda: tier.story("the lower one follows"), every=0.005)
    last = tier.capture.adverts(second.name)[-1]
    took = max(c.at for ip in pair.ips() for c in tier.addresses.since(at, ip) if c.host == first.name and c.here)
    # The interval of the dead owner counts, in version 3: it was learnt.
    advert = CASES[case].get("our_advert" if second is pair.agent else "their_advert", ADVERT)
    assert seconds(took - last.at) > 3 * advert * 0.9, f"{seconds(took - last.at)} s after the last advert"
    pair.check()


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_equal_priorities(tier, first):
    """Nobody takes anything from an equal one that owns."""
    pair = Pair(tier, 100, 100)
    owner = pair.start(pair.agent if first == "ours" else pair.keepalived)
    pair.until(owner, 4)
    pair.start(pair.other(owner))
    since = time.time_ns()
    wait_until(lambda: time.time_ns() > since + 1.5e9, 5, "two down intervals pass")
    assert tier.owner() is owner and not tier.addresses.since(since, VIP), tier.story()
    pair.check()


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_no_preemption(tier, first):
    """The higher one comes second and leaves the owner in peace."""
    pair = Pair(tier, *((100, 150) if first == "ours" else (150, 100)), preempt=False)
    owner = pair.start(pair.agent if first == "ours" else pair.keepalived)
    pair.until(owner, 4)
    pair.start(pair.other(owner))
    since = time.time_ns()
    wait_until(lambda: time.time_ns() > since + 1.5e9, 5, "two down intervals pass")
    assert tier.owner() is owner and not tier.addresses.since(since, VIP), tier.story()
    pair.check()


def test_we_leave(tier, figure):
    """To a foreign backup fifty priorities below: one advert at the least interval, then priority 0."""
    pair = Pair(tier, 150, 100, our_advert=1, their_advert=1)
    pair.start(pair.agent)
    pair.until(pair.agent, 6)
    pair.start(pair.keepalived)
    since = time.time_ns()
    wait_until(lambda: time.time_ns() > since + 1.2e9, 5, "it hears an advert")
    client = tier.ask()
    try:
        wait_until(lambda: len(client.look()) > 20, 5, "answers")
        at = pair.agent.process.stop()
        wait_until(lambda: client.answered_by(pair.keepalived, at), 5, lambda: tier.story("keepalived answers"))
        removed = next(c.at for c in tier.addresses.since(at, VIP) if c.host == "h1")
        added = next(c.at for c in tier.addresses.since(at, VIP) if c.host == "h2" and c.here)
        figure(
            f"tier: leaving towards keepalived, priorities 150 and 100: {seconds(added - removed) * 1000:.0f} ms from removal to addition, "
            f"{client.outage(at) * 1000:.0f} ms without an answer"
        )
        # Its own skew would be 0.6 s.
        assert client.outage(at) < 0.3, tier.story()
    finally:
        client.close()
    zero = [p for p in tier.capture.adverts("h1", at) if p.priority == 0]
    assert zero, "an advert of priority 0"


def test_they_leave(tier, figure):
    pair = Pair(tier, 100, 150, our_advert=1, their_advert=1)
    pair.start(pair.keepalived)
    pair.until(pair.keepalived, 6)
    pair.start(pair.agent)
    since = time.time_ns()
    wait_until(lambda: tier.capture.adverts("h2", since), 5, "an advert")
    time.sleep(0.3)
    at = pair.keepalived.process.stop()
    pair.until(pair.agent, 2.5)
    added = next(c.at for c in tier.addresses.since(at, VIP) if c.host == "h1" and c.here)
    zero = next(p.at for p in tier.capture.adverts("h2", at) if p.priority == 0)
    figure(f"tier: keepalived leaves: {seconds(added - zero) * 1000:.0f} ms after priority 0, by the timers {1000 * 156 / 256:.0f} ms")
    # Not the three intervals of a silence.
    assert 0.5 < seconds(added - zero) < 1.6


# --- packets as tshark reads them ----------------------------------------------------------------------------------------------


def read(tier, packets, *options):
    """What tshark says of the checksums of these packets: "Good", "Bad" or what else there is; and all of its text."""
    path = tier.folder / "adverts.pcap"
    with open(path, "wb") as out:
        out.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for packet in packets:
            out.write(struct.pack("=IIII", packet.at // 10**9, packet.at % 10**9 // 1000, len(packet.data), len(packet.data)))
            out.write(packet.data)
    text = output(["tshark", "-r", path, "-V", "-O", "vrrp", *options])
    return re.findall(r"Checksum: 0x[0-9a-f]+ \[?([a-z]+)", text), text


@pytest.mark.parametrize("form", ["compat", "rfc9568"])
@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_as_tshark_reads_them(tier, family, form, figure):
    addresses = [f"{VIP}/16", "10.0.4.1/16"] if family == "IPv4" else [f"{LINK_LOCAL}/64", f"{VIP6}/64"]
    agent = tier.hosts[0]
    since = time.time_ns()
    agent.agent(addresses=addresses, location=150, advert_interval="100ms", peers=False, checksum_v4=form)
    wait_until(lambda: len(tier.capture.adverts("h1", since)) >= 3, 5, "three adverts")
    packets = tier.capture.adverts("h1", since)[:3]
    said, text = read(tier, packets)
    assert "Malformed" not in text and len(said) == 3, text
    figure(f"tier: tshark on {family}, checksum_v4 = {form}: {said[0]}")
    # It wants the pseudo-header, as keepalived does.
    wanted = "incorrect" if (family, form) == ("IPv4", "rfc9568") else "correct"
    assert set(said) == {wanted}, text
    for words in ("Virtual Rtr ID: 51", "Priority: 150", "Addr Count: 2", "Adver Int: 10"):
        assert words in text, text
    for address in addresses:
        assert address.partition("/")[0] in text
    # The hop limit, and the protocol's group.
    first = packets[0].data
    assert (first[22] if family == "IPv4" else first[21]) == 255
