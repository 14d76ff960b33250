"""What a snapshot tells, as plain Python objects that live on their own."""

import ctypes
import json
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Tuple

from . import _abi
from ._errors import Word
from ._library import library


def word(function: str, number: int) -> Word:
    """The word of a number."""
    return Word(getattr(library(), function)(number).decode(), number)


def _text(value: Optional[bytes]) -> str:
    return value.decode("utf-8", "replace") if value else ""


@dataclass(frozen=True)
class Channel:
    """One replication channel of a node."""

    name: str
    source: str
    io: Word
    sql: Word
    io_error: int
    sql_error: int
    error: str
    lag: Optional[float]
    """Seconds behind the source."""
    applied_all: Optional[bool]


@dataclass(frozen=True)
class Override:
    """What an operator has set of a node, or its maintenance."""

    reason: str
    since_ms: int
    until_ms: Optional[int]
    """Wall-clock time of its end; None without a limit."""
    state: Optional[Word] = None
    status: Optional[Word] = None
    type: Optional[Word] = None
    weight: Optional[int] = None
    maintenance: Optional[Word] = None
    """"move" or "stay" while the node is in maintenance."""


@dataclass(frozen=True)
class Freeze:
    """An operator's freeze of a pool: no rule changes a state or the role."""

    reason: str
    since_ms: int
    until_ms: Optional[int]
    """Wall-clock time of its end; None without a limit."""


@dataclass(frozen=True)
class Node:
    """One node of a pool at the moment of the snapshot."""

    name: str
    type: Word
    state: Word
    status: Word
    count: Optional[int]
    """Bad observations in a row; None before the first probe."""
    cause: Optional[Word]
    """Cause of the last observation; None before the first."""
    error_number: int
    message: str
    rule: int
    waits_for_recover: bool
    observed_ms: int
    changed_ms: int
    weight: int
    site: str
    flavour: Optional[Word] = None
    version: Optional[Tuple[int, int, int]] = None
    server_id: Optional[int] = None
    server_uuid: Optional[str] = None
    read_only: Optional[bool] = None
    super_read_only: Optional[bool] = None
    gtids: Optional[str] = None
    channels: Optional[Tuple[Channel, ...]] = None
    threads_connected: Optional[int] = None
    max_connections: Optional[int] = None
    round_trip: Optional[float] = None
    """Seconds."""
    override: Optional[Override] = None
    """What an operator has set, or the node's maintenance."""


