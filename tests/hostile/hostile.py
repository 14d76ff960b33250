#!/usr/bin/env python3
"""A server that behaves badly on purpose, for tests of a database probe.

    with Hostile("silent") as bad:
        probe("127.0.0.1", bad.port)

or `hostile.py MODE [--port N] [--target HOST:PORT]`, which prints its port and serves until it is ended.

Every mode is a function in this file whose first line of text says what it does. A mode works on one connection in a thread of
its own and may come to its end at any time: the connection is then closed, with a reset if the server was made so.
"""

import argparse
import random
import select
import socket
import struct
import sys
import threading
import time

# --- the little of the MySQL protocol that it takes -----------------------------------------------------------------------------

OK = b"\x00\x00\x00\x02\x00\x00\x00"


def packet(payload, sequence):
    """A packet of the MySQL client/server protocol: length in 3 bytes, little endian, sequence number, payload."""
    return struct.pack("<I", len(payload))[:3] + bytes([sequence & 255]) + payload


def greeting():
    """The first packet of a MariaDB 10.11 server (protocol version 10, mysql_native_password, no TLS)."""
    # LONG_PASSWORD, LONG_FLAG, CONNECT_WITH_DB, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, MULTI_STATEMENTS, MULTI_RESULTS,
    # PLUGIN_AUTH.
    capabilities = 0x1 | 0x4 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x10000 | 0x20000 | 0x80000
    salt = b"abcdefgh12345678ABCD"
    return packet(
        b"\x0a5.5.5-10.11.6-MariaDB\x00"
        + struct.pack("<I", 7)
        + salt[:8]
        + b"\x00"
        + struct.pack("<HBHHB", capabilities & 0xFFFF, 45, 2, capabilities >> 16, 21)
        + bytes(10)
        + salt[8:]
        + b"\x00mysql_native_password\x00",
        0,
    )


def error_packet(code, state, text, sequence):
    return packet(b"\xff" + struct.pack("<H", code) + b"#" + state + text, sequence)


def column(name, sequence):
    def text(value):
        return bytes([len(value)]) + value

    described = b"".join(text(part) for part in (b"def", b"", b"", b"", name, b"")) + b"\x0c"
    return packet(described + struct.pack("<HIBHB", 45, 1024, 253, 0, 0) + b"\x00\x00", sequence)


def end_of_rows(sequence):
    return packet(b"\xfe\x00\x00\x02\x00", sequence)


def result():
    """A text result of one row and one column, value 1."""
    return [packet(b"\x01", 1), column(b"1", 2), end_of_rows(3), packet(b"\x011", 4), end_of_rows(5)]


class Gone(Exception):
    """The peer has closed."""


