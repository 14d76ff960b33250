"""The agent and a load balancer in front of real servers, run from the files in examples/."""

import csv
import io
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pymysql

from servers import PROBE, wait_until
from servers.accounts import APP

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(os.environ.get("PRIMACY_COMMAND") or ROOT / "target" / "dist" / "primacy")


class Process:
    """A program in the foreground that ends with the test, and what it says."""

    def __init__(self, folder, name, command):
        self.log = folder / f"{name}.log"
        with self.log.open("w") as log:
            self.popen = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def said(self):
        return self.log.read_text()

    def wait_for(self, text, timeout=20):
        wait_until(lambda: text in self.said() or self.ended(), timeout, lambda: f"{text!r} in {self.said()}")
        assert text in self.said(), self.said()

    def ended(self):
        return self.popen.poll() is not None

    def close(self):
        if not self.ended():
            self.popen.terminate()
            try:
                self.popen.wait(5)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


def from_example(name, target, replace):
    """Write an example's file with other addresses; every one of them must be in it."""
    text = (ROOT / "examples" / name).read_text()
    for old, new in replace.items():
        assert old in text, f"{old} is not in {name}"
        text = text.replace(old, str(new))
    target.write_text(text)
    return target


class Agent(Process):
    """`primacy run`, and the command beside it."""

    def __init__(self, folder, config):
        self.config = config
        super().__init__(folder, "agent", [COMMAND, "-c", config, "run"])
        self.wait_for("agent: watching")

    def run(self, *words, code=0):
        done = subprocess.run([COMMAND, "-c", self.config, *words], capture_output=True, text=True, timeout=60)
        assert code is None or done.returncode == code, f"{words}: {done}"
        return done


def write_password(path):
    path.touch(0o600)
    path.write_text(PROBE.password)
    return path


class Stats:
    """HAProxy's own word about its servers, from its socket."""

    def __init__(self, path):
        self.path = path

    def rows(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(str(self.path))
            s.sendall(b"show stat\n")
            text = b"".join(iter(lambda: s.recv(65536), b"")).decode()
        return {(row["# pxname"], row["svname"]): row for row in csv.DictReader(io.StringIO(text))}

    def status(self, backend, server):
        try:
            return self.rows()[backend, server]["status"]
        except (OSError, KeyError):
            return None

    def until(self, backend, server, wanted, timeout=20):
        """Wait until the server's status begins with a word."""
        wait_until(
            lambda: (self.status(backend, server) or "").startswith(wanted),
            timeout,
            lambda: f"{backend}/{server} is {wanted}, it is {self.status(backend, server)}",
        )


def connect(port):
    """A client's connection through the balancer."""
    return pymysql.connect(
        host="127.0.0.1", port=port, user=APP.user, password=APP.password, autocommit=True, connect_timeout=3, read_timeout=5
    )


class Clients:
    """Asks the same statement on a new connection again and again: who answered when, and what failed."""

    def __init__(self, port, statements, pause=0.01):
        self.port, self.statements, self.pause = port, statements, pause
        self.answers, self.failures = [], []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.over.is_set():
            try:
                with connect(self.port) as c, c.cursor() as cursor:
                    for statement in self.statements:
                        cursor.execute(statement)
                    cursor.execute("SELECT @@port")
                    self.answers.append((time.monotonic(), cursor.fetchone()[0]))
            except (pymysql.err.MySQLError, OSError) as error:
                self.failures.append((time.monotonic(), str(error)))
            time.sleep(self.pause)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join(15)

    def by(self, since=0.0):
        return {port for at, port in self.answers if at >= since}

    def answered(self, port, count, timeout=20):
        have = len([1 for _, p in self.answers if p == port])
        wait_until(
            lambda: len([1 for _, p in self.answers if p == port]) >= have + count,
            timeout,
            lambda: f"{count} answers of {port}: {self.answers[-3:]}, {self.failures[-3:]}",
        )

    def longest_gap(self, since):
        times = [at for at, _ in self.answers]
        return max((b - a for a, b in zip(times, times[1:]) if b >= since), default=0.0)
