"""Configuration, instance, pools."""

import asyncio
import ctypes
import json
import threading
import weakref
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Optional, Tuple, Union

from . import _abi
from ._errors import Code, PrimacyError, Word
from ._events import Events
from ._library import encode, library
from ._observation import observation
from ._selector import Selector
from ._snapshot import Freeze, Node, PoolState, Snapshot


class Config:
    """A configuration while it is being put together. What comes later wins."""

    def __init__(self, text: Optional[str] = None) -> None:
        self._handle: Any = None
        handle = ctypes.POINTER(_abi.primacy_config)()
        library().call("primacy_config_new", ctypes.byref(handle))
        self._handle = handle
        if text is not None:
            self.load_text(text)

    def load_file(self, path: Any) -> "Config":
        """Adds what a TOML file says."""
        library().call("primacy_config_load_file", self._handle, encode(str(path), "path"))
        return self

    def load_text(self, text: str, name: str = "text") -> "Config":
        """Adds what a TOML text says; errors begin with NAME:LINE:COLUMN."""
        data = text.encode("utf-8")
        library().call("primacy_config_load_text", self._handle, data, len(data), encode(name, "name"))
        return self

    def set(self, key: str, value: Union[str, int, bool]) -> "Config":
        """Sets one key, as "pool.orders.policy" to "mpp"."""
        text = str(value).lower() if isinstance(value, bool) else str(value)
        library().call("primacy_config_set", self._handle, encode(key, "key"), encode(text, "value"))
        return self

    def add_pool(self, spec: str) -> "Config":
        """Adds a ring from "name:POOL;primary:HOST[:PORT];secondary:HOST[:PORT];..."."""
        library().call("primacy_config_add_pool", self._handle, encode(spec, "spec"))
        return self

    def __del__(self) -> None:
        handle = getattr(self, "_handle", None)
        if handle is not None:
            self._handle = None
            library().primacy_config_free(handle)


def _number(words: str, prefix: str, word: str, name: str) -> int:
    """The number of a word of the contract."""
    every: Dict[str, int] = _abi.ENUMS[words]
    number = every.get(prefix + str(word).upper())
    if number is None:
        known = ", ".join(key[len(prefix):] for key in every)
        raise ValueError(f"{name} is {word!r}; it must be one of {known}")
    return number


def _millis(limit: Optional[float]) -> int:
    """A time limit for C: 0 stands for none, so a limit of nothing is no limit that could be meant."""
    if limit is None:
        return 0
    ms = round(limit * 1000)
    if not 1 <= ms < 1 << 63:
        raise ValueError(f"limit is {limit!r}; it must be a time in seconds, or None for no limit")
    return ms


@dataclass(frozen=True)
class BudgetLine:
    """The worst case of one kind of fault."""

    fault_class: str
    fault: str
    worst: Optional[float]
    """Seconds from the fault to the switch; None if it never fails an ACTIVE node, or at the host's pace."""
    kind: str
    """"within", "never" or "hosts_pace"."""
    formula: str


class Budget:
    """The worst case from fault to switch, one line for each kind of fault."""

    def __init__(self, text: str, data: Dict[str, Any]) -> None:
        self._text = text
        self.connections_per_node: int = data["connections_per_node"]
        self.lines: List[BudgetLine] = [
            BudgetLine(
                fault_class=line["class"],
                fault=line["fault"],
                worst=None if line["worst_ms"] is None else line["worst_ms"] / 1000,
                kind=line["worst"],
                formula=line["formula"],
            )
            for line in data["lines"]
        ]

    def __str__(self) -> str:
        return self._text


