"""Servers that form a group: MySQL Group Replication and Galera, each member on a host of its own.

    with PrivateNetwork():
        hosts = Hosts(3)
        group = GroupReplication(space, hosts).start()
        hosts.isolate(0)             # from the other hosts; whoever lives in the test's namespace still reaches it

A host is a network namespace with one cable into the namespace of the test, which routes between them.
"""

import os
import re
import shutil
import uuid

import pymysql

from .accounts import PROBE, REPLICATION
from .faults import Namespace
from .server import ServerError
from .topology import wait_until
from .workspace import NetNs, free_port, output

# --- hosts --------------------------------------------------------------------------------------------------------------------


class Hosts:
    """Hosts around the calling thread's namespace, which must be one of the test's own: 10.99.N.2 on the N-th, counted from 1."""

    def __init__(self, number):
        self.home = NetNs.current()
        if not self.home.is_ours():
            raise ServerError("hosts are for namespaces the test made: use PrivateNetwork")
        self.namespaces = [Namespace() for _ in range(number)]
        self.addresses = [f"10.99.{n}.2" for n in range(1, number + 1)]
        for n, namespace in enumerate(self.namespaces, 1):
            # By a descriptor of its own: `ip` would look for the path of the calling process in its own one.
            self.home.run("ip", "link", "add", f"h{n}", "type", "veth", "peer", "name", "eth0", "netns", namespace.path)
            self.home.run("ip", "addr", "add", f"10.99.{n}.1/24", "dev", f"h{n}")
            self.home.run("ip", "link", "set", f"h{n}", "up")
            namespace.run("ip", "addr", "add", f"10.99.{n}.2/24", "dev", "eth0")
            namespace.run("ip", "link", "set", "eth0", "up")
            namespace.run("ip", "route", "add", "default", "via", f"10.99.{n}.1")
        self.home.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        self.home.run(
            "nft",
            """
            table inet primacy_hosts {
                set isolated { type ipv4_addr; }
                set unplugged { type ipv4_addr; }
                chain between {
                    type filter hook forward priority 0; policy accept;
                    ip saddr @isolated drop
                    ip daddr @isolated drop
                    ip saddr @unplugged drop
                    ip daddr @unplugged drop
                }
                chain arriving { type filter hook input priority 0; policy accept; ip saddr @unplugged drop; }
                chain leaving { type filter hook output priority 0; policy accept; ip daddr @unplugged drop; }
            }""",
        )

    def isolate(self, *numbers):
        """Cut hosts off from the other hosts. The namespace of the test still reaches them."""
        self._set("add", "isolated", numbers)

    def unplug(self, *numbers):
        """Cut hosts off from everybody."""
        self._set("add", "unplugged", numbers)

    def heal(self):
        for name in ("isolated", "unplugged"):
            self.home.run("nft", "flush", "set", "inet", "primacy_hosts", name)

    def _set(self, verb, name, numbers):
        addresses = ", ".join(self.addresses[n] for n in numbers)
        self.home.run("nft", verb, "element", "inet", "primacy_hosts", name, f"{{ {addresses} }}")

    def close(self):
        for namespace in self.namespaces:
            namespace.close()


# --- what both kinds share ----------------------------------------------------------------------------------------------------


class Group:
    """Three or more servers; `nodes` in the order of their hosts."""

    flavour = ""

    def __init__(self, space, hosts):
        self.space = space
        self.hosts = hosts
        self.ports = [free_port() for _ in hosts.addresses]
        self.nodes = []

    def addresses(self):
        """Where the members speak to each other."""
        return [f"{address}:{port}" for address, port in zip(self.hosts.addresses, self.ports)]

    def create(self):
        for place, (host, namespace) in enumerate(zip(self.hosts.addresses, self.hosts.namespaces)):
            node = self.space.create(self.flavour, bind=host, netns=namespace, options=self.options(place))
            self.nodes.append(node)
        return self.nodes

    def others(self, *nodes):
        return [node for node in self.nodes if node not in nodes]

    def place(self, node):
        return self.nodes.index(node)

    def discard(self):
        for node in self.nodes:
            node.discard()


# --- MySQL Group Replication --------------------------------------------------------------------------------------------------


