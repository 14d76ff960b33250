"""Clients at an even rate through a proxy, and what became of each of their requests (load.c)."""

import os
import shlex
import signal
import subprocess
from collections import namedtuple
from pathlib import Path

from servers import APP, wait_converged
from servers.workspace import output, popen

SOURCE = Path(__file__).with_name("load.c")
TABLE = "app.requests"

#: Times are CLOCK_MONOTONIC nanoseconds; `sent` is 0 if no statement was; `number` is 0 for success.
Request = namedtuple("Request", "kind sequence begun sent done number server text")


def build(folder):
    """Compile the driver, and return the program."""
    program = folder / "load"
    flags = shlex.split(output(["pkg-config", "--cflags", "--libs", "libmariadb"]))
    warnings = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-O2"]
    output([os.environ.get("CC", "cc"), *warnings, SOURCE, "-o", program, *flags, "-lpthread"])
    return program


def make_requests_table(ring):
    """An empty table for the writers on every node of the ring."""
    ring.a.sql(f"DROP TABLE IF EXISTS {TABLE}")
    ring.a.sql(f"CREATE TABLE {TABLE} (id INT PRIMARY KEY AUTO_INCREMENT, sequence INT, server INT)")
    wait_converged(ring.nodes)
    for node in ring.nodes:
        # caching_sha2_password knows the account after one login by the socket, and asks for no encryption any more.
        node.sql("SELECT 1", user=APP.user)
        node.sql("SET GLOBAL max_connections = 1000")


def rows(server):
    """What is in the table: {sequence: server that wrote it}; a sequence that stands there twice is an error."""
    found = server.sql(f"SELECT sequence, server FROM {TABLE}")
    made = dict(found)
    assert len(made) == len(found), "a statement was carried out twice"
    return made


class Load:
    """`rate` new connections a second, half of them writing to `rw`, half reading from `ro`, both ports; `kept` sessions beside
    them that write every `pause` ms, with `ping` after a look whether they are still there."""

    def __init__(self, program, folder, rw, ro, rate=200, seconds=60, kept=0, pause=20, ping=False):
        self.rate = rate
        self.answers = folder / "requests"
        self.complaints = folder / "load.err"
        words = [program, rate, seconds, rw, ro, APP.user, APP.password, TABLE, kept, pause, int(ping)]
        with open(self.answers, "w") as out, open(self.complaints, "w") as complaints:
            self.process = popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=complaints)

    def done(self):
        """The requests that have ended so far."""
        made = []
        for line in self.answers.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                kind, *numbers, text = line.rstrip("\n").split(" ", 7)
                made.append(Request(kind, *map(int, numbers), text))
        return made

    def stop(self):
        """Begin no more; all requests once the last of them has ended."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        assert code == 0, self.complaints.read_text()
        return self.done()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def failed(requests):
    return [request for request in requests if request.number != 0]


def complaints(requests):
    """How often which complaint came, for a failure's text."""
    counted = {}
    for request in failed(requests):
        key = f"{request.kind} {request.number} {request.text}"
        counted[key] = counted.get(key, 0) + 1
    return "\n".join(f"{count} x {text}" for text, count in sorted(counted.items()))