class Peer:
    """One connection, read packet by packet."""

    def __init__(self, connection, server):
        self.socket = connection
        self.server = server

    def send(self, data):
        self.socket.sendall(data)

    def _read(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise Gone
            data += part
        return data

    def receive(self):
        head = self._read(4)
        return self._read(int.from_bytes(head[:3], "little"))

    def log_in(self):
        """Greet, take whatever login comes, and say OK."""
        self.send(greeting())
        self.receive()
        self.send(packet(OK, 2))

    def query(self):
        """Wait for a query that asks for something; SET statements and other commands get their OK, a farewell ends it all."""
        while True:
            command = self.receive()
            if command[:1] == b"\x01":
                raise Gone
            if command[:1] == b"\x03" and not command[1:5].upper() == b"SET ":
                return command[1:]
            self.send(packet(OK, 1))

    def wait(self):
        """Say nothing until the peer closes or the server ends."""
        while self.socket.recv(65536):
            pass


# --- modes --------------------------------------------------------------------------------------------------------------------


def good(peer):
    """Speaks properly and answers every query with one row, value 1: what the others are to be compared with."""
    peer.log_in()
    while True:
        peer.query()
        peer.send(b"".join(result()))


def silent(peer):
    """Accepts and never speaks."""
    peer.wait()


def silent_after_greeting(peer):
    """Greets and never answers the login."""
    peer.send(greeting())
    peer.wait()


def silent_after_login(peer):
    """Lets everybody in and never answers a query."""
    peer.log_in()
    peer.wait()


def silent_in_greeting(peer):
    """Sends half a greeting, then nothing."""
    data = greeting()
    peer.send(data[: len(data) // 2])
    peer.wait()


def silent_in_result(peer):
    """Stops speaking in the middle of a result."""
    peer.log_in()
    peer.query()
    data = b"".join(result())
    peer.send(data[: len(data) // 2])
    peer.wait()


def http(peer):
    """Speaks HTTP, without being asked."""
    peer.send(b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Length: 11\r\nConnection: close\r\n\r\nbad request")
    peer.wait()


def ssh(peer):
    """Speaks SSH."""
    peer.send(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n")
    peer.wait()


def garbage(peer):
    """Sends 4 KiB of noise, the same for the same seed, and waits."""
    peer.send(peer.server.noise(4096))
    peer.wait()


def garbage_flood(peer):
    """Sends noise without end."""
    while True:
        peer.send(peer.server.noise(65536))


def garbage_after_greeting(peer):
    """Greets properly and answers the login with noise."""
    peer.send(greeting())
    peer.receive()
    peer.send(peer.server.noise(4096))
    peer.wait()


def garbage_after_login(peer):
    """Lets everybody in and answers a query with noise."""
    peer.log_in()
    peer.query()
    peer.send(peer.server.noise(4096))
    peer.wait()


HUGE = 20_000_000


def _huge(first_byte, sequence):
    """20 MB in one message: a packet of the largest size (16 MiB less one byte) and the rest in the next."""
    most = 0xFFFFFF
    yield struct.pack("<I", most)[:3] + bytes([sequence]) + first_byte
    left = most - len(first_byte)
    for size, follows in ((left, True), (HUGE - most, False)):
        while size:
            part = min(size, 1 << 16)
            yield b"x" * part
            size -= part
        if follows:
            yield struct.pack("<I", HUGE - most)[:3] + bytes([sequence + 1])


def huge_packet(peer):
    """Greets with a packet of 20 MB, header and data."""
    for part in _huge(b"\x0a", 0):
        peer.send(part)
    peer.wait()


def huge_header(peer):
    """Announces a packet of 16 MiB as its greeting and sends nothing of it."""
    peer.send(b"\xff\xff\xff\x00")
    peer.wait()


def huge_login_answer(peer):
    """Answers the login with a packet of 20 MB."""
    peer.send(greeting())
    peer.receive()
    for part in _huge(b"\x00", 2):
        peer.send(part)
    peer.wait()


def huge_row(peer):
    """Answers a query with a row of 20 MB."""
    peer.log_in()
    peer.query()
    for part in result()[:3]:
        peer.send(part)
    # A value of 20 MB less its own length: 0xfd and 3 bytes hold only up to 16 MiB, 0xfe and 8 bytes any size.
    for part in _huge(b"\xfe" + struct.pack("<Q", HUGE - 9), 4):
        peer.send(part)
    peer.send(end_of_rows(6))
    peer.wait()


def endless_rows(peer):
    """Answers a query with rows without end."""
    peer.log_in()
    peer.query()
    for part in result()[:3]:
        peer.send(part)
    sequence = 4
    while True:
        peer.send(b"".join(packet(b"\x011", sequence + i) for i in range(1000)))
        sequence += 1000


def many_columns(peer):
    """Announces 2^62 columns."""
    peer.log_in()
    peer.query()
    peer.send(packet(b"\xfe" + struct.pack("<Q", 1 << 62), 1))
    peer.wait()


def lying_length(peer):
    """Sends a row whose value claims to be longer than its packet."""
    peer.log_in()
    peer.query()
    parts = result()
    parts[3] = packet(b"\xfc\xff\xff1", 4)
    peer.send(b"".join(parts))
    peer.wait()


def wrong_sequence(peer):
    """Greets properly and answers the login with a wrong sequence number."""
    peer.send(greeting())
    peer.receive()
    peer.send(packet(OK, 77))
    peer.wait()


def empty_packets(peer):
    """Sends empty packets without end."""
    while True:
        peer.send(b"".join(packet(b"", i) for i in range(256)))


def switch_loop(peer):
    """Asks for another authentication method again and again."""
    peer.send(greeting())
    peer.receive()
    sequence = 2
    while True:
        peer.send(packet(b"\xfemysql_native_password\x00abcdefgh12345678ABCD\x00", sequence))
        peer.receive()
        sequence += 2


def unknown_method(peer):
    """Asks for an authentication method nobody knows."""
    peer.send(greeting())
    peer.receive()
    peer.send(packet(b"\xfequantum_handshake\x00abcdefgh12345678ABCD\x00", 2))
    peer.wait()


def old_protocol(peer):
    """Greets with protocol version 9."""
    peer.send(packet(b"\x093.20.32\x00" + struct.pack("<I", 7) + b"abcdefgh\x00", 0))
    peer.wait()


def error_greeting(peer):
    """Greets with an error, as a full server does (1040)."""
    # Before the greeting there is no agreement on SQL states, so the server sends none.
    peer.send(packet(b"\xff" + struct.pack("<H", 1040) + b"Too many connections", 0))


def error_unknown(peer):
    """Refuses the login with an error number and a text nobody knows, in bytes that are not UTF-8."""
    peer.send(greeting())
    peer.receive()
    peer.send(error_packet(65535, b"XX000", b"\xff\xfe\x00\x1b[31mred", 2))
    peer.wait()


def drip(peer):
    """Speaks properly, or hands on what a target says, a byte at a time with a pause after each."""
    target = peer.server.target
    if target is None:
        peer.server.drip(peer, greeting())
        peer.receive()
        peer.server.drip(peer, packet(OK, 2))
        while True:
            peer.query()
            peer.server.drip(peer, b"".join(result()))
    with socket.create_connection(target, 5) as real:
        real.settimeout(None)
        while not peer.server.ending.is_set():
            ready, _, _ = select.select([peer.socket, real], [], [])
            if peer.socket in ready:
                data = peer.socket.recv(65536)
                if not data:
                    return
                real.sendall(data)
            if real in ready:
                data = real.recv(65536)
                if not data:
                    return
                peer.server.drip(peer, data)


def close_before_greeting(peer):
    """Accepts and closes."""


def close_in_greeting(peer):
    """Closes in the middle of its greeting."""
    data = greeting()
    peer.send(data[: len(data) // 2])


def close_in_header(peer):
    """Closes after two of the four bytes of its greeting's header."""
    peer.send(greeting()[:2])


def close_after_greeting(peer):
    """Closes after its greeting."""
    peer.send(greeting())


def close_after_login(peer):
    """Closes after it has got the login."""
    peer.send(greeting())
    peer.receive()


def close_in_login_answer(peer):
    """Closes in the middle of its answer to the login."""
    peer.send(greeting())
    peer.receive()
    peer.send(packet(OK, 2)[:6])


def close_after_ok(peer):
    """Lets everybody in and closes."""
    peer.log_in()


def close_after_query(peer):
    """Closes when a query comes."""
    peer.log_in()
    peer.query()


def close_in_result(peer):
    """Closes in the middle of a result."""
    peer.log_in()
    peer.query()
    data = b"".join(result())
    peer.send(data[: len(data) // 2])


def close_before_last(peer):
    """Closes before the last packet of a result."""
    peer.log_in()
    peer.query()
    peer.send(b"".join(result()[:-1]))


def close_between_queries(peer):
    """Answers one query and closes before the next."""
    peer.log_in()
    peer.query()
    peer.send(b"".join(result()))


_HELPERS = ("packet", "greeting", "error_packet", "column", "end_of_rows", "result", "main")
MODES = {
    name: thing
    for name, thing in list(globals().items())
    if callable(thing) and not isinstance(thing, type) and not name.startswith("_") and name not in _HELPERS
}


# --- the server ---------------------------------------------------------------------------------------------------------------


class Hostile:
    """A hostile server on `host`:`port`, running from construction to `close`.

    `connections` counts what it has accepted. `pause` is the time between two bytes of "drip", in seconds; `target` the server
    whose words it hands on. With `reset` connections end with a TCP reset instead of a close. `seed` makes the noise.
    """

    def __init__(self, mode, host="127.0.0.1", port=0, target=None, pause=0.001, reset=False, seed=1):
        if mode not in MODES:
            raise ValueError(f"unknown mode {mode!r}, known: {', '.join(sorted(MODES))}")
        self.mode = mode
        self.target = target
        self.pause = pause
        self.reset = reset
        self.connections = 0
        self.ending = threading.Event()
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._open = set()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.socket(family)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((host, port))
        self._listener.listen(128)
        self.host, self.port = self._listener.getsockname()[:2]
        self._thread = threading.Thread(target=self._accept, name=f"hostile {mode}", daemon=True)
        self._thread.start()

    def noise(self, size):
        with self._lock:
            return self._random.getrandbits(8 * size).to_bytes(size, "little")

    def drip(self, peer, data):
        for position in range(len(data)):
            peer.send(data[position : position + 1])
            time.sleep(self.pause)

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self.ending.is_set():
                    connection.close()
                    return
                self.connections += 1
                self._open.add(connection)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), name=f"hostile {self.mode}", daemon=True).start()

    def _serve(self, connection):
        try:
            MODES[self.mode](Peer(connection, self))
        except (Gone, OSError):
            # The peer has had enough, or the server ends.
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            if self.reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                self._say_goodbye(connection)
            connection.close()

    @staticmethod
    def _say_goodbye(connection):
        """A close with unread bytes becomes a reset, which may overtake what was sent: read them first."""
        try:
            connection.shutdown(socket.SHUT_WR)
            connection.setblocking(False)
            while connection.recv(65536):
                pass
        except OSError:
            pass

    def close(self):
        with self._lock:
            self.ending.set()
            open_now = list(self._open)
        # A shutdown, unlike a close, wakes the threads that wait in accept and recv.
        for each in (self._listener, *open_now):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._thread.join(5)
        self._listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def main():
    modes = "\n".join(f"  {name:24}{mode.__doc__.splitlines()[0]}" for name, mode in MODES.items())
    parser = argparse.ArgumentParser(
        description="A server that behaves badly on purpose.",
        epilog=f"modes:\n{modes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("mode", choices=MODES, metavar="MODE")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--target", help="HOST:PORT that the mode drip hands on")
    parser.add_argument("--pause", type=float, default=0.001, help="seconds between two bytes of drip")
    parser.add_argument("--reset", action="store_true", help="end connections with a TCP reset")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    target = None
    if given.target:
        host, _, port = given.target.rpartition(":")
        target = (host.strip("[]"), int(port))
    with Hostile(given.mode, given.host, given.port, target, given.pause, given.reset, given.seed) as server:
        print(server.port, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
