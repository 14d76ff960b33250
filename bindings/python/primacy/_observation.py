"""Observations of the host's own, into their C structure."""

import ctypes
from typing import Any, Dict, List, Optional

from . import _abi
from ._library import encode, library


def observation(
    cause: str,
    message: str = "",
    *,
    error_number: int = 0,
    flavour: Optional[str] = None,
    version: Any = None,
    server_id: Optional[int] = None,
    server_uuid: Optional[str] = None,
    read_only: Optional[bool] = None,
    super_read_only: Optional[bool] = None,
    gtids: Optional[str] = None,
    channels: Optional[List[Dict[str, Any]]] = None,
    threads_connected: Optional[int] = None,
    max_connections: Optional[int] = None,
    round_trip: Optional[float] = None,
) -> Any:
    """The C structure of an observation."""
    lib = library()
    raw = _abi.primacy_observation(size=ctypes.sizeof(_abi.primacy_observation))
    raw.cause = lib.call("primacy_cause_from_name", encode(cause, "cause"))
    raw.error_number = error_number
    raw.message = encode(message, "message")
    facts = 0
    if flavour is not None:
        facts |= _abi.PRIMACY_FACT_FLAVOUR
        raw.flavour = number("primacy_flavour", "PRIMACY_FLAVOUR_", flavour, "flavour")
    if version is not None:
        facts |= _abi.PRIMACY_FACT_VERSION
        raw.version = _version(version)
    if server_uuid is not None:
        facts |= _abi.PRIMACY_FACT_SERVER_UUID
        raw.server_uuid = encode(server_uuid, "server_uuid")
    if gtids is not None:
        facts |= _abi.PRIMACY_FACT_GTIDS
        raw.gtids = encode(gtids, "gtids")
    if round_trip is not None:
        facts |= _abi.PRIMACY_FACT_ROUND_TRIP
        raw.round_trip_us = round(round_trip * 1e6)
    for bit, name, value in (
        (_abi.PRIMACY_FACT_SERVER_ID, "server_id", server_id),
        (_abi.PRIMACY_FACT_READ_ONLY, "read_only", read_only),
        (_abi.PRIMACY_FACT_SUPER_READ_ONLY, "super_read_only", super_read_only),
        (_abi.PRIMACY_FACT_THREADS_CONNECTED, "threads_connected", threads_connected),
        (_abi.PRIMACY_FACT_MAX_CONNECTIONS, "max_connections", max_connections),
    ):
        if value is not None:
            facts |= bit
            setattr(raw, name, int(value))
    if channels is not None:
        facts |= _abi.PRIMACY_FACT_CHANNELS
        made = [_channel_in(**channel) for channel in channels]
        pointers = (ctypes.POINTER(_abi.primacy_channel) * len(made))(*(ctypes.pointer(one) for one in made))
        raw.channels = ctypes.cast(pointers, ctypes.POINTER(ctypes.POINTER(_abi.primacy_channel)))
        raw.channel_count = len(made)
        raw._kept = (made, pointers)
    raw.facts = facts
    return raw


def number(enumeration: str, prefix: str, value: str, name: str) -> int:
    """The number of a word."""
    words = _abi.ENUMS[enumeration]
    key = prefix + str(value).upper()
    if key not in words:
        known = ", ".join(word[len(prefix):].lower() for word in words)
        raise ValueError(f"{name} is {value!r}; it must be one of {known}")
    return words[key]


def _version(value: Any) -> int:
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        value = tuple(int(part) for part in value.split("-")[0].split("."))
    major, minor, patch = (tuple(value) + (0, 0))[:3]
    return int(major * 10000 + minor * 100 + patch)


def _channel_in(
    *,
    name: str = "",
    source: str = "",
    io: str = "running",
    sql: str = "running",
    io_error: int = 0,
    sql_error: int = 0,
    error: str = "",
    lag: Optional[float] = None,
    applied_all: Optional[bool] = None,
) -> Any:
    raw = _abi.primacy_channel(size=ctypes.sizeof(_abi.primacy_channel))
    raw.name, raw.source, raw.error = encode(name, "name"), encode(source, "source"), encode(error, "error")
    raw.io_state = number("primacy_thread_state", "PRIMACY_THREAD_", io, "io")
    raw.sql_state = number("primacy_thread_state", "PRIMACY_THREAD_", sql, "sql")
    raw.io_error, raw.sql_error = io_error, sql_error
    if lag is not None:
        raw.known |= _abi.PRIMACY_CHANNEL_LAG
        raw.lag_ms = round(lag * 1000)
    if applied_all is not None:
        raw.known |= _abi.PRIMACY_CHANNEL_APPLIED_ALL
        raw.applied_all = int(applied_all)
    return raw
