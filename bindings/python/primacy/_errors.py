"""Errors and words."""

import enum
from typing import Any, Dict, Type

from . import _abi


class Code(enum.IntEnum):
    """The numbers of errors; a member equals its number and knows its name."""

    INVALID = _abi.PRIMACY_E_INVALID
    HANDLE = _abi.PRIMACY_E_HANDLE
    SIZE = _abi.PRIMACY_E_SIZE
    UNSUPPORTED = _abi.PRIMACY_E_UNSUPPORTED
    BUSY = _abi.PRIMACY_E_BUSY
    CONFIG = _abi.PRIMACY_E_CONFIG
    NOT_FOUND = _abi.PRIMACY_E_NOT_FOUND
    REFUSED = _abi.PRIMACY_E_REFUSED
    STATE = _abi.PRIMACY_E_STATE
    STOPPED = _abi.PRIMACY_E_STOPPED
    FORKED = _abi.PRIMACY_E_FORKED
    LOCKED = _abi.PRIMACY_E_LOCKED
    CACHE = _abi.PRIMACY_E_CACHE
    IO = _abi.PRIMACY_E_IO
    TIMEOUT = _abi.PRIMACY_E_TIMEOUT
    PANIC = _abi.PRIMACY_E_PANIC
    SECRET = _abi.PRIMACY_E_SECRET
    RESOLVE = _abi.PRIMACY_E_RESOLVE
    END = _abi.PRIMACY_E_END
    CONFIG_DIFFERS = _abi.PRIMACY_E_CONFIG_DIFFERS
    NO_BACKEND = _abi.PRIMACY_E_NO_BACKEND
    PAUSED = _abi.PRIMACY_E_PAUSED
    STALE = _abi.PRIMACY_E_STALE
    GTID_UNKNOWN = _abi.PRIMACY_E_GTID_UNKNOWN

    @classmethod
    def _missing_(cls, value: object) -> Any:
        # A newer library may have numbers that this package does not know.
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_ = f"E_{-value}"
        member._value_ = value
        return member

    def __str__(self) -> str:
        return self.name


class PrimacyError(Exception):
    """A call that failed: `code` for programs, the text for people."""

    code: Code

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = Code(code)

    @property
    def message(self) -> str:
        """What failed, where, and what to do."""
        return str(self.args[0])

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"

    def __reduce__(self) -> Any:
        return (failure, (int(self.code), self.message))


class SelectionError(PrimacyError):
    """A selection that gave no node."""


class NoBackend(SelectionError):
    """No node of the service takes clients; the text, which names them with time and reason, is for the client."""


class Paused(SelectionError):
    """The role is being handed over: it passes within `handback_deadline`. Let the client wait and ask again."""


class Stale(SelectionError):
    """Nothing decides at the moment, and the service says `stale = "refuse"`."""


class GtidUnknown(SelectionError):
    """No node is known to hold the transactions that were asked for."""


_KINDS: Dict[int, Type[PrimacyError]] = {
    Code.NO_BACKEND: NoBackend,
    Code.PAUSED: Paused,
    Code.STALE: Stale,
    Code.GTID_UNKNOWN: GtidUnknown,
}


def failure(code: int, message: str) -> PrimacyError:
    """The error of a number, in the class that it has."""
    return _KINDS.get(code, PrimacyError)(code, message)


class Word(str):
    """A word of the contract with its number: equal to the word as a string."""

    number: int

    def __new__(cls, word: str, number: int) -> "Word":
        self = super().__new__(cls, word)
        self.number = number
        return self

    def __getnewargs__(self) -> Any:
        return (str(self), self.number)
