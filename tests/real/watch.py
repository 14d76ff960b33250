"""One pool watched by an instance of the library, with a record of all its events."""

import time

import primacy

from servers import PROBE

POOL = "orders"
# What is waited for may come so many times later than on a machine that has nothing else to do. Where time is the subject, it is
# measured (`delay`).
PATIENCE = 3


def configuration(nodes, probe=None, pool=None, top=None, user=PROBE.user, password_file=None):
    """A configuration's text. `nodes` are servers or addresses, the first is the PRIMARY unless it is a pair (address, type)."""
    lines = [f"{key} = {toml(value)}" for key, value in (top or {}).items()]
    settings = {"user": user, "rsa_public_key": "from-server", **(probe or {})}
    if password_file:
        settings["password_file"] = str(password_file)
    lines += ["[probe]"] + [f"{key} = {toml(value)}" for key, value in settings.items() if value is not None]
    lines += [f"[pool.{POOL}]"] + [f"{key} = {toml(value)}" for key, value in (pool or {}).items()]
    lines.append("nodes = [")
    for place, node in enumerate(nodes):
        kind = "secondary" if place else "primary"
        if isinstance(node, tuple):
            node, kind = node
        lines.append(f'  {{ address = {toml(address(node))}, type = "{kind}" }},')
    lines.append("]")
    return "\n".join(lines) + "\n"


def toml(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def address(node):
    return node if isinstance(node, str) else node.address


class Watch:
    """An instance over one pool. Events are taken in whenever something is waited for; `events` holds them all.

    `run` says who drives it: "thread" (the library's own), "no" (nobody). A condition that does not come true fails with the
    events, the pool and its explanation in the text.
    """

    def __init__(self, text, run="thread"):
        self.instance = primacy.Instance(primacy.Config(text))
        self.pool = self.instance.pool(POOL)
        self.queue = self.instance.events(capacity=65536)
        self.events = []
        self.mark = 0
        self.closed = False
        if run == "thread":
            self.instance.start()

    # --- what is ---

    def node(self, server):
        return self.pool.node(address(server))

    def states(self):
        return [str(node.state) for node in self.pool.nodes()]

    def active(self):
        """The address of the ACTIVE node, also while routing pauses."""
        found = [node.name for node in self.pool.nodes() if node.state == "ACTIVE"]
        assert len(found) <= 1, f"two ACTIVE nodes: {found}"
        return found[0] if found else None

    # --- what happened ---

    def drain(self):
        self.events.extend(self.queue)
        return self.events

    def forget(self):
        """From here on `found` and `event` look at later events only."""
        self.drain()
        self.mark = len(self.events)

    def found(self, kind, server=None, **wanted):
        """The events since `forget` of a kind, for a node, with the fields given."""
        name = None if server is None else address(server)
        return [
            event
            for event in self.drain()[self.mark :]
            if event.kind == kind
            and (name is None or event.node == name)
            and all(getattr(event, key) == value for key, value in wanted.items())
        ]

    def event(self, kind, server=None, timeout=10, **wanted):
        """The first such event since `forget`, waited for."""
        return self.until(
            lambda: self.found(kind, server, **wanted), timeout, f"event {kind} {server or ''} {wanted or ''}"
        )[0]

    def switches(self):
        return self.found("switch")

    def until(self, condition, timeout, what):
        """Wait until `condition()` is true and return its value. Takes in events on the way."""
        timeout *= PATIENCE
        deadline = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"after {timeout} s still not: {what}\n{self.story()}")
            event = self.queue.wait(min(left, 0.02))
            if event is not None:
                self.events.append(event)

    def settled(self, active, timeout=15):
        """Wait until `active` has the role and everything is in good order, then forget the events so far."""
        name = address(active)

        def good():
            nodes = self.pool.nodes()
            return all(
                n.status == "OK" and n.cause == "ok" and n.state == ("ACTIVE" if n.name == name else "STANDBY") for n in nodes
            )

        self.until(good, timeout, f"{name} ACTIVE, the others STANDBY, all OK")
        self.forget()
        return self

    def holds(self, condition, seconds, what):
        """`condition()` is true now and for some seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert condition(), f"no longer: {what}\n{self.story()}"
            event = self.queue.wait(0.01)
            if event is not None:
                self.events.append(event)

    def story(self):
        """All that is known, for a failure."""
        lines = [describe(event) for event in self.drain()]
        for node in self.pool.nodes():
            lines.append(
                f"{node.name} {node.type} {node.state} {node.status} count={node.count} rule={node.rule} {node.cause}: {node.message}"
            )
        return "\n".join([*lines, self.pool.explain()])

    # --- end ---

    def close(self):
        if not self.closed:
            self.closed = True
            self.drain()
            self.queue.close()
            self.instance.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if kind is not None:
            print(self.story())
        self.close()


def describe(event):
    return (
        f"{event.mono_ns / 1e9:.3f} {event.severity} {event.kind} {event.node} rule={event.rule} epoch={event.epoch} {event.cause}"
        f" {event.old_state}->{event.new_state} {event.old_status}->{event.new_status} count={event.count}: {event.message}"
    )


def delay(event, since):
    """Milliseconds from `since` (time.monotonic()) to the decision that an event tells of: both are CLOCK_MONOTONIC."""
    return (event.mono_ns / 1e9 - since) * 1000
