"""Hosts on one switch: a network namespace for each, with a line that can be pulled."""

from .faults import Namespace

SUBNET = "10.77.0"


class Host:
    """A host: its namespace, its address, and the switch's end of its line."""

    def __init__(self, lan, number, namespace):
        self.namespace = namespace
        self.address = f"{SUBNET}.{number}"
        self._switch = lan.switch
        self._port = f"port{number}"
        lan.switch.run("ip", "link", "add", self._port, "type", "veth", "peer", "name", "eth0", "netns", namespace.path)
        lan.switch.run("ip", "link", "set", self._port, "master", "bridge")
        namespace.run("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        namespace.run("ip", "link", "set", "eth0", "up")
        self.plug()

    @property
    def place(self):
        """Where a server of this host lives: options of `Workspace.create`."""
        return {"netns": self.namespace, "bind": self.address}

    def pull(self):
        """Pull the line out of the switch: for the others the host has lost its power. What runs in it does not notice."""
        self._switch.run("ip", "link", "set", self._port, "down")

    def plug(self):
        self._switch.run("ip", "link", "set", self._port, "up")


class Lan:
    """A switch and the hosts on it; `observer` is the namespace in which the library runs, on the same switch."""

    def __init__(self, observer, servers=2):
        self.switch = Namespace()
        # A bridge that learns at once and does not wait for a spanning tree.
        self.switch.run("ip", "link", "add", "bridge", "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
        self.switch.run("ip", "link", "set", "bridge", "up")
        self.observer = Host(self, 1, observer)
        self.hosts = [Host(self, 11 + number, Namespace()) for number in range(servers)]

    def close(self):
        for host in self.hosts:
            host.namespace.close()
        self.switch.close()
