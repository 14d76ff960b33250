"""Where servers live while a test runs: folders, ports, network namespaces and the thread that starts processes."""

import atexit
import ctypes
import fcntl
import os
import queue
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path


def cache_folder():
    """The folder that keeps what is expensive to make: the MySQL tree and the initialised data folders."""
    default = Path(os.environ.get("HOME", "/root")) / ".cache" / "primacy"
    path = Path(os.environ.get("PRIMACY_CACHE") or default)
    path.mkdir(parents=True, exist_ok=True)
    return path


class Locked:
    """Hold an exclusive lock on a file while inside the `with` block; others wait."""

    def __init__(self, path):
        self._path = path

    def __enter__(self):
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_):
        os.close(self._fd)


# --- temporary folder ---------------------------------------------------------------------------------------------------------


class Workspace:
    """A temporary folder and the servers in it. On the way out the servers are killed and the folder is removed; after a
    failure, or with PRIMACY_KEEP set, the folder stays and its path is printed.

    As a context manager it ends with the block, otherwise with the process, whether by return, exception or signal.
    """

    def __init__(self, prefix="primacy-"):
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        self.servers = []
        self.failed = False
        self._owner = os.getpid()
        self._closed = False
        _end_on_signals()
        atexit.register(self.close)

    def create(self, flavour, **options):
        """Like `Server.create`, in this folder; `server_id` counts up by itself."""
        from .server import Server

        options.setdefault("server_id", len(self.servers) + 1)
        server = Server.create(flavour, self.path, **options)
        self.servers.append(server)
        return server

    def keep(self):
        """Keep the folder with its logs: the test has failed."""
        self.failed = True

    def close(self):
        # A forked child inherits the exit handler but owns nothing.
        if self._closed or os.getpid() != self._owner:
            return
        self._closed = True
        atexit.unregister(self.close)
        for server in self.servers:
            server.discard()
        if self.failed or os.environ.get("PRIMACY_KEEP"):
            print(f"server logs and data are kept in {self.path}", file=sys.stderr)
        else:
            shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.failed = True
        self.close()


def _end_on_signals():
    """Let SIGTERM and SIGHUP end the process through its exit handlers, unless the program handles them itself."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, lambda n, _frame: sys.exit(128 + n))


# --- ports --------------------------------------------------------------------------------------------------------------------

_port_locks = {}


def free_port(address="127.0.0.1"):
    """A port nothing listens on and no other test has been given.

    The kernel hands out the upper ports as source ports of outgoing connections, so a server that is killed could find its
    port taken on restart. Ports here come from below that range and are reserved by a lock file as long as this process lives.
    """
    folder = Path(tempfile.gettempdir()) / f"primacy-ports-{os.geteuid()}"
    folder.mkdir(mode=0o755, exist_ok=True)
    first_dynamic = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(1000):
        if first_dynamic > 12000:
            port = random.randrange(10000, first_dynamic)
        else:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
        if port in _port_locks:
            continue
        fd = os.open(folder / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family) as probe:
                probe.bind((address, port))
        except OSError:
            os.close(fd)
            continue
        _port_locks[port] = fd
        return port
    raise RuntimeError(f"no free port found on {address}: see {folder} and `ss -ltn`")


# --- processes ----------------------------------------------------------------------------------------------------------------


class _Spawner:
    """Starts every child from one thread that lives as long as the process.

    PR_SET_PDEATHSIG fires when the *thread* that started the child ends, so a server started from a short-lived thread would
    die with it.
    """

    def __init__(self):
        self._pid = None
        self._guard = threading.Lock()

    def popen(self, command, netns, **options):
        with self._guard:
            if self._pid != os.getpid():
                self._jobs = queue.Queue()
                self._pid = os.getpid()
                threading.Thread(target=self._serve, args=(self._jobs,), name="spawner", daemon=True).start()
        done = queue.Queue()
        self._jobs.put((command, netns, options, done))
        result = done.get()
        if isinstance(result, BaseException):
            raise result
        return result

    @staticmethod
    def _serve(jobs):
        while True:
            command, netns, options, done = jobs.get()
            try:
                prefix = ["setpriv", "--pdeathsig", "KILL"]
                # Only root may enter another namespace, and nobody needs to enter the one he is in.
                if not netns.is_current():
                    prefix += ["nsenter", f"--net={netns.path}", "--"]
                command = prefix + command
                done.put(subprocess.Popen(command, **options))
            except BaseException as error:
                done.put(error)


_spawner = _Spawner()


def _forget_spawner():
    global _spawner
    _spawner = _Spawner()


os.register_at_fork(after_in_child=_forget_spawner)


def popen(command, netns=None, **options):
    """`subprocess.Popen` for a child that dies with this process, in network namespace `netns` (a `NetNs`, default: the
    caller's)."""
    return _spawner.popen([str(word) for word in command], netns or NetNs.current(), start_new_session=True, **options)


def output(command, timeout=60):
    """Run a command to its end and return what it printed; its complaint becomes the error."""
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} failed ({done.returncode}): {done.stdout.strip()[-2000:]}")
    return done.stdout


# --- network namespaces -------------------------------------------------------------------------------------------------------

CLONE_NEWNET = 0x40000000
_OURS = "PRIMACY_TEST_NETNS"


def _checked(call, *args):
    if getattr(ctypes.CDLL(None, use_errno=True), call)(*args) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{call} of a network namespace: {os.strerror(error)} (it needs root)")


class NetNs:
    """A handle on a network namespace: a descriptor of ours, so the path stays valid whatever happens to its name."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.identity = os.fstat(self._fd).st_ino
        self.path = f"/proc/{os.getpid()}/fd/{self._fd}"

    @classmethod
    def current(cls):
        """The namespace of the calling thread."""
        return cls("/proc/thread-self/ns/net")

    @staticmethod
    def unshare():
        """Move the calling thread into a fresh namespace, and return that."""
        _checked("unshare", CLONE_NEWNET)
        made = NetNs.current()
        # Processes started later inherit the list and so may do there what they may not do on the machine's own network.
        os.environ[_OURS] = f"{os.environ.get(_OURS, '')} {made.identity}".strip()
        return made

    def is_current(self):
        return os.stat("/proc/thread-self/ns/net").st_ino == self.identity

    def is_ours(self):
        """Whether this test, or the one that started this process, has made it."""
        return str(self.identity) in os.environ.get(_OURS, "").split()

    def enter(self):
        """Move the calling thread into this namespace; threads and processes it starts later follow."""
        _checked("setns", self._fd, CLONE_NEWNET)

    def run(self, *command, timeout=60):
        """Run a command in it and return what it printed."""
        return output(["nsenter", f"--net={self.path}", "--", *command], timeout)

    def close(self):
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self):
        self.close()
