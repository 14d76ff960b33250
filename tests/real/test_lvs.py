"""LVS: examples/lvs as it stands, but for addresses and paths, over two real servers and the agent.

This kernel has no IPVS. The real ldirectord runs with a stand-in for `ipvsadm` that keeps the table and prints it; keepalived
checks its configuration itself, and its MISC_CHECKs are carried out here as its manual describes them.
"""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
from servers import PROBE, wait_until

from .balancers import COMMAND, ROOT, Agent, Process, from_example, write_password

WRITES, READS = "10.0.1.100:3306", "10.0.1.101:3306"

# In debug mode ldirectord takes an `ipvsadm` that lies in its working directory.
IPVSADM = '''#!{python} -IS
import fcntl, json, sys
words = sys.argv[1:]
with open("table.json", "a+") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    file.seek(0)
    table = json.loads(file.read() or "{{}}")
    def after(option):
        return words[words.index(option) + 1]
    if "-L" in words:
        limits = "--thresholds" in words
        print("IP Virtual Server version 1.2.1 (size=4096)\\nProt LocalAddress:Port Scheduler Flags\\n  -> RemoteAddress:Port")
        for virtual, reals in table.items():
            print(f"TCP  {{virtual}} wrr")
            for real, weight in reals.items():
                print(f"  -> {{real}}  0  0  0  0" if limits else f"  -> {{real}}  Route   {{weight}}  0  0")
    elif "-A" in words:
        table[after("-t")] = {{}}
    elif "-D" in words:
        table.pop(after("-t"), None)
    elif "-a" in words or "-e" in words:
        table[after("-t")][after("-r")] = int(after("-w"))
    elif "-d" in words:
        table[after("-t")].pop(after("-r"), None)
    file.truncate(0)
    file.write(json.dumps(table))
'''


@pytest.fixture
def site(rings, tmp_path):
    ring = rings("mariadb").mend()
    config = from_example(
        "lvs/primacy.toml",
        tmp_path / "primacy.toml",
        {
            "/var/lib/primacy/cache": tmp_path / "cache",
            "/etc/primacy/probe.password": write_password(tmp_path / "password"),
            'user = "primacy"': f'user = "{PROBE.user}"',
            "10.0.1.11:3306": ring.a.address,
            "10.0.1.12:3306": ring.b.address,
        },
    )
    agent = Agent(tmp_path, config)
    try:
        settled(agent, ring.a, ring.b)
        yield ring, agent, tmp_path
    finally:
        agent.close()


def settled(agent, active, standby):
    for node, role in ((active, "primary"), (standby, "replica")):
        wait_until(
            lambda: agent.run("up", node.address, "--role", role, code=None).returncode == 0, 30, lambda: agent.said()
        )


def test_ldirectord(site):
    ring, agent, folder = site
    a, b = ring.nodes
    for name in ("server_is_active", "is_server_up"):
        (folder / name).symlink_to(COMMAND)
    from_example(
        "lvs/ldirectord.cf",
        folder / "ldirectord.cf",
        {
            "/usr/bin/server_is_active": folder / "server_is_active",
            "/usr/bin/is_server_up": folder / "is_server_up",
            "10.0.1.11:3306": a.address,
            "10.0.1.12:3306": b.address,
            # A loaded machine takes its time to start a program.
            "checktimeout = 3": "checktimeout = 20",
        },
    )
    stand_in = folder / "ipvsadm"
    stand_in.write_text(IPVSADM.format(python=sys.executable))
    stand_in.chmod(0o755)

    def table():
        try:
            return json.loads((folder / "table.json").read_text())
        except (OSError, ValueError):
            return {}

    def becomes(wanted, timeout=90):
        wait_until(lambda: table() == wanted, timeout, lambda: f"{wanted} in {table()}; {balancer.said()[-2000:]}")

    command = ["env", "-C", folder, f"PRIMACY_CONFIG={folder}/primacy.toml", "perl", "/usr/sbin/ldirectord", "-d", folder / "ldirectord.cf", "start"]
    balancer = Process(folder, "ldirectord", command)
    try:
        # Writes go to the ACTIVE node, reads to every node that may have clients.
        becomes({WRITES: {a.address: 1}, READS: {a.address: 1, b.address: 1}})
        a.kill9()
        # The server that is down keeps its place with weight 0: its virtual server is `quiescent`.
        becomes({WRITES: {b.address: 1}, READS: {a.address: 0, b.address: 1}})
        a.restart()
        wait_until(
            lambda: agent.run("recover", a.address, code=None).returncode == 0, 20, lambda: agent.said()
        )
        becomes({WRITES: {a.address: 1}, READS: {a.address: 1, b.address: 1}})
        assert not balancer.ended(), balancer.said()
    finally:
        balancer.close()


