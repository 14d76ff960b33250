"""Embeddable MySQL and MariaDB failover.

    cfg = primacy.Config()
    cfg.add_pool("name:orders;primary:10.0.1.11:3306;secondary:10.0.1.12:3306")
    with primacy.Instance(cfg) as p:
        p.start()
        node = p.pool("orders").active

Where clients go:

    connection = primacy.connect(p.pool("orders"), "rw", user="app", password=secret, database="shop")

In asyncio:

    async with primacy.Instance(cfg) as p:
        p.start()
        async for event in p.events(kinds=["switch"]):
            print(event.node, event.message)

Everything goes through the C contract of libprimacy.so.0 (docs/c-contract.md). In a forked child of a running instance every method of the
inherited objects raises PrimacyError with code FORKED.
"""

from ._connect import Connector, Session, connect, creator, session, sqlalchemy_events
from ._errors import Code, GtidUnknown, NoBackend, Paused, PrimacyError, SelectionError, Stale, Word
from ._events import Event, Events
from ._instance import Budget, BudgetLine, Config, Instance, Pool, Vip, open
from ._library import library
from ._selector import Backend, Selector
from ._snapshot import Channel, Freeze, Node, Override, PoolState, Snapshot, rule_text

__all__ = [
    "Backend", "Budget", "BudgetLine", "Channel", "Code", "Config", "Connector", "Event", "Events", "Freeze", "GtidUnknown",
    "Instance", "NoBackend", "Node", "Override", "Paused", "Pool", "PoolState", "PrimacyError", "SelectionError", "Selector",
    "Session", "Snapshot", "Stale", "Vip", "Word", "connect", "creator", "open", "rule_text", "session", "sqlalchemy_events", "version",
]


def version() -> str:
    """The version of the loaded library."""
    text: bytes = library().primacy_version()
    return text.decode()
