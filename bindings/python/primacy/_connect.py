"""Connections to the node that a service gives, by whatever connector the program uses."""

import socket
import time
import weakref
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Union

from ._errors import Code, NoBackend, PrimacyError, SelectionError, Word
from ._instance import Instance, Pool
from ._selector import Backend, Selector

_ATTRIBUTE = "_primacy_session"
_ADDRESS = ("host", "port", "unix_socket")
# Pauses between rounds: a fail-over of a killed server takes some 60 ms, a hand-over less.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.2

# Numbers by which MySQL's connectors say that no session was made: 2002, 2003, 2005, 2006, 2012, 2013, 2055 are the client's
# (errmsg.h), 1053 (shutting down) and 3032 (offline mode) the server's.
_UNREACHABLE = frozenset((2002, 2003, 2005, 2006, 2012, 2013, 2055, 1053, 3032))
# The node lives and has no room, or none for this host: another one may have.
_REFUSING = frozenset((1040, 1129, 1203))


class Session:
    """What is known of a connection that `connect` made."""

    def __init__(self, instance: Instance, service: str, site: Optional[str], backend: Backend, node: str) -> None:
        self._instance = instance
        self._service = service
        self._site = site
        self.backend = backend
        """The selection that it rests on."""
        self.node = node
        """The node's canonical address."""

    def current(self) -> Word:
        """Whether the connection may go on: "stays"; "drains": close it once it is idle; "ends": close it now. From any thread."""
        return self._instance._selector(self._service, self._site).current(self.backend)

    def _release(self) -> None:
        if not self.backend.released:
            try:
                self._instance._selector(self._service, self._site).release(self.backend)
            except PrimacyError:
                # The instance has ended, and with it what it counted; a connection must close all the same.
                self.backend._released = True


def session(connection: Any) -> Session:
    """The session of a connection that `connect` or a `creator` made (in SQLAlchemy: its `dbapi_connection`)."""
    found = getattr(connection, _ATTRIBUTE, None)
    if not isinstance(found, Session):
        raise TypeError(f"{connection!r} was not made by primacy.connect")
    return found


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came from; PyMySQL keeps that in `original_exception`."""
    seen: List[BaseException] = []
    todo: List[Optional[BaseException]] = [error]
    while todo:
        one = todo.pop(0)
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            yield one
            todo += [getattr(one, "original_exception", None), one.__cause__, one.__context__]


def _number(error: BaseException) -> Optional[int]:
    """A MySQL error number: the `errno` of mysql.connector, else the first argument, as PEP 249 modules have it."""
    for number in (getattr(error, "errno", None), error.args[0] if error.args else None):
        if isinstance(number, int) and not isinstance(number, bool):
            return number
    return None


def outcome_of(error: BaseException) -> Tuple[Optional[str], bool]:
    """What a failed connect says about the node: the outcome to report, if any, and whether another node may do better."""
    chain = list(_chain(error))
    if any(isinstance(one, (TimeoutError, socket.timeout)) for one in chain):
        return "connect_timed_out", True
    if isinstance(error, OSError):
        return "connect_failed", True
    number = _number(error)
    if number in _UNREACHABLE:
        return "connect_failed", True
    if number in _REFUSING:
        return None, True
    if number is not None:
        # The server has answered: a wrong password or an unknown database is the same everywhere.
        return "connected", False
    return ("connect_failed", True) if any(isinstance(one, OSError) for one in chain) else (None, False)


def _pymysql(**keywords: Any) -> Any:
    try:
        import pymysql  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise ImportError("primacy.connect uses PyMySQL unless `connector` names another one; install it, or name one") from error
    return pymysql.connect(**keywords)


def _attach(connection: Any, made: Session) -> None:
    """Lets a connection know its session and release it when it is closed or forgotten."""
    try:
        again = weakref.ref(connection)
        close = type(connection).close

        def closing(*arguments: Any, **keywords: Any) -> Any:
            own = again()
            try:
                return close(own, *arguments, **keywords) if own is not None else None
            finally:
                made._release()

        setattr(connection, _ATTRIBUTE, made)
        connection.close = closing
        weakref.finalize(connection, made._release).atexit = False
    except (AttributeError, TypeError) as error:
        kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
        raise TypeError(
            f"connections of {kind} take no attributes or weak references, so their end cannot be seen; use a primacy.Selector"
        ) from error


class Connector:
    """Makes connections of one service; call it. For SQLAlchemy's `creator`; see `creator`."""

    def __init__(
        self,
        pool: Union[Pool, Instance],
        service: str,
        connector: Optional[Callable[..., Any]] = None,
        *,
        wait: float = 5.0,
        attempts: Optional[int] = None,
        site: Optional[str] = None,
        min_gtid: Optional[str] = None,
        stale_ok: bool = False,
        **keywords: Any,
    ) -> None:
        if isinstance(pool, Pool):
            self._instance, self.service = pool._instance, f"{pool.name}.{service}"
        elif isinstance(pool, Instance):
            self._instance, self.service = pool, service
        else:
            raise TypeError(f"pool must be a primacy.Pool or primacy.Instance, not {type(pool).__name__}")
        for name in _ADDRESS:
            if name in keywords:
                raise TypeError(f"{name} is the service's to say, not the caller's")
        if not 0 <= wait < float("inf"):
            raise ValueError(f"wait is {wait!r}; it must be seconds, 0 for none")
        if attempts is not None and attempts < 1:
            raise ValueError(f"attempts is {attempts!r}; it must be 1 or more, or None for no limit but `wait`")
        self._connector = connector or _pymysql
        self._wait, self._attempts, self._site = wait, attempts, site
        self._min_gtid, self._stale_ok = min_gtid, stale_ok
        self._keywords = keywords

    def _try(self, selector: Selector, backend: Backend) -> Any:
        """One connect: the connection, or the error if another node may do better."""
        place: Dict[str, Any] = {"host": backend.host, "port": backend.port}
        if backend.path is not None:
            place = {"unix_socket": backend.path}
        try:
            connection = self._connector(**place, **self._keywords)
        except Exception as error:
            outcome, further = outcome_of(error)
            # The library may have been stopped meanwhile: what counts is why there is no connection.
            try:
                if outcome is not None:
                    selector.report(backend, outcome)
            except PrimacyError:
                pass
            if not further:
                raise
            return error
        try:
            selector.report(backend, "connected")
            made = Session(self._instance, self.service, self._site, backend, backend.node)
            if selector.current(backend) == "ends":
                # The node lost its role while the login was under way.
                raise NoBackend(Code.NO_BACKEND, f"{backend.node} has left {self.service} while the connection was made")
            _attach(connection, made)
        except BaseException as error:
            connection.close()
            if isinstance(error, NoBackend):
                return error
            raise
        return connection

    def __call__(self) -> Any:
        """A connection of the connector's own kind."""
        selector = self._instance._selector(self.service, self._site)
        deadline = time.monotonic() + self._wait
        made, pause = 0, _FIRST_PAUSE
        tried: List[int] = []
        failed: Optional[BaseException] = None
        while True:
            try:
                backend = selector.select(self._min_gtid, self._stale_ok, tried)
            except SelectionError as refusal:
                # Everybody was tried, or nobody takes clients at the moment.
                if time.monotonic() + pause > deadline:
                    if failed is not None:
                        raise failed
                    raise
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                tried = []
                continue
            made += 1
            try:
                result = self._try(selector, backend)
            except BaseException:
                selector.release(backend)
                raise
            if not isinstance(result, BaseException):
                return result
            selector.release(backend)
            failed = result
            tried.append(backend.slot)
            if made == self._attempts:
                raise failed

    def __repr__(self) -> str:
        return f"<primacy.Connector of {self.service!r}>"


