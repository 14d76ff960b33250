"""`primacy watch` in a terminal of its own, over an agent whose server is killed."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from servers import PROBE, wait_until

COMMAND = Path(os.environ.get("PRIMACY_COMMAND") or Path(__file__).resolve().parents[2] / "target" / "release" / "primacy")
# Control sequences (ECMA-48 5.4), single-character escapes, text.
TOKEN = re.compile(r"\x1b\[([?0-9;]*)([@-~])|\x1b[()][A-Z0-9]|\x1b[=>78]|(.)", re.DOTALL)


class Screen:
    """A terminal as far as the picture needs one: places, text, clearing."""

    def __init__(self, command, env, columns, lines):
        self.master, slave = pty.openpty()
        self.size(columns, lines)
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True, close_fds=True
        )
        os.close(slave)
        self.raw = ""
        self._bytes = b""

    def size(self, columns, lines):
        self.columns, self.lines = columns, lines
        self.cells, self.x, self.y = {}, 0, 0
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns, lines):
        self.size(columns, lines)
        os.kill(self.process.pid, signal.SIGWINCH)

    def key(self, text):
        os.write(self.master, text.encode())

    def read(self, seconds=0.1):
        """Takes in what has come; False once the other side is closed."""
        is_open = True
        while is_open and select.select([self.master], [], [], seconds)[0]:
            try:
                got = os.read(self.master, 65536)
            except OSError:
                got = b""
            is_open = bool(got)
            self._bytes += got
            seconds = 0
        text = self._bytes.decode("utf-8", "ignore")
        # The end may be half a sequence.
        cut = text.rfind("\x1b")
        if cut >= 0 and not TOKEN.match(text, cut):
            text = text[:cut]
        self._bytes = self._bytes[len(text.encode()) :]
        self.raw += text
        self._draw(text)
        return is_open

    def _draw(self, text):
        for token in TOKEN.finditer(text):
            words, final, char = token.groups()
            if final == "H":
                numbers = [int(word or 1) for word in (words or "1;1").split(";")]
                self.y, self.x = numbers[0] - 1, numbers[1] - 1 if len(numbers) > 1 else 0
            elif final == "J":
                self.cells = {}
            elif char == "\r":
                self.x = 0
            elif char == "\n":
                self.y += 1
            elif char and char >= " ":
                self.cells[self.y, self.x] = char
                self.x += 1

    def text(self):
        rows = range(self.lines)
        return "\n".join("".join(self.cells.get((y, x), " ") for x in range(self.columns)).rstrip() for y in rows)

    def until(self, *words, timeout=20):
        def there():
            self.read()
            return all(word in self.text() for word in words)

        wait_until(there, timeout, lambda: f"{words} is not shown:\n{self.text()}")
        return self.text()

    def end(self, timeout=5):
        until = time.monotonic() + timeout
        while self.process.poll() is None and time.monotonic() < until:
            self.read()
        # Its last words.
        self.read()
        return self.process.poll()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.fixture
def agent(ring, secret, tmp_path):
    """The real agent over two real servers."""
    nodes = ", ".join(
        f'{{ address = "{node.address}", type = "{kind}" }}' for node, kind in zip(ring.nodes, ("primary", "secondary"))
    )
    config = tmp_path / "primacy.toml"
    config.write_text(
        f"""
        cache_file = "{tmp_path}/cache"
        [probe]
        user = "{PROBE.user}"
        password_file = "{secret}"
        rsa_public_key = "from-server"
        interval = "100ms"
        [pool.orders]
        nodes = [ {nodes} ]
        [pool.users]
        nodes = [ {{ address = "127.0.0.1:1" }} ]
        """
    )
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen([COMMAND, "-c", config, "run"], stderr=log)
    yield process, config, tmp_path
    process.kill()
    process.wait()


@pytest.fixture
def screens():
    made = []

    def make(config, columns=140, lines=30, **env):
        whole = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": "", **env}
        made.append(Screen([COMMAND, "-c", config, "watch"], whole, columns, lines))
        return made[-1]

    yield make
    for screen in made:
        screen.close()


@pytest.mark.parametrize("flavour", ["mariadb"], indirect=True)
def test_a_kill_before_your_eyes(agent, ring, screens):
    process, config, folder = agent
    a, b = ring.nodes
    wait_until(lambda: (folder / "cache").exists(), 20, "the cache")
    screen = screens(config)
    screen.until(f"process {process.pid}", "> orders", f"ACTIVE {a.address}", "PRIMARY", "STANDBY", "####")
    assert "\x1b[?1049h" in screen.raw, "the alternate screen, so that the user's own lines come back"
    screen.until("us", "epoch", "nobody is ACTIVE")

    a.kill9()
    shown = screen.until(f"ACTIVE {b.address}", "FAILED_OFFLINE", f"ACTIVE was {a.address}, is {b.address}")
    assert "rule 245" in shown and "ALARM" in shown
    assert any("...." in line and a.address in line for line in shown.splitlines()), shown

    # Keys: the explanation, another pool, back; then another size.
    screen.key("e")
    screen.until("explain (e: back", b.address)
    screen.key("\t")
    screen.until("> users", "127.0.0.1:1", "explain (e: back")
    screen.key("e")
    screen.until("events ─")
    screen.key("\x1b[A")
    screen.until("> orders")
    screen.resize(100, 24)
    shown = screen.until("q quit", f"ACTIVE {b.address}")
    assert shown.splitlines()[23].startswith("q quit"), shown

    # The agent goes away: what is left is the cache, and that is said. It comes back with a new life.
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    screen.until("no agent keeps the cache", f"ACTIVE {b.address}")
    screen.key("q")
    assert screen.end() == 0
    screen.read()
    assert "\x1b[?1049l" in screen.raw and "\x1b[?25h" in screen.raw, "the terminal is as it was"


@pytest.mark.parametrize("flavour", ["mariadb"], indirect=True)
def test_without_colour_and_ended_by_a_signal(agent, screens):
    process, config, folder = agent
    wait_until(lambda: (folder / "cache").exists(), 20, "the cache")
    plain, coloured = screens(config, NO_COLOR="1"), screens(config)
    for screen in (plain, coloured):
        screen.until("> orders", "STANDBY")
    colours = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[1-7]|38;5;[0-9]+)[;m]")
    assert colours.search(coloured.raw) and not colours.search(plain.raw)
    plain.process.send_signal(signal.SIGTERM)
    assert plain.end() == 0 and "\x1b[?1049l" in plain.raw
    coloured.key("\x03")
    assert coloured.end() == 0


def test_without_a_terminal(tmp_path):
    config = tmp_path / "primacy.toml"
    config.write_text(f'cache_file = "{tmp_path}/cache"\n[pool.p]\nnodes = [ {{ address = "127.0.0.1:1" }} ]\n')
    done = subprocess.run([COMMAND, "-c", config, "watch"], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20)
    assert (done.returncode, done.stdout) == (2, "") and "needs a terminal" in done.stderr, done
    assert sys.stdin is None or done.stderr.count("\n") == 1
