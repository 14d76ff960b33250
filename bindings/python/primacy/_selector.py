"""Where clients of a service go."""

import ctypes
import ipaddress
import socket
import sys
from typing import Any, Dict, Iterable, Optional, Tuple, Union

from . import _abi
from ._errors import Code, PrimacyError, Word
from ._library import encode, library
from ._snapshot import word

_SIZE = ctypes.sizeof(_abi.primacy_backend)
_SESSIONS = {
    number: Word(name[len("PRIMACY_SESSION_"):].lower(), number) for name, number in _abi.ENUMS["primacy_session"].items()
}


def _outcome(outcome: str) -> int:
    known: Dict[str, int] = _abi.ENUMS["primacy_report_outcome"]
    number = known.get("PRIMACY_REPORT_" + str(outcome).upper())
    if number is None:
        words = ", ".join(name[len("PRIMACY_REPORT_"):].lower() for name in known)
        raise ValueError(f"outcome is {outcome!r}; it must be one of {words}")
    return number


def _address(raw: Any) -> Tuple[Optional[str], Optional[int], Optional[str]]:
    """Host and port, or the path of a unix socket."""
    data = bytes(raw.address)[: raw.addrlen]
    family = int.from_bytes(data[:2], sys.byteorder)
    if family == socket.AF_UNIX:
        return None, None, data[2:].split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
    port = int.from_bytes(data[2:4], "big")
    if family == socket.AF_INET:
        return str(ipaddress.IPv4Address(data[4:8])), port, None
    if family == socket.AF_INET6:
        return str(ipaddress.IPv6Address(data[8:24])), port, None
    raise PrimacyError(Code.UNSUPPORTED, f"an address of family {family}, which this package does not know; take a newer one")


class Backend:
    """The node that a client goes to, as it was when the selection was made. As a context manager it is released at the end."""

    __slots__ = ("_raw", "_selector", "_place", "_released", "__weakref__")

    def __init__(self, raw: Any, selector: "Selector") -> None:
        self._raw = raw
        self._selector = selector
        self._place: Optional[Tuple[Optional[str], Optional[int], Optional[str]]] = None
        self._released = False

    def _where(self) -> Tuple[Optional[str], Optional[int], Optional[str]]:
        if self._place is None:
            self._place = _address(self._raw)
        return self._place

    @property
    def host(self) -> Optional[str]:
        """The internet address, without brackets; None for a unix socket."""
        return self._where()[0]

    @property
    def port(self) -> Optional[int]:
        """The port; None for a unix socket."""
        return self._where()[1]

    @property
    def path(self) -> Optional[str]:
        """The path of a unix socket; else None."""
        return self._where()[2]

    @property
    def address(self) -> str:
        """"10.0.1.11:3306", "[2001:db8::11]:3306", or the path of a unix socket."""
        host, port, path = self._where()
        if path is not None:
            return path
        return f"[{host}]:{port}" if host is not None and ":" in host else f"{host}:{port}"

    @property
    def node(self) -> str:
        """The node's canonical address as configured: a name where the configuration has one."""
        return self._selector.node_name(self.slot)

    @property
    def service(self) -> str:
        """The service, as the selector was asked for it."""
        return self._selector.service

    @property
    def slot(self) -> int:
        """The node's number in the service, the same as long as the instance lives."""
        return int(self._raw.slot)

    @property
    def generation(self) -> int:
        """Raised when sessions must not stay on the node."""
        return int(self._raw.generation)

    @property
    def epoch(self) -> int:
        """The pool's epoch at the time of the selection."""
        return int(self._raw.epoch)

    @property
    def reason(self) -> Word:
        """Why this node: "role", "spare", "fallback", "held", "trial", "gtid" or "gtid_active"."""
        return word("primacy_reason_name", self._raw.reason)

    @property
    def flags(self) -> int:
        """All of the following as bits, PRIMACY_BACKEND_* of the header."""
        return int(self._raw.flags)

    @property
    def stale(self) -> bool:
        """Nothing decides at the moment: this is the node of the last decision."""
        return bool(self._raw.flags & _abi.PRIMACY_BACKEND_STALE)

    @property
    def fallback(self) -> bool:
        """No node of the service's role takes clients: this one is of its fallback."""
        return bool(self._raw.flags & _abi.PRIMACY_BACKEND_FALLBACK)

    @property
    def other_site(self) -> bool:
        """It is not at the client's own site."""
        return bool(self._raw.flags & _abi.PRIMACY_BACKEND_OTHER_SITE)

    @property
    def trial(self) -> bool:
        """Hosts could not reach the node for a while: this client finds out whether it is back."""
        return bool(self._raw.flags & _abi.PRIMACY_BACKEND_TRIAL)

    @property
    def released(self) -> bool:
        """Whether `release` was called."""
        return self._released

    def __enter__(self) -> "Backend":
        return self

    def __exit__(self, *_: Any) -> None:
        if not self._released:
            self._selector.release(self)

    def __repr__(self) -> str:
        return f"<primacy.Backend {self.address} of {self.service}>"