def connect(
    pool: Union[Pool, Instance], service: str, connector: Optional[Callable[..., Any]] = None, **keywords: Any
) -> Any:
    """A connection to the node that a service gives now.

    `pool`: a pool and `service` its service, or an instance and "POOL.SERVICE". `connector`: what connects, PyMySQL's by default;
    it is called with `host` and `port`, or `unix_socket`, and with all keywords that are not named here.

    wait         seconds that a client waits while nobody takes it: over a fail-over, a hand-over, for `min_gtid`; 5 by default.
                 One connect under way is the connector's own affair: give it `connect_timeout` and the like
    attempts     how many connects at most; None for as many as fit into `wait`; with `wait=0` one for each node
    site         stands for the configuration's `site`
    min_gtid     transactions that the node must be known to hold
    stale_ok     a node that is not known to hold them will do where there is no other

    How each connect ended is reported; one that fails is tried on the next node. The session is released when the connection is
    closed. Raises what the connector raised last; a SelectionError if no node could be tried; at once, without another try, what is
    the same everywhere, as a wrong password.
    """
    return Connector(pool, service, connector, **keywords)()


def creator(
    pool: Union[Pool, Instance], service: str, connector: Optional[Callable[..., Any]] = None, **keywords: Any
) -> Connector:
    """For `sqlalchemy.create_engine(..., creator=)`: each call makes a connection as `connect` does."""
    return Connector(pool, service, connector, **keywords)


def sqlalchemy_events(engine: Any) -> None:
    """Lets no connection of an engine's pool outlive its node's role.

    One whose node has lost the role, failed or left, or is drained, is replaced by a new one when it is checked out, and closed when it comes back.
    An AsyncEngine is given as its `sync_engine`.
    """
    try:
        from sqlalchemy import event, exc
    except ImportError as error:
        raise ImportError("primacy.sqlalchemy_events needs SQLAlchemy 1.4 or newer") from error

    def stays(connection: Any) -> bool:
        own = getattr(connection, _ATTRIBUTE, None)
        return not isinstance(own, Session) or own.current() == "stays"

    def checkout(connection: Any, record: Any, proxy: Any) -> None:
        if not stays(connection):
            raise exc.DisconnectionError(f"{session(connection).node} takes clients of its service no more")

    def checkin(connection: Any, record: Any) -> None:
        # None for a connection that was invalidated already.
        if connection is not None and not stays(connection):
            record.invalidate()

    event.listen(engine, "checkout", checkout)
    event.listen(engine, "checkin", checkin)