class GroupReplication(Group):
    """Group Replication in single-primary mode unless told otherwise. A silent member is expelled some five seconds after its
    last word, the shortest that the server offers."""

    flavour = "mysql"

    def __init__(self, space, hosts, single_primary=True):
        super().__init__(space, hosts)
        self.name = str(uuid.uuid4())
        self.single_primary = single_primary

    def options(self, place):
        switch = "ON" if self.single_primary else "OFF"
        return [
            "--plugin-load-add=group_replication.so",
            f"--loose-group-replication-group-name={self.name}",
            f"--loose-group-replication-local-address={self.addresses()[place]}",
            f"--loose-group-replication-group-seeds={','.join(self.addresses())}",
            "--loose-group-replication-ip-allowlist=10.99.0.0/16",
            "--loose-group-replication-start-on-boot=OFF",
            f"--loose-group-replication-single-primary-mode={switch}",
            f"--loose-group-replication-enforce-update-everywhere-checks={'OFF' if self.single_primary else 'ON'}",
            "--loose-group-replication-recovery-get-public-key=ON",
            "--loose-group-replication-member-expel-timeout=0",
            # A member that comes back does so when the test asks for it.
            "--loose-group-replication-autorejoin-tries=0",
            # The default closes it to all but administrators, and so to the test.
            "--loose-group-replication-exit-state-action=READ_ONLY",
        ]

    def start(self):
        for node in self.create():
            node.start()
        for node in self.nodes:
            node.wait_ready()
            self.prepare(node)
        first = self.nodes[0]
        first.sql("SET GLOBAL group_replication_bootstrap_group = ON")
        first.sql("START GROUP_REPLICATION", timeout=60)
        first.sql("SET GLOBAL group_replication_bootstrap_group = OFF")
        for node in self.nodes[1:]:
            node.sql("START GROUP_REPLICATION", timeout=60)
        self.wait_online()
        first.sql("CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)")
        for node in self.nodes:
            wait_until(lambda node=node: node.sql("SELECT 1 FROM app.t LIMIT 1") is not None, 20, f"the table on {node!r}")
        return self

    def prepare(self, node):
        node.sql_unlogged(
            f"GRANT CONNECTION_ADMIN, BACKUP_ADMIN, GROUP_REPLICATION_STREAM ON *.* TO '{REPLICATION.user}'@'%'",
            *(grant.format(account=f"'{PROBE.user}'@'%'") for grant in PROBE_GRANTS),
            # Members log in to each other over TCP.
            f"CHANGE REPLICATION SOURCE TO SOURCE_USER='{REPLICATION.user}', SOURCE_PASSWORD='{REPLICATION.password}'"
            " FOR CHANNEL 'group_replication_recovery'",
        )
        node.sql("SELECT 1", user=PROBE.user)
        node.sql("SELECT 1", user=REPLICATION.user)

    def view(self, node):
        """What a member says: {address: (state, role)} of its view."""
        rows = node.sql("SELECT MEMBER_HOST, MEMBER_PORT, MEMBER_STATE, MEMBER_ROLE FROM performance_schema.replication_group_members")
        return {f"{host}:{port}": (state, role) for host, port, state, role in rows}

    def primary(self, of=None):
        """The member that a member (by default any that answers with a majority) names as primary and that is writable."""
        for node in [of] if of else self.nodes:
            try:
                view = self.view(node)
            except (OSError, pymysql.err.MySQLError):
                continue
            online = [address for address, (state, _) in view.items() if state == "ONLINE"]
            if node.address not in online or 2 * len(online) <= len(view):
                continue
            for other in self.nodes:
                if view.get(other.address) == ("ONLINE", "PRIMARY") and other.running() and not other.value("@@super_read_only"):
                    return other
        return None

    def wait_online(self, nodes=None, timeout=60):
        wanted = nodes or self.nodes

        def all_online():
            return all(
                sum(state == "ONLINE" for state, _ in self.view(node).values()) == len(wanted)
                and len(self.view(node)) == len(wanted)
                for node in wanted
            )

        wait_until(all_online, timeout, lambda: "; ".join(self.describe(node) for node in wanted), every=0.1)

    def describe(self, node):
        try:
            return f"{node!r} sees {self.view(node)}"
        except (OSError, pymysql.err.MySQLError) as error:
            return f"{node!r}: {error}"

    def rejoin(self, node, timeout=60):
        """Bring a member back that was killed, expelled or stopped."""
        if not node.running():
            node.start()
            node.wait_ready()
        if self.view(node).get(node.address, ("", ""))[0] != "ONLINE":
            node.sql("STOP GROUP_REPLICATION", timeout=timeout)
            node.sql("START GROUP_REPLICATION", timeout=timeout)
        node.sql("SELECT 1", user=PROBE.user)

    def mend(self):
        """Everybody runs, is ONLINE and sees all the others."""
        self.hosts.heal()
        for node in self.nodes:
            if node.running():
                node._signal_if_stopped()
        healthy = [node for node in self.nodes if self._holds_majority(node)]
        if not healthy:
            raise ServerError("nobody holds a majority: " + "; ".join(self.describe(node) for node in self.nodes))
        for node in self.nodes:
            if node not in healthy or len(self.view(node)) < len(healthy):
                self.rejoin(node)
        self.wait_online()
        return self

    def _holds_majority(self, node):
        try:
            view = self.view(node)
        except (OSError, pymysql.err.MySQLError):
            return False
        online = [address for address, (state, _) in view.items() if state == "ONLINE"]
        return node.address in online and 2 * len(online) > len(view)

    def make_primary(self, node):
        """Move the primary by the group's own means."""
        anybody = next(other for other in self.nodes if other.running())
        anybody.sql(f"SELECT group_replication_set_as_primary('{node.value('@@server_uuid')}')", timeout=30)


#: What the probe's account needs in a group besides its other privileges.
PROBE_GRANTS = (
    "GRANT SELECT ON performance_schema.replication_group_members TO {account}",
    "GRANT SELECT ON performance_schema.replication_group_member_stats TO {account}",
)