class Selector:
    """Where clients of one service go, for one thread at a time. Make it by `Instance.selector` or `Pool.selector`."""

    def __init__(self, instance: Any, service: str, site: Optional[str], seed: Optional[int], keep: Any) -> None:
        self._handle: Any = None
        self.service = service
        self._keep = keep
        self._names: Dict[int, str] = {}
        options = _abi.primacy_selector_options(size=ctypes.sizeof(_abi.primacy_selector_options))
        if site is not None:
            options.site = encode(site, "site")
        if seed is not None:
            if not 0 < seed < 1 << 64:
                raise ValueError(f"seed is {seed!r}; it must be 1 to 2^64-1, or None for one of the system's")
            options.seed = seed
        handle = ctypes.POINTER(_abi.primacy_selector)()
        name = encode(service, "service")
        library().call("primacy_selector_new", instance, name, ctypes.byref(options), ctypes.byref(handle))
        self._handle = handle
        # Asked for every client: what can be looked up beforehand is.
        self._select = library().primacy_select
        self._current = library().primacy_backend_current

    def _own(self) -> Any:
        if self._handle is None:
            raise PrimacyError(Code.HANDLE, "the selector was closed")
        return self._handle

    def select(
        self,
        min_gtid: Optional[str] = None,
        stale_ok: bool = False,
        avoid: Iterable[Union[Backend, int]] = (),
    ) -> Backend:
        """Chooses a node from memory; never blocks.

        `min_gtid`: transactions that the node must be known to hold, as `@@gtid_executed` (MySQL) or `@@gtid_current_pos` (MariaDB)
        tells them; with `stale_ok` one that is not known to hold them will do where there is no other. `avoid`: backends, or their
        slots, that were tried in vain.

        Raises NoBackend, Paused, Stale or GtidUnknown, all of them SelectionErrors; or PrimacyError, as with code STOPPED.
        """
        raw = _abi.primacy_backend(size=_SIZE)
        options: Any = None
        if min_gtid is not None or stale_ok or avoid:
            options = _abi.primacy_select_options(size=ctypes.sizeof(_abi.primacy_select_options))
            if stale_ok:
                options.flags = _abi.PRIMACY_SELECT_STALE_OK
            if min_gtid is not None:
                options.min_gtid = encode(min_gtid, "min_gtid")
            slots = [each.slot if isinstance(each, Backend) else each for each in avoid]
            if slots:
                for slot in slots:
                    if not isinstance(slot, int) or not 0 <= slot < 1 << 32:
                        raise ValueError(f"avoid holds {slot!r}; it must hold backends, or their slots")
                options.avoid = (ctypes.c_uint32 * len(slots))(*slots)
                options.avoid_count = len(slots)
            options = ctypes.byref(options)
        code = self._select(self._own(), options, ctypes.byref(raw))
        if code < 0:
            raise library().error(code)
        return Backend(raw, self)

    def _raw(self, backend: Backend) -> Any:
        if not isinstance(backend, Backend):
            raise TypeError(f"backend must be a primacy.Backend, not {type(backend).__name__}")
        return ctypes.byref(backend._raw)

    def release(self, backend: Backend) -> None:
        """Says that the session ended which a selection began; once, on any selector of the service."""
        raw = self._raw(backend)
        if backend._released:
            raise ValueError(f"{backend!r} was released already")
        library().call("primacy_release", self._own(), raw)
        backend._released = True

    def report(self, backend: Backend, outcome: str) -> None:
        """Says how the connect ended: "connected", "connect_failed", "connect_timed_out" or "session_failed"."""
        library().call("primacy_report", self._own(), self._raw(backend), _outcome(outcome))

    def current(self, backend: Backend) -> Word:
        """Whether a session may stay: "stays"; "drains": end it once it is idle; "ends": end it now. From any thread."""
        number = self._current(self._own(), self._raw(backend))
        if number < 0:
            raise library().error(number)
        return _SESSIONS.get(number) or Word("ends", number)

    def node_name(self, slot: int) -> str:
        """The name of a slot's node, as configured."""
        name = self._names.get(slot)
        if name is None:
            name = self._names[slot] = library().text("primacy_node_name", self._own(), slot)
        return name

    def reason(self) -> str:
        """Who of the service gets clients and who does not, node by node, with the rule for each."""
        return library().text("primacy_select_reason", self._own())

    def close(self) -> None:
        """Frees the selector. Its backends may be released and asked about on another one of the service."""
        handle, self._handle = self._handle, None
        if handle is not None:
            library().primacy_selector_free(handle)

    def __enter__(self) -> "Selector":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()

    def __repr__(self) -> str:
        return f"<primacy.Selector {self.service!r}>"
