"""Servers that replicate from each other, and waiting until they agree."""

import time

import pymysql

from .server import ServerError


def ring(*nodes):
    """Each node replicates from the one before it, the first from the last; two nodes replicate from each other."""
    if len(nodes) < 2:
        raise ValueError("a ring needs two nodes or more")
    for position, node in enumerate(nodes):
        node.follow(nodes[position - 1])
    wait_replicating(nodes)


def chain(*nodes):
    """Each node but the first replicates from the one before it."""
    for source, replica in zip(nodes, nodes[1:]):
        replica.follow(source)
    wait_replicating(nodes[1:])


def star(source, *replicas):
    """Every replica replicates from `source`."""
    for replica in replicas:
        replica.follow(source)
    wait_replicating(replicas)


def wait_until(condition, timeout, what, every=0.02):
    """Wait until `condition()` is true and return its value; errors of a server that is not there yet count as not true.
    `what` (text, or a function returning it) goes into the error."""
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = None
        except (OSError, pymysql.err.MySQLError) as error:
            last = error
        if time.monotonic() > deadline:
            text = what() if callable(what) else what
            raise ServerError(f"after {timeout} s still not: {text}" + (f" ({last})" if last else ""))
        time.sleep(every)


def wait_replicating(nodes, timeout=20):
    """Wait until both replication threads of every node say Yes."""
    for node in nodes:
        wait_until(
            lambda node=node: node.replication_threads() == ("Yes", "Yes"), timeout, lambda node=node: f"replicating: {state(node)}"
        )


def wait_converged(nodes, timeout=20):
    """Wait until every node has executed the same transactions, and return that position. Writers must have ended."""

    def agreed():
        positions = {node.gtid_position() for node in nodes}
        return len(positions) == 1 and (positions.pop() or "nothing")

    return wait_until(agreed, timeout, lambda: "converged: " + "; ".join(state(node) for node in nodes))


def state(node):
    """One line on where a node stands, for errors."""
    try:
        text = f"{node!r} at {node.gtid_position() or 'nothing'}"
        for row in node.replica_status():
            wanted = ("IO_Running", "SQL_Running", "Last_IO_Error", "Last_SQL_Error")
            text += " " + ", ".join(f"{key}={row[key]}" for key in row if key.endswith(wanted) and row[key])
        return text
    except (OSError, pymysql.err.MySQLError) as error:
        return f"{node!r}: {error}"