# --- Galera -------------------------------------------------------------------------------------------------------------------


class Galera(Group):
    """A Galera cluster with short timeouts: a silent member is out after some three seconds."""

    flavour = "mariadb"
    LIBRARY = "/usr/lib/galera/libgalera_smm.so"
    USER = "nobody"

    def __init__(self, space, hosts):
        super().__init__(space, hosts)
        self.transfer = [free_port() for _ in hosts.addresses]

    def options(self, place):
        own = self.hosts.addresses[place]
        provider = {
            "gmcast.listen_addr": f"tcp://{own}:{self.ports[place]}",
            "ist.recv_addr": f"{own}:{self.transfer[place]}",
            "gcache.size": "16M",
            "evs.keepalive_period": "PT0.3S",
            "evs.inactive_check_period": "PT0.3S",
            "evs.suspect_timeout": "PT2S",
            "evs.inactive_timeout": "PT3S",
            "evs.install_timeout": "PT3S",
            "pc.recovery": "false",
        }
        return [
            "--wsrep-on=ON",
            f"--wsrep-provider={self.LIBRARY}",
            "--wsrep-cluster-name=primacy",
            f"--wsrep-cluster-address=gcomm://{','.join(self.addresses())}",
            f"--wsrep-node-address={self.addresses()[place]}",
            f"--wsrep-node-name=n{place}",
            "--wsrep-sst-method=rsync",
            "--wsrep-provider-options=" + ";".join(f"{key}={value}" for key, value in provider.items()),
            "--innodb-autoinc-lock-mode=2",
            "--gtid-strict-mode=OFF",
        ]

    def start(self):
        for node in self.create():
            if os.geteuid() == 0:
                # rsync, which brings a member up to date, serves files as root for nobody but itself.
                node.run_as = self.USER
                self.space.path.chmod(0o711)
                output(["chown", "-R", self.USER, node.folder])
        first, *rest = self.nodes
        # The first one begins the cluster's history; from a copy of its folder the others join without a transfer.
        self._start(first, "--wsrep-new-cluster")
        first.wait_ready()
        first.sql("CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)")
        first.shutdown()
        for node in rest:
            shutil.rmtree(node.data)
            output(["cp", "--reflink=auto", "--sparse=always", "-a", first.data, node.data])
        self._start(first, "--wsrep-new-cluster")
        first.wait_ready()
        for node in rest:
            self._start(node)
        for node in rest:
            node.wait_ready(60)
        self.wait_synced()
        return self

    def _start(self, node, *further):
        kept = node.options
        node.options = [*kept, *further]
        try:
            node.start()
        finally:
            node.options = kept

    def status(self, node):
        rows = node.sql("SHOW GLOBAL STATUS LIKE 'wsrep_%'")
        return dict(rows)

    def is_synced(self, node, size=None):
        try:
            status = self.status(node)
        except (OSError, pymysql.err.MySQLError):
            return False
        return (
            status["wsrep_cluster_status"] == "Primary"
            and status["wsrep_ready"] == "ON"
            and status["wsrep_local_state"] == "4"
            and (size is None or status["wsrep_cluster_size"] == str(size))
        )

    def describe(self, node):
        try:
            status = self.status(node)
        except (OSError, pymysql.err.MySQLError) as error:
            return f"{node!r}: {error}"
        wanted = ("cluster_status", "ready", "local_state_comment", "cluster_size", "cluster_conf_id")
        return f"{node!r}: " + ", ".join(f"{name} {status.get('wsrep_' + name)}" for name in wanted)

    def wait_synced(self, nodes=None, timeout=60):
        wanted = nodes or self.nodes
        wait_until(
            lambda: all(self.is_synced(node, len(wanted)) for node in wanted),
            timeout,
            lambda: "; ".join(self.describe(node) for node in wanted),
            every=0.05,
        )

    def rejoin(self, node):
        """Bring a member back that was killed: from where its own log says it was, or by a copy of another's data."""
        found = output([*node._command(), f"--datadir={node.data}", "--wsrep-recover", "--log-error=", *self._recover_options(node)])
        position = re.search(r"Recovered position:? *([0-9a-f-]+:-?\d+)", found)
        self._start(node, *([f"--wsrep-start-position={position.group(1)}"] if position else []))
        node.wait_ready(60)

    def _recover_options(self, node):
        return [f"--socket={node.folder / 'recover'}", f"--tmpdir={node.folder}", "--wsrep-on=ON", f"--wsrep-provider={self.LIBRARY}",
                "--innodb-autoinc-lock-mode=2", "--skip-networking", f"--server-id={node.server_id}", "--log-bin=binlog", "--binlog-format=ROW"]

    def mend(self):
        self.hosts.heal()
        for node in self.nodes:
            if node.running():
                node._signal_if_stopped()
        for node in self.nodes:
            if not node.running():
                self.rejoin(node)
            else:
                node.sql("SET GLOBAL wsrep_desync = OFF")
        self.wait_synced()
        return self