@dataclass(frozen=True)
class PoolState:
    """One pool at the moment of the snapshot."""

    name: str
    kind: Word
    policy: Word
    status: Word
    epoch: int
    paused: bool
    active: Optional[Node]
    """The node that takes the clients; None too while routing pauses for a hand-over."""
    nodes: Tuple[Node, ...]
    frozen: Optional[Freeze] = None
    """An operator's freeze."""

    def node(self, name: str) -> Node:
        """The node of a canonical address."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)


def _channel(raw: Any) -> Channel:
    return Channel(
        name=_text(raw.name),
        source=_text(raw.source),
        io=word("primacy_thread_state_name", raw.io_state),
        sql=word("primacy_thread_state_name", raw.sql_state),
        io_error=raw.io_error,
        sql_error=raw.sql_error,
        error=_text(raw.error),
        lag=raw.lag_ms / 1000 if raw.known & _abi.PRIMACY_CHANNEL_LAG else None,
        applied_all=bool(raw.applied_all) if raw.known & _abi.PRIMACY_CHANNEL_APPLIED_ALL else None,
    )


def _override(raw: Any) -> Optional[Override]:
    if not raw.override_set:
        return None
    every = {
        _abi.PRIMACY_OVERRIDE_STATE: ("state", lambda: word("primacy_state_name", raw.override_state)),
        _abi.PRIMACY_OVERRIDE_STATUS: ("status", lambda: word("primacy_status_name", raw.override_status)),
        _abi.PRIMACY_OVERRIDE_TYPE: ("type", lambda: word("primacy_node_type_name", raw.override_type)),
        _abi.PRIMACY_OVERRIDE_WEIGHT: ("weight", lambda: raw.override_weight),
        _abi.PRIMACY_OVERRIDE_MAINTENANCE: (
            "maintenance", lambda: word("primacy_maintenance_role_name", raw.maintenance_role)),
    }
    set_: Dict[str, Any] = {name: value() for bit, (name, value) in every.items() if raw.override_set & bit}
    return Override(
        reason=_text(raw.override_reason),
        since_ms=raw.override_since_ms,
        until_ms=raw.override_until_ms or None,
        **set_,
    )


def _freeze(raw: Any) -> Optional[Freeze]:
    if not raw.frozen:
        return None
    return Freeze(
        reason=_text(raw.frozen_reason),
        since_ms=raw.frozen_since_ms,
        until_ms=raw.frozen_until_ms or None,
    )


def _facts(raw: Any, channels: List[Channel]) -> Dict[str, Any]:
    version = (raw.version // 10000, raw.version // 100 % 100, raw.version % 100)
    every = {
        _abi.PRIMACY_FACT_FLAVOUR: ("flavour", lambda: word("primacy_flavour_name", raw.flavour)),
        _abi.PRIMACY_FACT_VERSION: ("version", lambda: version),
        _abi.PRIMACY_FACT_SERVER_ID: ("server_id", lambda: raw.server_id),
        _abi.PRIMACY_FACT_SERVER_UUID: ("server_uuid", lambda: _text(raw.server_uuid)),
        _abi.PRIMACY_FACT_READ_ONLY: ("read_only", lambda: bool(raw.read_only)),
        _abi.PRIMACY_FACT_SUPER_READ_ONLY: ("super_read_only", lambda: bool(raw.super_read_only)),
        _abi.PRIMACY_FACT_GTIDS: ("gtids", lambda: _text(raw.gtids)),
        _abi.PRIMACY_FACT_CHANNELS: ("channels", lambda: tuple(channels)),
        _abi.PRIMACY_FACT_THREADS_CONNECTED: ("threads_connected", lambda: raw.threads_connected),
        _abi.PRIMACY_FACT_MAX_CONNECTIONS: ("max_connections", lambda: raw.max_connections),
        _abi.PRIMACY_FACT_ROUND_TRIP: ("round_trip", lambda: raw.round_trip_us / 1e6),
    }
    return {name: value() for bit, (name, value) in every.items() if raw.facts & bit}


class Snapshot:
    """The state of all pools at one moment. Everything is read out of the C object at once, which is freed."""

    pools: Tuple[PoolState, ...]
    wall_ms: int
    text: str
    """The snapshot as JSON."""

    def __init__(self, instance: Any) -> None:
        lib = library()
        handle = ctypes.POINTER(_abi.primacy_snapshot)()
        lib.call("primacy_snapshot_take", instance, ctypes.byref(handle))
        try:
            info = _abi.primacy_snapshot_info(size=ctypes.sizeof(_abi.primacy_snapshot_info))
            lib.call("primacy_snapshot_get", handle, ctypes.byref(info))
            self.wall_ms = info.wall_ms
            self.pools = tuple(self._pool(handle, at) for at in range(info.pool_count))
            self.text = lib.text("primacy_snapshot_json", handle)
        finally:
            lib.primacy_snapshot_free(handle)

    @staticmethod
    def _pool(handle: Any, at: int) -> PoolState:
        lib = library()
        raw = _abi.primacy_pool(size=ctypes.sizeof(_abi.primacy_pool))
        lib.call("primacy_snapshot_pool", handle, at, ctypes.byref(raw))
        nodes = tuple(Snapshot._node(handle, at, n) for n in range(raw.node_count))
        routed = raw.active >= 0 and not raw.paused
        return PoolState(
            name=_text(raw.name),
            kind=word("primacy_pool_kind_name", raw.kind),
            policy=word("primacy_policy_name", raw.policy),
            status=word("primacy_pool_status_name", raw.status),
            epoch=raw.epoch,
            paused=bool(raw.paused),
            active=nodes[raw.active] if routed else None,
            nodes=nodes,
            frozen=_freeze(raw),
        )

    @staticmethod
    def _node(handle: Any, pool: int, at: int) -> Node:
        lib = library()
        raw = _abi.primacy_node(size=ctypes.sizeof(_abi.primacy_node))
        lib.call("primacy_snapshot_node", handle, pool, at, ctypes.byref(raw))
        channels: List[Channel] = []
        for n in range(raw.channel_count):
            channel = _abi.primacy_channel(size=ctypes.sizeof(_abi.primacy_channel))
            lib.call("primacy_snapshot_channel", handle, pool, at, n, ctypes.byref(channel))
            channels.append(_channel(channel))
        return Node(
            name=_text(raw.name),
            type=word("primacy_node_type_name", raw.node_type),
            state=word("primacy_state_name", raw.state),
            status=word("primacy_status_name", raw.status),
            count=raw.count if raw.count >= 0 else None,
            cause=word("primacy_cause_name", raw.cause) if raw.cause >= 0 else None,
            error_number=raw.error_number,
            message=_text(raw.message),
            rule=raw.rule,
            waits_for_recover=bool(raw.waits_for_recover),
            observed_ms=raw.observed_ms,
            changed_ms=raw.changed_ms,
            weight=raw.weight,
            site=_text(raw.site),
            override=_override(raw),
            **_facts(raw, channels),
        )

    def pool(self, name: str) -> PoolState:
        """The pool of a name."""
        for pool in self.pools:
            if pool.name == name:
                return pool
        raise KeyError(name)

    def __iter__(self) -> Iterator[PoolState]:
        return iter(self.pools)

    def as_dict(self) -> Dict[str, Any]:
        """The snapshot as JSON tells it."""
        result: Dict[str, Any] = json.loads(self.text)
        return result


def rule_text(rule: int) -> str:
    """The sentence of a rule."""
    return library().text("primacy_rule_text", rule)