@dataclass(frozen=True)
class Vip:
    """This host's part in a floating address at one moment."""

    name: str
    owns: bool
    """Whether this host owns it."""
    owner: Optional[str]
    """The host that owns it as far as this one knows."""
    stage: str
    """"absent", "asking", "hooking", "adding", "held", "releasing" or "stuck"."""
    score: int
    score_rule: int
    place_rule: int
    local: Optional[bool]
    """Whether the service on this host is in order; None if nobody said."""
    backend: Optional[bool]
    """Whether what it leads to is; it never moves the address."""
    failures: int
    owner_count: int
    """How many hosts say that they own it; more than 1 is a conflict."""
    epoch: int
    highest_epoch: int
    barred: float
    """Seconds for which failures still bar this host."""
    claims: int
    releases: int
    down_interval: float
    """Seconds for which an owner may be silent before this host comes in."""


def _verdict(number: int) -> Optional[bool]:
    return None if number < 0 else bool(number)


class Pool:
    """One pool of an instance. Every attribute asks anew; take a snapshot to see several at the same moment."""

    def __init__(self, instance: "Instance", name: str) -> None:
        self._instance = instance
        self._c_name = encode(name, "name")
        self.name = name

    def _state(self) -> PoolState:
        try:
            return self._instance.snapshot().pool(self.name)
        except KeyError:
            raise PrimacyError(Code.NOT_FOUND, f"there is no pool {self.name!r}") from None

    @property
    def status(self) -> Word:
        """"OK" or "FAIL"."""
        return self._state().status

    @property
    def active(self) -> Optional[Node]:
        """The node that takes the clients; None if there is none, and while routing pauses for a hand-over."""
        return self._state().active

    def address(self) -> Optional[str]:
        """The address for clients that write; None where there is none, and while routing pauses for a hand-over.

        Raises PrimacyError with code REFUSED if the pool's last node has the role and does not answer; the text names the node,
        since when and why.
        """
        return library().text("primacy_active", self._instance._own(), self._c_name) or None

    @property
    def paused(self) -> bool:
        """Whether routing pauses for a hand-over."""
        return self._state().paused

    @property
    def frozen(self) -> Optional[Freeze]:
        """An operator's freeze; None without one."""
        return self._state().frozen

    @property
    def epoch(self) -> int:
        """Raised at every change of the ACTIVE node."""
        return self._state().epoch

    def nodes(self) -> Tuple[Node, ...]:
        """The nodes in configuration order."""
        return self._state().nodes

    def node(self, name: str) -> Node:
        """The node of a canonical address."""
        return self._state().node(name)

    def observe(self, node: str, cause: str, message: str = "", **facts: Any) -> None:
        """Hands in a health observation that the host made itself.

        Facts: error_number, flavour, version, server_id, server_uuid, read_only, super_read_only, gtids (with flavour), channels
        (dicts with name, source, io, sql, io_error, sql_error, error, lag, applied_all), threads_connected,
        max_connections, round_trip (seconds).
        """
        raw = observation(cause, message, **facts)
        library().call("primacy_observe", self._instance._own(), self._c_name, encode(node, "node"), ctypes.byref(raw))

    def cycle(self, pool_status: Optional[str] = None) -> None:
        """Closes a cycle; `pool_status` ("OK", "FAIL") is what the host's own checkpoints found, for this cycle only."""
        options = _abi.primacy_cycle_options(size=ctypes.sizeof(_abi.primacy_cycle_options))
        if pool_status is not None:
            words = _abi.ENUMS["primacy_pool_status"]
            key = f"PRIMACY_POOL_STATUS_{str(pool_status).upper()}"
            if key not in words:
                raise ValueError(f'pool_status is {pool_status!r}; it must be "OK" or "FAIL"')
            options.flags, options.pool_status = _abi.PRIMACY_CYCLE_POOL_STATUS, words[key]
        library().call("primacy_cycle", self._instance._own(), self._c_name, ctypes.byref(options))

    def run_cycle(self, timeout: float = 10.0) -> None:
        """One cycle with the library's own probes; waits up to `timeout` seconds."""
        library().call("primacy_run_cycle", self._instance._own(), self._c_name, round(timeout * 1000))

    def _command(self, name: str, wait: bool, *arguments: Any) -> str:
        # One buffer, no second try: a command must not be carried out twice to learn its answer's length.
        room = 4096
        buffer = ctypes.create_string_buffer(room)
        flags = 0 if wait else _abi.PRIMACY_NOWAIT
        length = library().call(name, self._instance._own(), self._c_name, *arguments, flags, buffer, room)
        return buffer.raw[: min(length, room - 1)].decode("utf-8", "ignore")

    def recover(self, node: str, wait: bool = True) -> str:
        """Takes a failed node back into the pool; gives the answer in words. `wait`: until it is on disk."""
        return self._command("primacy_recover_node", wait, encode(node, "node"))

    def recover_pool(self, wait: bool = True) -> str:
        """Takes back a pool whose status is FAIL."""
        return self._command("primacy_recover_pool", wait)

    def activate_primary(self, wait: bool = True) -> str:
        """Gives the role to the PRIMARY."""
        return self._command("primacy_activate_primary", wait)

    def remove(self, node: str, wait: bool = True) -> str:
        """Takes a node out of the pool until the configuration is read again."""
        return self._command("primacy_remove_node", wait, encode(node, "node"))

    def override(
        self,
        node: str,
        *,
        reason: str,
        state: Optional[str] = None,
        status: Optional[str] = None,
        type: Optional[str] = None,
        weight: Optional[int] = None,
        limit: Optional[float] = None,
        wait: bool = True,
    ) -> str:
        """Sets a node's state, status, type or weight above the rules, for `limit` seconds or until `clear_override`.

        A state of "ACTIVE" moves the role at once, without the proof of a hand-over.
        """
        options = _abi.primacy_override_options(size=ctypes.sizeof(_abi.primacy_override_options))
        if state is not None:
            options.set |= _abi.PRIMACY_OVERRIDE_STATE
            options.state = _number("primacy_state", "PRIMACY_STATE_", state, "state")
        if status is not None:
            options.set |= _abi.PRIMACY_OVERRIDE_STATUS
            options.status = _number("primacy_status", "PRIMACY_STATUS_", status, "status")
        if type is not None:
            options.set |= _abi.PRIMACY_OVERRIDE_TYPE
            options.node_type = _number("primacy_node_type", "PRIMACY_NODE_TYPE_", type, "type")
        if weight is not None:
            if not 0 <= weight < 1 << 32:
                raise ValueError(f"weight is {weight!r}; it must be 0 to {(1 << 32) - 1}")
            options.set |= _abi.PRIMACY_OVERRIDE_WEIGHT
            options.weight = weight
        options.reason = encode(reason, "reason")
        options.limit_ms = _millis(limit)
        return self._command("primacy_override", wait, encode(node, "node"), ctypes.byref(options))

    def clear_override(self, node: str, wait: bool = True) -> str:
        """Ends a node's override or maintenance."""
        return self._command("primacy_clear_override", wait, encode(node, "node"))

    def freeze(self, reason: str, limit: Optional[float] = None, wait: bool = True) -> str:
        """Lets no rule change a state or the role, for `limit` seconds or until `unfreeze`."""
        return self._command("primacy_freeze", wait, encode(reason, "reason"), _millis(limit))

    def unfreeze(self, wait: bool = True) -> str:
        """Ends a freeze; every node is counted anew."""
        return self._command("primacy_unfreeze", wait)

    def maintenance(
        self, node: str, role: str, reason: str, limit: Optional[float] = None, wait: bool = True
    ) -> str:
        """Takes a node out of the candidates and its faults out of the alarms, until `clear_override`.

        `role` says what becomes of the role if the node is ACTIVE: "move" or "stay".
        """
        number = _number("primacy_maintenance_role", "PRIMACY_MAINTENANCE_", role, "role")
        name, why = encode(node, "node"), encode(reason, "reason")
        return self._command("primacy_maintenance", wait, name, number, why, _millis(limit))

    def report(self, node: str, outcome: str) -> None:
        """Tells how the host's own use of a node ended: "connected", "connect_failed", "connect_timed_out" or "session_failed".

        A failed connect makes the next look at the node come early, and counts for nothing itself.
        """
        number = _number("primacy_report_outcome", "PRIMACY_REPORT_", outcome, "outcome")
        library().call("primacy_report_node", self._instance._own(), self._c_name, encode(node, "node"), number)

    def selector(self, service: str, site: Optional[str] = None, seed: Optional[int] = None) -> Selector:
        """Where clients of one of this pool's services go; `service` is its name within the pool."""
        return self._instance.selector(f"{self.name}.{service}", site, seed)

    def explain(self) -> str:
        """Why the pool is as it is, and what would change it."""
        return library().text("primacy_explain", self._instance._own(), self._c_name)

    def budget(self) -> Budget:
        """The worst case from fault to switch."""
        lib, own = library(), self._instance._own()
        data = json.loads(lib.text("primacy_budget_json", own, self._c_name))
        return Budget(lib.text("primacy_budget", own, self._c_name), data)

    def __repr__(self) -> str:
        return f"<primacy.Pool {self.name!r}>"


