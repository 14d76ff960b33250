"""A database server process of a test: what both flavours share."""

import hashlib
import os
import platform
import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

try:
    import pymysql
    import pymysql.cursors
except ImportError as missing:
    raise ImportError("PyMySQL is missing: pip install -r tests/requirements.txt, or run `make test`") from missing

from . import accounts
from .workspace import Locked, NetNs, cache_folder, free_port, popen


class ServerError(Exception):
    """A server did not do what the test needs; the text holds the end of its log."""


class Server:
    """One server: a data folder, a port, a unix socket and, while it runs, a process of ours.

    `port` is final once `wait_ready` has returned for the first time: until then a lost race for it picks another.
    """

    flavour = ""
    #: Statements and clauses that differ; see the subclasses.
    identified = ""
    probe_privileges = ""
    status_statement = ""
    stop_statement = ""
    start_statement = ""

    # --- what a subclass provides ---

    @classmethod
    def version(cls):
        """The version text of the installed server."""
        raise NotImplementedError

    @classmethod
    def _initialise(cls, folder):
        """Make a fresh data folder whose root has no password."""
        raise NotImplementedError

    @classmethod
    def _command(cls):
        """The server program and the options every run needs, without those of replication."""
        raise NotImplementedError

    def _replication_options(self):
        raise NotImplementedError

    def gtid_position(self):
        """What this server has executed, as text that is equal on two servers exactly if they hold the same transactions."""
        raise NotImplementedError

    def follow(self, source):
        """Replicate from `source` by GTID auto-position, and start doing so."""
        raise NotImplementedError

    # --- life ---

    @staticmethod
    def create(flavour, root_folder, port=None, server_id=1, options=(), bind="127.0.0.1", netns=None):
        """A server of `flavour` ("mariadb" or "mysql") with a data folder of its own under `root_folder`, not started.

        `options` are further server options such as "--max-connections=10"; they win over the defaults. `netns` is the network
        namespace it runs in (a `Namespace` or `NetNs`), by default that of the calling thread.
        """
        from .flavours import FLAVOURS

        if flavour not in FLAVOURS:
            raise ValueError(f"unknown flavour {flavour!r}, known: {', '.join(sorted(FLAVOURS))}")
        return FLAVOURS[flavour](root_folder, port, server_id, options, bind, netns)

    def __init__(self, root_folder, port, server_id, options, bind, netns):
        self.server_id = server_id
        self.bind = bind
        self.options = list(options)
        self.netns = getattr(netns, "handle", netns) or NetNs.current()
        self.folder = Path(root_folder) / f"{self.flavour}-{server_id}"
        self.data = self.folder / "data"
        self.socket = self.folder / "s"
        self.log = self.folder / "error.log"
        self.process = None
        #: Words before the server's command, as for a mount namespace of its own.
        self.prefix = []
        #: The account that a server started by root takes on, instead of staying root.
        self.run_as = None
        self._port_is_ours = port is None
        self.port = port or free_port(bind if self.netns.is_current() and not _is_any(bind) else "127.0.0.1")
        if len(str(self.socket)) > 100:
            raise ServerError(f"{self.socket} is too long for a unix socket (107 bytes): use a shorter temporary folder")
        template = self._template()
        self.folder.mkdir(parents=True)
        subprocess.run(["cp", "--reflink=auto", "--sparse=always", "-a", template, self.data], check=True)

    def __repr__(self):
        return f"<{self.flavour} {self.server_id} on {self.address}>"

    @property
    def address(self):
        """The host and port a client uses, as written in a configuration."""
        host = "127.0.0.1" if _is_any(self.bind) else self.bind
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def host(self):
        return "127.0.0.1" if _is_any(self.bind) else self.bind

    @property
    def pid(self):
        return self.process.pid if self.process else None

    def start(self):
        """Start the process; `wait_ready` tells when it serves."""
        if self.running():
            raise ServerError(f"{self!r} runs already, pid {self.pid}")
        command = [
            *self.prefix,
            *self._command(),
            *self._replication_options(),
            f"--datadir={self.data}",
            f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--log-error={self.log}",
            f"--tmpdir={self.folder}",
            f"--port={self.port}",
            f"--bind-address={self.bind}",
            f"--server-id={self.server_id}",
            *self.options,
        ]
        if self.run_as and "--user=root" in command:
            command[command.index("--user=root")] = f"--user={self.run_as}"
        self.socket.unlink(missing_ok=True)
        with open(self.folder / "output.log", "ab") as out:
            self.process = popen(command, self.netns, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        return self

    def wait_ready(self, timeout=30):
        """Wait until the server answers a query and, where this thread can reach it, greets on its port."""
        deadline = time.monotonic() + timeout
        last = "it has not been started"
        while time.monotonic() < deadline:
            if self.process and self.process.poll() is not None:
                if not self._lost_port():
                    raise ServerError(f"{self!r} ended with {self.process.returncode} while starting: {self.log_tail()}")
                self.port = free_port(self.host)
                self.start()
            try:
                self.sql("SELECT 1", timeout=2)
                if self.netns.is_current():
                    self.greeting(timeout=2)
                self._port_is_ours = False
                return self
            except (OSError, pymysql.err.MySQLError) as error:
                last = error
            time.sleep(0.02)
        raise ServerError(f"{self!r} was not ready after {timeout} s: {last}; {self.log_tail()}")

    def _lost_port(self):
        return self._port_is_ours and "already in use" in self.log_tail().lower()

    def running(self):
        """Whether the process is there (and reaped if not); says nothing about it serving."""
        return self.process is not None and self.process.poll() is None

    def listening(self, timeout=0.5):
        """Whether something accepts on the server's port; a stopped server still does, the kernel accepts for it."""
        try:
            socket.create_connection((self.host, self.port), timeout).close()
            return True
        except OSError:
            return False

    def greeting(self, timeout=1.0):
        """The first bytes the server sends on its port; raises OSError when there are none in time."""
        with socket.create_connection((self.host, self.port), timeout) as peer:
            first = peer.recv(128)
            if not first:
                raise ConnectionError(f"{self!r} closed before its greeting")
            return first

    def _signal(self, number):
        if not self.running():
            raise ServerError(f"{self!r} does not run: {self.log_tail()}")
        self.process.send_signal(number)

    def kill9(self):
        """Kill it as a crash would, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        self.process.wait(30)
        return self

    def sigstop(self):
        """Freeze it: connections stay open, nothing answers. Returns once the kernel has stopped every thread of it."""
        self._signal(signal.SIGSTOP)
        self._wait_state(lambda state: state == "T")
        return self

    def sigcont(self):
        self._signal(signal.SIGCONT)
        self._wait_state(lambda state: state != "T")
        return self

    def _wait_state(self, wanted, timeout=5):
        deadline = time.monotonic() + timeout
        tasks = Path(f"/proc/{self.pid}/task")
        while True:
            # The state follows the name in brackets, which may itself hold anything.
            states = [state for state in map(_state, _entries(tasks)) if state]
            if states and all(wanted(state) for state in states):
                return
            if time.monotonic() > deadline:
                raise ServerError(f"{self!r} did not stop or go on: its threads are in {''.join(states)}")
            time.sleep(0.001)

    def shutdown(self, timeout=60):
        """Shut it down cleanly (SIGTERM) and wait until it is gone."""
        self._signal(signal.SIGTERM)
        self._signal_if_stopped()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ServerError(f"{self!r} did not shut down in {timeout} s: {self.log_tail()}") from None
        if self.process.returncode != 0:
            raise ServerError(f"{self!r} shut down with {self.process.returncode}: {self.log_tail()}")
        return self

    def _signal_if_stopped(self):
        if self.running():
            self.process.send_signal(signal.SIGCONT)

    def restart(self, timeout=30):
        """Start it again on the same port, after a clean shutdown if it still runs."""
        if self.running():
            self.shutdown()
        self.start()
        return self.wait_ready(timeout)

    def discard(self):
        """Kill it if it runs, without a word; for the way out."""
        if self.running():
            self.process.kill()
            self.process.wait(30)

    def log_tail(self, lines=12):
        text = []
        for name in ("error.log", "output.log"):
            path = self.folder / name
            if path.exists():
                text += path.read_text(errors="replace").splitlines()[-lines:]
        return f"the end of {self.log}:\n" + "\n".join(text)

    # --- SQL ---

    def connect(self, user="root", db=None, password=None, tcp=False, timeout=10):
        """A PyMySQL connection in autocommit mode, over the unix socket or, with `tcp`, the port. Rows come as tuples."""
        common = {
            "user": user,
            "password": accounts.PASSWORDS.get(user, "") if password is None else password,
            "database": db,
            "autocommit": True,
            "charset": "utf8mb4",
            "connect_timeout": timeout,
            "read_timeout": timeout,
            "write_timeout": timeout,
        }
        if not tcp:
            return pymysql.connect(unix_socket=str(self.socket), **common)
        try:
            return pymysql.connect(host=self.host, port=self.port, **common)
        except RuntimeError:
            # caching_sha2_password does not know this account yet and wants the password itself, which PyMySQL sends through
            # TLS or encrypts with a package we do without. The server's certificate is one it made for itself.
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return pymysql.connect(host=self.host, port=self.port, ssl=context, **common)

    def sql(self, statement, user="root", db=None, args=None, password=None, timeout=10):
        """Run one statement over the unix socket in a connection of its own; its rows as a list of tuples."""
        connection = self.connect(user, db, password, timeout=timeout)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, args)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def sql_unlogged(self, *statements, db=None):
        """Run statements as root in one session that writes nothing to the binary log."""
        connection = self.connect(db=db)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION sql_log_bin = 0")
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()

    def value(self, expression, **options):
        """The value of one expression, such as `@@read_only`."""
        return self.sql(f"SELECT {expression}", **options)[0][0]

    def replica_status(self, user="root"):
        """One dict per replication channel, by the server's own column names; empty when it replicates from nobody."""
        connection = self.connect(user)
        try:
            with connection.cursor(pymysql.cursors.DictCursor) as cursor:
                cursor.execute(self.status_statement)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def replication_threads(self):
        """What the IO and the SQL thread say of themselves, such as ("Yes", "No"); (None, None) when there are none."""
        for row in self.replica_status():
            io = row.get("Replica_IO_Running", row.get("Slave_IO_Running"))
            return io, row.get("Replica_SQL_Running", row.get("Slave_SQL_Running"))
        return None, None

    def stop_replication(self):
        self.sql(self.stop_statement, timeout=30)

    def start_replication(self):
        self.sql(self.start_statement, timeout=30)

    # --- template ---

    @classmethod
    def _template(cls):
        """The initialised data folder with its accounts, made once per machine and server version."""
        made = accounts.statements(cls.identified, cls.probe_privileges)
        version = cls.version()
        recipe = "\n".join([version, platform.machine(), *cls._init_recipe(), *made])
        key = hashlib.sha256(recipe.encode()).hexdigest()[:12]
        cache = cache_folder()
        target = cache / f"data-{cls.flavour}-{key}"
        if target.is_dir():
            return target
        with Locked(cache / f"data-{cls.flavour}.lock"):
            if target.is_dir():
                return target
            for old in cache.glob(f".data-{cls.flavour}-*"):
                shutil.rmtree(old)
            part = cache / f".data-{cls.flavour}-{key}.{os.getpid()}"
            part.mkdir()
            cls._initialise(part / "data")
            cls._add_accounts(part, made)
            # Each copy must make an identity of its own.
            (part / "data" / "auto.cnf").unlink(missing_ok=True)
            (part / "data").rename(target)
            shutil.rmtree(part)
        return target

    @classmethod
    def _init_recipe(cls):
        """Whatever else decides how the template looks."""
        return []

    @classmethod
    def _add_accounts(cls, folder, statements):
        log = folder / "accounts.log"
        sock = folder / "s"
        command = [
            *cls._command(),
            f"--datadir={folder / 'data'}",
            f"--socket={sock}",
            f"--log-error={log}",
            f"--pid-file={folder / 'pid'}",
            "--skip-networking",
            "--skip-log-bin",
        ]
        process = popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    connection = pymysql.connect(unix_socket=str(sock), user="root", password="", autocommit=True)
                    break
                except (OSError, pymysql.err.MySQLError) as error:
                    if process.poll() is not None or time.monotonic() > deadline:
                        text = log.read_text(errors="replace")[-3000:] if log.exists() else ""
                        raise ServerError(f"the {cls.flavour} template's server did not start: {error}; {text}") from error
                    time.sleep(0.02)
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
            connection.close()
            process.terminate()
            if process.wait(60) != 0:
                raise ServerError(f"the {cls.flavour} template's server shut down with {process.returncode}")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _is_any(address):
    return address in ("0.0.0.0", "::", "*")


def _state(task):
    """The letter by which the kernel tells a thread's state; empty for one that has ended meanwhile."""
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _entries(folder):
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
