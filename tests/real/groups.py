"""What the tests of pools that follow share: a group and a watcher on it, and the truth, asked of the servers themselves."""

import threading
import time

import pymysql

from .watch import Watch, configuration, delay

#: From the group's decision to the switch: one interval (the default), and what a loaded machine adds.
FOLLOW_MS = 500 + 2000


class Truth:
    """Asks the servers directly, in a thread of its own, until a condition holds; `at` is then the moment."""

    def __init__(self, condition):
        self.condition = condition
        self.at = None
        self.value = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="truth", daemon=True)
        self._thread.start()

    def _run(self):
        while not self._end.is_set() and self.at is None:
            try:
                value = self.condition()
            except (OSError, pymysql.err.MySQLError):
                value = None
            if value:
                self.value, self.at = value, time.monotonic()
            self._end.wait(0.01)

    def wait(self, timeout=40):
        self._thread.join(timeout)
        self._end.set()
        assert self.at is not None, f"the servers did not decide within {timeout} s"
        return self.value


class Stage:
    """A group that runs through all tests of a file, and an instance that follows it from its first election to the end."""

    def __init__(self, group, secret, kind="group"):
        self.group = group
        self.nodes = group.nodes
        self.watch = Watch(configuration(self.nodes, pool={"kind": kind}, password_file=secret))

    def close(self):
        self.watch.close()
        self.group.discard()
        self.group.hosts.close()

    def active(self):
        """The server that has the role."""
        name = self.watch.active()
        return next((node for node in self.nodes if node.address == name), None)

    def followed(self, truth, figure, what):
        """The one switch since `forget`, to the node that the servers decided for, within an interval of their decision."""
        chosen = truth.wait()
        switch = self.watch.event("switch", chosen, timeout=10)
        late = delay(switch, truth.at)
        figure(f"{what}: followed {late:.0f} ms after the group's decision")
        # The watcher may have asked the chosen one before the test did.
        assert -2000 < late < FOLLOW_MS, self.watch.story()
        switches = [event for event in self.watch.switches() if event.node != ""]
        assert [event.node for event in switches] == [chosen.address], self.watch.story()
        assert self.active() is chosen
        return switch
