"""Programs that are told of a floating address: the shipped one for a cloud, with a stand-in for the cloud's own program, and what
holds for all of them: facts, order, time, failure, and that a late release undoes nothing."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from servers import Workspace, wait_until
from servers.faults import Namespace
from servers.router_tier import ROOT, Host, command
from servers.workspace import popen

VIP = "10.0.0.101"
OCI_CLAIM = ROOT / "examples" / "hooks" / "oci-claim.sh"

# Notes when it begins and ends, and if another one of this host runs; does what files say: NAME.HOST.seconds to last, NAME.HOST.fails
# to fail. The lock is the kernel's, which lets go when all who hold it have ended; a killed one may take a moment.
RECORDER = """#!/bin/sh
name=${{0##*/}} at={folder}
note() {{ echo "$1 $(date +%s.%N) $$ $name $PRIMACY_HOST $PRIMACY_EVENT $PRIMACY_EPOCH $*" >> $at/ledger; }}
env | grep ^PRIMACY_ | sort > $at/$name.$PRIMACY_HOST.environment
exec 9> $at/lock.$PRIMACY_HOST
flock -w 0.25 9 || note overlaps "$@"
note begin "$@"
[ ! -e $at/$name.$PRIMACY_HOST.seconds ] || sleep $(cat $at/$name.$PRIMACY_HOST.seconds)
note end "$@"
[ ! -e $at/$name.$PRIMACY_HOST.fails ] || {{ echo "ServiceError: the service says no"; exit 1; }}
"""


class Pair:
    """Two hosts, `a` before `b`, and programs that note what they are told."""

    def __init__(self, space):
        self.folder = Path(space.path)
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        for name in ("oci", "released", "fault"):
            path = self.bin / name
            path.write_text(RECORDER.format(folder=self.folder))
            path.chmod(0o755)
        key = self.folder / "key"
        key.touch(0o600)
        key.write_text(os.urandom(32).hex())
        self.switch = Namespace()
        self.switch.run("ip", "link", "add", "bridge", "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
        self.switch.run("ip", "link", "set", "bridge", "up")
        self.hosts = {name: Host(self.switch, name, 10 + n) for n, name in enumerate("ab", 1)}
        self.agents, self.logs = {}, {name: self.folder / f"{name}.log" for name in self.hosts}

    def start(self, name, *settings):
        hosts = ", ".join(f'{host.name} = "{host.ip}:6470"' for host in self.hosts.values())
        claim = ["/usr/bin/env", f"PATH={self.bin}:/usr/bin:/bin", str(OCI_CLAIM), f"ocid1.vnic.{name}"]
        words = ", ".join(f'"{word}"' for word in claim)
        config = self.folder / f"{name}.toml"
        config.write_text("\n".join([
            f'cache_file = "{self.folder}/{name}.cache"',
            "[tier]",
            f'host = "{name}"',
            f"hosts = {{ {hosts} }}",
            f'key_file = "{self.folder}/key"',
            "[vip.front]",
            f'addresses = ["{VIP}/16", "fe80::65/64", "fd00::101/64"]',
            'interface = "eth0"',
            "vrid = 77",
            'advert_interval = "100ms"',
            "locations = { a = 150, b = 100 }",
            f"on_claim = [{words}]",
            f'on_release = ["{self.bin}/released"]',
            f'on_fault = ["{self.bin}/fault"]',
            *settings,
        ]) + "\n")
        with open(self.logs[name], "ab") as log:
            self.agents[name] = popen([command(), "--config", config, "run"], self.hosts[name].namespace.handle, stdout=log, stderr=log)

    def stop(self, name):
        self.agents[name].terminate()
        self.agents[name].wait(10)

    def set(self, program, host, what, text=""):
        (self.folder / f"{program}.{host}.{what}").write_text(str(text))

    def holds(self, name):
        return VIP in self.hosts[name].namespace.run("ip", "-4", "addr", "show", "dev", "eth0")

    def wait_holder(self, name, timeout=15):
        wait_until(lambda: self.holds(name), timeout, lambda: f"{name} has the address: {self.story()}")

    def log(self, name):
        return self.logs[name].read_text(errors="replace")

    def wait_log(self, name, pattern, timeout=15):
        return wait_until(lambda: re.search(pattern, self.log(name)), timeout, lambda: f"{pattern}: {self.story()}")

    def ledger(self, program=None, host=None):
        """What was noted: dicts in order."""
        path = self.folder / "ledger"
        found = []
        for line in path.read_text().splitlines() if path.exists() else ():
            what, at, pid, name, where, event, epoch, *words = line.split()
            found.append({"what": what, "at": float(at), "pid": int(pid), "program": name, "host": where, "event": event,
                          "epoch": int(epoch), "words": words[1:]})
        return [e for e in found if program in (None, e["program"]) and host in (None, e["host"])]

    def wait_noted(self, program, host, what, number=1, timeout=15):
        def noted():
            found = [entry for entry in self.ledger(program, host) if entry["what"] == what]
            return found if len(found) >= number else None

        return wait_until(noted, timeout, lambda: f"{program} on {host}: {what} {number} times: {self.story()}")

    def story(self):
        ledger = "\n".join(map(str, self.ledger()))
        return "\n".join([*(f"--- {name}\n{self.log(name)}" for name in self.agents), "--- ledger", ledger])

    def close(self):
        for agent in self.agents.values():
            agent.kill()
            agent.wait(10)
        for entry in self.ledger():
            # What a killed agent left.
            try:
                if str(self.bin) in Path(f"/proc/{entry['pid']}/cmdline").read_text():
                    os.kill(entry["pid"], signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError):
                pass
        for host in self.hosts.values():
            host.namespace.close()
        self.switch.close()


@pytest.fixture
def pair():
    with Workspace("primacy-hooks-") as space:
        made = Pair(space)
        try:
            yield made
        finally:
            made.close()


def test_the_cloud_is_told_at_every_claim(pair):
    pair.start("a")
    pair.wait_holder("a")
    pair.wait_noted("oci", "a", "end", 2)
    pair.start("b")
    # The address of each family that is routed, and for this host's VNIC; not the link-local one.
    first, second = pair.ledger("oci", "a")[0], pair.ledger("oci", "a")[2]
    assert first["words"] == ["--auth", "instance_principal", "network", "vnic", "assign-private-ip", "--unassign-if-already-assigned",
                              "--vnic-id", "ocid1.vnic.a", "--ip-address", VIP]
    assert second["words"][4] == "assign-ipv6" and second["words"][-1] == "fd00::101"
    assert len(pair.ledger("oci", "a")) == 4
    facts = dict(line.split("=", 1) for line in (pair.folder / "oci.a.environment").read_text().splitlines())
    assert facts["PRIMACY_EVENT"] == "claim" and facts["PRIMACY_VIP"] == "front" and facts["PRIMACY_HOST"] == "a"
    assert facts["PRIMACY_INTERFACE"] == "eth0" and facts["PRIMACY_ADDRESSES"] == f"{VIP}/16 fe80::65/64 fd00::101/64"
    assert facts["PRIMACY_RULE"].isdigit() and facts["PRIMACY_REASON"] and int(facts["PRIMACY_EPOCH"]) == first["epoch"]
    # A planned move: told on the other host, under a higher epoch.
    pair.wait_log("b", "a is heard")
    pair.stop("a")
    pair.wait_holder("b")
    moved = pair.wait_noted("oci", "b", "end", 2)
    assert moved[0]["words"][7] == "ocid1.vnic.b" and moved[0]["epoch"] > first["epoch"], pair.story()


@pytest.mark.parametrize("order", ["before", "beside"])
def test_the_order_of_program_and_address(pair, order):
    pair.set("oci", "a", "seconds", 1)
    pair.start("a", f'claim_order = "{order}"')
    [begun, *_] = pair.wait_noted("oci", "a", "begin")
    pair.wait_holder("a")
    there = time.time()
    # Two addresses of a second each.
    [*_, ended] = pair.wait_noted("oci", "a", "end", 2)
    if order == "before":
        assert there > ended["at"], "the address is added once the program has ended well"
    else:
        assert there < ended["at"], "the address is added while the program runs"


@pytest.mark.parametrize("policy", ["release", "alarm"])
def test_a_program_that_fails(pair, policy):
    pair.start("b", f'on_hook_failure = "{policy}"')
    pair.wait_holder("b")
    pair.set("oci", "a", "fails")
    # With failure_timeout it would come back only then.
    pair.start("a", f'on_hook_failure = "{policy}"', 'stickiness = 0')
    if policy == "release":
        pair.wait_log("a", r"rule 782.*exit code 1: .*the service says no")
        pair.wait_holder("b")
        wait_until(lambda: not pair.holds("a"), 5, lambda: f"a lets go: {pair.story()}")
    else:
        pair.wait_log("a", r"rule 781.*on_claim: exit code 1: .*the service says no")
        assert pair.holds("a") and not pair.holds("b"), pair.story()


def test_a_program_that_hangs_is_killed_and_delays_nothing(pair):
    pair.set("oci", "a", "seconds", 600)
    pair.start("b")
    pair.wait_holder("b")
    pair.start("a", 'hook_timeout = "700ms"', "stickiness = 0")
    # Nothing waits for it: neither the address nor the adverts.
    pair.wait_log("b", r"rule 771")
    pair.wait_holder("a")
    [begun] = pair.wait_noted("oci", "a", "begin")
    pair.wait_log("a", r"rule 781.*still running at hook_timeout")
    wait_until(lambda: not Path(f"/proc/{begun['pid']}").exists(), 5, "the whole group of the program is killed")
    assert pair.log("b").count("rule 770") == 1, pair.story()


def test_a_release_that_a_newer_claim_overtook_is_ended(pair):
    pair.start("a", "stickiness = 255")
    pair.wait_holder("a")
    pair.wait_noted("oci", "a", "end", 2)
    pair.start("b")
    pair.wait_log("b", "a is heard")
    pair.set("released", "a", "seconds", 600)
    # The line is out: `a` lets go, and its release hook begins; `b` comes by itself.
    pair.hosts["a"].namespace.run("ip", "link", "set", "eth0", "down")
    [begun] = pair.wait_noted("released", "a", "begin")
    pair.wait_holder("b")
    claimed = pair.wait_noted("oci", "b", "end", 2)[0]
    pair.hosts["a"].namespace.run("ip", "link", "set", "eth0", "up")
    pair.wait_log("a", r"rule 783")
    wait_until(lambda: not Path(f"/proc/{begun['pid']}").exists(), 5, "the program is ended")
    assert claimed["epoch"] > begun["epoch"]
    assert not [entry for entry in pair.ledger("released", "a") if entry["what"] == "end"], pair.story()


def test_never_two_programs_at_a_time(pair):
    for program in ("oci", "released"):
        pair.set(program, "a", "seconds", 1.5)
    # Alone, so that the address comes back as soon as the line does.
    pair.start("a")
    pair.wait_holder("a")
    for number in range(4):
        pair.hosts["a"].namespace.run("ip", "link", "set", "eth0", "down")
        pair.wait_log("a", rf"(?s)(rule 771.*){{{number + 1}}}")
        pair.hosts["a"].namespace.run("ip", "link", "set", "eth0", "up")
        pair.wait_holder("a")
    pair.wait_log("a", r"(?s)(rule 770.*){5}")
    last = int(re.findall(r"rule 770.*?epoch (\d+)", pair.log("a"))[-1])
    wait_until(lambda: [e for e in pair.ledger("oci", "a") if e["what"] == "end" and e["epoch"] == last][1:], 15, lambda: pair.story())
    epochs = [entry["epoch"] for entry in pair.ledger("oci", "a") if entry["what"] == "begin"]
    assert epochs == sorted(epochs), "in the order of the ownerships"
    assert not [entry for entry in pair.ledger() if entry["what"] == "overlaps"], pair.story()
    # The claims overtook the releases, which were ended.
    assert [e for e in pair.ledger("released") if e["what"] == "begin"] and not [e for e in pair.ledger("released") if e["what"] == "end"]