def misc_checks(text):
    """The checks of a keepalived configuration: virtual server, real server, path, whether it is dynamic, weight."""
    for virtual in re.split(r"\nvirtual_server ", text)[1:]:
        name = ":".join(virtual.split()[:2])
        for real in virtual.split("real_server ")[1:]:
            path = re.search(r'misc_path "(.*)"', real).group(1)
            weight = int(re.search(r"\bweight (\d+)", real).group(1))
            yield name, ":".join(real.split()[:2]), path, "misc_dynamic\n" in real, weight


def as_keepalived(config):
    """One round of all checks: keepalived.conf(5), MISC_CHECK. `None` is a server that is out."""
    table = {}
    for virtual, real, path, dynamic, weight in misc_checks(config.read_text()):
        code = subprocess.run(shlex.split(path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30).returncode
        alive = code == 0 or (dynamic and 2 <= code <= 255)
        table.setdefault(virtual, {})[real] = (code - 2 if code else weight) if alive else None
    return table


def test_keepalived(site):
    ring, agent, folder = site
    a, b = ring.nodes
    for node in (a, b):
        assert node.host == "127.0.0.1"
    config = from_example(
        "lvs/keepalived.conf",
        folder / "keepalived.conf",
        {
            "/usr/bin/primacy -c /etc/primacy/primacy.toml": f"{COMMAND} -c {folder}/primacy.toml",
            "10.0.1.11 3306": f"127.0.0.1 {a.port}",
            "10.0.1.12 3306": f"127.0.0.1 {b.port}",
        },
    )
    # As it stands: with `lb_kind DR` all ports must be the same, which two servers of one machine cannot have.
    example = ROOT / "examples" / "lvs" / "keepalived.conf"
    checked = subprocess.run(["keepalived", "-t", "-f", example], capture_output=True, text=True, timeout=30)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, ""), checked
    wrong = folder / "wrong.conf"
    wrong.write_text(example.read_text().replace("misc_dynamic\n", "misc_dynamik\n"))
    assert subprocess.run(["keepalived", "-t", "-f", wrong], capture_output=True, timeout=30).returncode != 0

    def becomes(writes, reads):
        wanted = {WRITES: dict(zip((a.address, b.address), writes)), READS: dict(zip((a.address, b.address), reads))}
        wait_until(lambda: as_keepalived(config) == wanted, 30, lambda: f"{wanted}, not {as_keepalived(config)}; {agent.said()}")

    # The weight of the second node is 3. The ACTIVE node's readers may stay, none come.
    becomes((1, None), (0, 3))
    agent.run("set", b.address, "--weight", "253", "--reason", "the most that the code can say")
    becomes((1, None), (0, 253))
    agent.run("set", b.address, "--weight", "1000", "--reason", "more than that")
    becomes((1, None), (0, 253))
    agent.run("maintenance", b.address, "--stay", "--reason", "a new disk")
    becomes((1, None), (0, 0))
    agent.run("unset", b.address)
    becomes((1, None), (0, 3))
    a.kill9()
    becomes((None, 1), (None, 0))
    # Without an agent the cache answers; without either nobody has clients, whatever a code means as a weight.
    agent.popen.kill()
    agent.popen.wait()
    becomes((None, 1), (None, 0))
    os.unlink(folder / "cache")
    becomes((None, None), (None, None))
