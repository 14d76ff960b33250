"""Finds and loads the shared object, and calls it.

Order: the path in PRIMACY_LIBRARY; a libprimacy.so.0 that the process has loaded already, so that a proxy and its scripts share one
engine; the one in this package. The system's library path is never searched.
"""

import ctypes
import os
from typing import Any, Callable, Dict, Optional

from . import _abi
from ._errors import PrimacyError, failure

SONAME = "libprimacy.so.0"


def _find() -> str:
    named = os.environ.get("PRIMACY_LIBRARY")
    if named:
        return named
    try:
        ctypes.CDLL(SONAME, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        return SONAME
    except OSError:
        pass
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), SONAME)


class Library:
    """The functions of the shared object, each with its types, under their C names."""

    def __init__(self, path: str) -> None:
        self.path = path
        # PyDLL keeps the interpreter's lock: right for calls of some hundred nanoseconds, wrong for all that may wait.
        try:
            keeping, releasing = ctypes.PyDLL(path), ctypes.CDLL(path)
        except OSError as error:
            raise ImportError(f"cannot load {path}: {error}; build it with `make python`, or set PRIMACY_LIBRARY") from error
        self._functions: Dict[str, Callable[..., Any]] = {}
        try:
            keeping.primacy_abi_version.restype = ctypes.c_uint32
            abi = keeping.primacy_abi_version()
        except AttributeError as error:
            raise ImportError(f"{path} is no Primacy library") from error
        if abi < _abi.PRIMACY_ABI_VERSION:
            raise ImportError(f"{path} keeps contract {abi}; this package needs {_abi.PRIMACY_ABI_VERSION} or higher")
        for name, (keeps, _thread, _time, _since, result, arguments) in _abi.FUNCTIONS.items():
            function = getattr(keeping if keeps else releasing, name)
            function.restype = result
            function.argtypes = arguments
            self._functions[name] = function

    def __getattr__(self, name: str) -> Callable[..., Any]:
        try:
            return self._functions[name]
        except KeyError:
            raise AttributeError(name) from None

    def call(self, name: str, *arguments: Any) -> int:
        """Calls a function that returns 0, a count or a length; raises what it answers else."""
        result: int = self._functions[name](*arguments)
        if result < 0:
            raise self.error(result)
        return result

    def error(self, number: int) -> PrimacyError:
        """The error of the call that failed last in this thread."""
        return failure(number, self.text("primacy_last_error"))

    def text(self, name: str, *arguments: Any) -> str:
        """Calls a function that writes a text to a buffer, with room enough."""
        room = 1024
        while True:
            buffer = ctypes.create_string_buffer(room)
            # A text may grow between two calls.
            length = self.call(name, *arguments, buffer, room)
            if length < room:
                return buffer.raw[:length].decode("utf-8")
            room = length + 1 + length // 8


_loaded: Optional[Library] = None


def library() -> Library:
    """The library, loaded at first use."""
    global _loaded
    if _loaded is None:
        _loaded = Library(_find())
    return _loaded


def encode(text: str, name: str) -> bytes:
    """A string for C."""
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a str, not {type(text).__name__}")
    if "\0" in text:
        raise ValueError(f"{name} contains a NUL character")
    return text.encode("utf-8")
