"""MySQL Router 9.7 with static routes, as a process of a test."""

import os
import signal
import socket
import time
from pathlib import Path

from .flavours import MySQL
from .server import ServerError
from .workspace import NetNs, free_port, popen


class Router:
    """One router. `routes` maps a name to `(protocol, destinations, strategy)`, or to such with options of the section behind it;
    `ports` has the port of each by the same name.

    Static routes never learn who takes writes: a route for writes leads to the first destination that answers.
    """

    def __init__(self, root_folder, routes, name="router", bind="127.0.0.1", ports=None, netns=None, settings=()):
        self.folder = Path(root_folder) / name
        self.bind = bind
        self.netns = getattr(netns, "handle", netns) or NetNs.current()
        self.routes = dict(routes)
        self.ports = dict(ports or {route: free_port() for route in self.routes})
        self.settings = list(settings)
        self.pid_file = self.folder / "router.pid"
        self.output = self.folder / "output"
        self.process = None
        for part in ("log", "run", "data"):
            (self.folder / part).mkdir(parents=True)

    def __repr__(self):
        return f"<router in {self.folder.name} at {self.bind}, {self.ports}>"

    def configuration(self):
        root = MySQL.tree()
        lines = [
            "[DEFAULT]",
            f"plugin_folder={root}/usr/lib/mysqlrouter/plugin",
            f"logging_folder={self.folder / 'log'}",
            f"runtime_folder={self.folder / 'run'}",
            f"data_folder={self.folder / 'data'}",
            f"pid_file={self.pid_file}",
            *self.settings,
            "[logger]",
            "level=info",
        ]
        for name, (protocol, destinations, strategy, *options) in self.routes.items():
            lines += [
                f"[routing:{name}]",
                f"bind_address={self.bind}",
                f"bind_port={self.ports[name]}",
                f"destinations={','.join(destinations)}",
                f"routing_strategy={strategy}",
                f"protocol={protocol}",
                *options,
            ]
        return "\n".join(lines) + "\n"

    def start(self):
        if self.running():
            raise ServerError(f"{self!r} runs already, pid {self.process.pid}")
        # A router that was killed leaves the file, and the next one would take it for another router's.
        self.pid_file.unlink(missing_ok=True)
        config = self.folder / "router.conf"
        config.write_text(self.configuration())
        command = [*MySQL.router_command(), "-c", config]
        if os.geteuid() == 0:
            command += ["--user=root"]
        with open(self.output, "ab") as output:
            self.process = popen(command, self.netns, stdout=output, stderr=output)
        return self

    def wait_ready(self, timeout=30):
        """Wait until every port accepts connections, and the file with the number of the process is there."""
        deadline = time.monotonic() + timeout
        missing = None
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ServerError(f"{self!r} ended with {self.process.returncode} while starting: {self.log_tail()}")
            missing = self.missing()
            if missing is None:
                return self
            time.sleep(0.05)
        raise ServerError(f"{self!r} is not ready after {timeout} s, {missing}: {self.log_tail()}")

    def missing(self):
        """What is still missing for it to be ready."""
        if not (self.pid_file.exists() and self.pid_file.read_text().strip()):
            return "without a pid file"
        # Only where this thread can reach it.
        for name, port in self.ports.items() if self.netns.is_current() else ():
            try:
                socket.create_connection((self.bind, port), 1).close()
            except OSError as error:
                return f"{name} at {port}: {error}"
        return None

    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self):
        return int(self.pid_file.read_text())

    def kill9(self):
        """Kill it as a crash would; does not wait, so that what follows can be timed."""
        os.kill(self.process.pid, signal.SIGKILL)
        return self

    def wait_gone(self, timeout=30):
        self.process.wait(timeout)
        return self

    def sigstop(self):
        os.kill(self.process.pid, signal.SIGSTOP)
        return self

    def sigcont(self):
        os.kill(self.process.pid, signal.SIGCONT)
        return self

    def discard(self):
        if self.running():
            self.sigcont()
            self.kill9().wait_gone()

    def log_tail(self):
        text = ""
        for path in (self.output, *sorted((self.folder / "log").glob("*"))):
            if path.exists():
                text += path.read_text(errors="replace")[-2000:]
        return text