class Instance:
    """One engine with its pools, not started. As a context manager it is closed at the end."""

    _handle: Any

    def __init__(self, config: Config) -> None:
        self._begin()
        handle = ctypes.POINTER(_abi.primacy_instance)()
        library().call("primacy_instance_new", config._handle, ctypes.byref(handle))
        self._handle = handle

    @classmethod
    def _open(cls, config: Config) -> "Instance":
        self = cls.__new__(cls)
        self._begin()
        handle = ctypes.POINTER(_abi.primacy_instance)()
        library().call("primacy_open", config._handle, ctypes.byref(handle))
        self._handle = handle
        return self

    def _begin(self) -> None:
        self._handle = None
        self._queues: "weakref.WeakSet[Events]" = weakref.WeakSet()
        self._local = threading.local()

    def _own(self) -> Any:
        if self._handle is None:
            raise PrimacyError(Code.HANDLE, "the instance was closed")
        return self._handle

    def start(self) -> None:
        """Runs the driver in a thread of the library's own."""
        library().call("primacy_start", self._own())

    def stop(self) -> None:
        """Ends probing within a second; snapshots and events still work."""
        library().call("primacy_stop", self._own())
        self._end_queues()

    def reload(self, config: Config) -> None:
        """Takes a new configuration into force: pools of the same name and nodes of the same address keep their state, secrets
        are read again. On an error everything stays as it was."""
        library().call("primacy_reload", self._own(), config._handle)

    def fileno(self) -> int:
        """For the host's loop: the descriptor to watch for input; then call `dispatch`."""
        return library().call("primacy_fd", self._own())

    @property
    def fd(self) -> int:
        """The same."""
        return self.fileno()

    def dispatch(self) -> int:
        """For the host's loop: handles what is due; never blocks."""
        return library().call("primacy_dispatch", self._own())

    def pool(self, name: str) -> Pool:
        """A pool by its name."""
        pool = Pool(self, name)
        pool._state()
        return pool

    def pools(self) -> List[Pool]:
        """All pools in configuration order."""
        return [Pool(self, state.name) for state in self.snapshot()]

    def snapshot(self) -> Snapshot:
        """The state of all pools at one moment."""
        return Snapshot(self._own())

    def vip(self, name: str) -> Vip:
        """This host's part in a floating address. Waits for a second at most, as all calls of the tier do."""
        lib, own, c_name = library(), self._own(), encode(name, "name")
        raw = _abi.primacy_vip(size=ctypes.sizeof(_abi.primacy_vip))
        lib.call("primacy_vip_get", own, c_name, ctypes.byref(raw))
        return Vip(
            name=name,
            owns=bool(raw.owns),
            owner=lib.text("primacy_vip_owner", own, c_name) or None,
            stage=lib.primacy_vip_stage_name(raw.stage).decode(),
            score=raw.score,
            score_rule=raw.score_rule,
            place_rule=raw.place_rule,
            local=_verdict(raw.local),
            backend=_verdict(raw.backend),
            failures=raw.failures,
            owner_count=raw.owner_count,
            epoch=raw.epoch,
            highest_epoch=raw.highest_epoch,
            barred=raw.barred_ms / 1000,
            claims=raw.claims,
            releases=raw.releases,
            down_interval=raw.down_interval_ms / 1000,
        )

    def vip_status(self) -> Dict[str, Any]:
        """The whole tier, seen from this host: what all hosts say under "tier", this host's part under "vips"; docs/vip.md names the keys."""
        status: Dict[str, Any] = json.loads(library().text("primacy_vip_status_json", self._own()))
        return status

    def vip_move(self, vip: str, host: str) -> None:
        """Moves a floating address to a host, and holds it there until `vip_clear`."""
        library().call("primacy_vip_move", self._own(), encode(vip, "vip"), encode(host, "host"))

    def vip_clear(self, vip: str) -> None:
        """Ends a move, and forgets the failures of a floating address on all hosts."""
        library().call("primacy_vip_clear", self._own(), encode(vip, "vip"))

    def vip_standby(self, host: str, standby: bool = True) -> None:
        """Takes a host of the tier out, or lets it in again."""
        library().call("primacy_vip_standby", self._own(), encode(host, "host"), int(bool(standby)))

    def vip_report(self, vip: str, good: bool, words: str = "") -> None:
        """Says what the service on this host is, for a floating address without a pool."""
        library().call("primacy_vip_report", self._own(), encode(vip, "vip"), int(bool(good)), encode(words, "words"))

    def metrics(self) -> str:
        """Figures for monitoring, as text in the exposition format 0.0.4 of Prometheus; docs/metrics.md names each metric."""
        return library().text("primacy_metrics_text", self._own())

    def events(
        self,
        kinds: Optional[Iterable[str]] = None,
        severity: str = "info",
        pool: Optional[str] = None,
        capacity: int = 1024,
    ) -> Events:
        """A queue of events from now on, for `for` and `async for`."""
        queue = Events(self._own(), kinds, severity, pool, capacity)
        self._queues.add(queue)
        return queue

    def selector(self, service: str, site: Optional[str] = None, seed: Optional[int] = None) -> Selector:
        """Where clients of a service go: "POOL.SERVICE", or "SERVICE" where one pool alone has one of that name.

        A selector answers one call at a time, so each thread makes its own. `site` stands for the configuration's `site`; `seed`
        (1 to 2^64-1) makes its choices repeatable.
        """
        return Selector(self._own(), service, site, seed, keep=self)

    def _selector(self, service: str, site: Optional[str] = None) -> Selector:
        """This thread's selector of a service, made when first asked for."""
        own = self._own()
        every: Dict[Any, Selector] = self._local.__dict__
        selector = every.get((service, site))
        if selector is None:
            # It does not keep the instance, which keeps it.
            selector = every[service, site] = Selector(own, service, site, None, keep=None)
        return selector

    def _end_queues(self) -> None:
        for queue in list(self._queues):
            queue._finish()

    def close(self) -> None:
        """Gives up this reference; the last one stops and frees the instance. In a forked child of a running instance it frees memory and nothing else."""
        handle, self._handle = self._handle, None
        if handle is not None:
            library().primacy_instance_free(handle)
            self._end_queues()
            self._local = threading.local()

    def __enter__(self) -> "Instance":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    async def __aenter__(self) -> "Instance":
        return self

    async def __aexit__(self, *_: Any) -> None:
        # It may wait for the disk: not in the loop.
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self.close))

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()


def open(config: Config) -> Instance:
    """The open instance of the same cache in this process, one more reference to it; if there is none, a new one.

    Raises PrimacyError with code CONFIG_DIFFERS if the open one has another configuration.
    """
    return Instance._open(config)
