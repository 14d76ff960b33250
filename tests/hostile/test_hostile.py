"""Every hostile mode does on the wire what its name says, seen by a plain socket and by a client library."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pymysql
import pytest

from hostile import MODES, Hostile
from servers import APP, Workspace

PROGRAM = Path(__file__).resolve().parent / "hostile.py"
LOGIN = b"\x20\x00\x00\x01" + bytes(32)
QUERY = b"\x09\x00\x00\x00\x03SELECT 1"
GREETING_END = b"mysql_native_password\x00"


class Client:
    """A socket that knows no protocol."""

    def __init__(self, server, timeout=2.0):
        self.socket = socket.create_connection((server.host, server.port), timeout)

    def read(self, enough=1 << 30, quiet=0.15):
        """What comes until the peer closes, says nothing for a while, or has said enough; and which of these it was."""
        self.socket.settimeout(quiet)
        data = bytearray()
        try:
            while len(data) < enough:
                part = self.socket.recv(1 << 20)
                if not part:
                    return bytes(data), "closed"
                data += part
        except (TimeoutError, socket.timeout):
            return bytes(data), "silent"
        except ConnectionResetError:
            return bytes(data), "reset"
        return bytes(data), "more"

    def send(self, data):
        self.socket.sendall(data)

    def packet(self):
        """One whole packet's payload."""
        self.socket.settimeout(2)
        head = self._exactly(4)
        return self._exactly(int.from_bytes(head[:3], "little"))

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            assert part, "closed early"
            data += part
        return data

    def log_in(self):
        assert self.packet().endswith(GREETING_END)
        self.send(LOGIN)
        assert self.packet()[0] == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


# What follows when the client has gone this far: (phase, least bytes, most bytes, how it ends).
EXPECTED = {
    "silent": ("connect", 0, 0, "silent"),
    "silent_in_greeting": ("connect", 20, 60, "silent"),
    "silent_after_greeting": ("login", 0, 0, "silent"),
    "silent_after_login": ("query", 0, 0, "silent"),
    "silent_in_result": ("query", 10, 60, "silent"),
    "http": ("connect", 60, 200, "silent"),
    "ssh": ("connect", 20, 60, "silent"),
    "garbage": ("connect", 4096, 4096, "silent"),
    "garbage_flood": ("connect", 10_000_000, None, "more"),
    "garbage_after_greeting": ("login", 4096, 4096, "silent"),
    "garbage_after_login": ("query", 4096, 4096, "silent"),
    "huge_packet": ("connect", 20_000_008, 20_000_008, "silent"),
    "huge_header": ("connect", 4, 4, "silent"),
    "huge_login_answer": ("login", 20_000_008, 20_000_008, "silent"),
    "huge_row": ("query", 20_000_008, 20_000_200, "silent"),
    "endless_rows": ("query", 10_000_000, None, "more"),
    "many_columns": ("query", 13, 13, "silent"),
    "lying_length": ("query", 30, 100, "silent"),
    "wrong_sequence": ("login", 11, 11, "silent"),
    "empty_packets": ("connect", 1_000_000, None, "more"),
    "switch_loop": ("login", 30, 60, "silent"),
    "unknown_method": ("login", 30, 60, "silent"),
    "old_protocol": ("connect", 20, 40, "silent"),
    "error_greeting": ("connect", 20, 40, "closed"),
    "error_unknown": ("login", 15, 40, "silent"),
    "close_before_greeting": ("connect", 0, 0, "closed"),
    "close_in_header": ("connect", 2, 2, "closed"),
    "close_in_greeting": ("connect", 20, 60, "closed"),
    "close_after_greeting": ("connect", 70, 120, "closed"),
    "close_after_login": ("login", 0, 0, "closed"),
    "close_in_login_answer": ("login", 6, 6, "closed"),
    "close_after_ok": ("ok", 0, 0, "closed"),
    "close_after_query": ("query", 0, 0, "closed"),
    "close_in_result": ("query", 10, 60, "closed"),
    "close_before_last": ("query", 30, 100, "closed"),
    "close_between_queries": ("query", 30, 100, "closed"),
}


def test_every_mode_is_tested_and_described():
    assert set(EXPECTED) | {"good", "drip"} == set(MODES)
    assert all(mode.__doc__ for mode in MODES.values())


@pytest.mark.parametrize("mode", EXPECTED)
def test_mode_on_the_wire(mode):
    phase, least, most, end = EXPECTED[mode]
    with Hostile(mode) as server, Client(server) as client:
        if phase == "login":
            assert client.packet().endswith(GREETING_END)
            client.send(LOGIN)
        elif phase in ("ok", "query"):
            client.log_in()
            if phase == "query":
                client.send(QUERY)
        data, how = client.read(enough=least + 1 if most is None else 1 << 30)
        assert how == end
        assert len(data) >= least and (most is None or len(data) <= most), len(data)
        assert server.connections == 1


# PyMySQL has no limit on sizes, and would read endless rows for ever.
ANSWERS = {"huge_row": "x" * (20_000_000 - 9), "close_between_queries": "1"}


@pytest.mark.parametrize("mode", sorted(set(EXPECTED) - {"endless_rows"}))
def test_a_client_library_gets_an_error_and_no_answer(mode):
    with Hostile(mode) as server:
        started = time.monotonic()
        try:
            answer = ask(server, timeout=1)
        except Exception:
            answer = None
        assert answer == (((ANSWERS[mode],),) if mode in ANSWERS else None)
        assert time.monotonic() - started < 10


def ask(server, user="x", password="y", timeout=20):
    connection = pymysql.connect(
        host=server.host, port=server.port, user=user, password=password, connect_timeout=timeout, read_timeout=timeout
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchall()


@pytest.mark.parametrize("mode", ["good", "drip"])
def test_the_canned_server_is_one_a_client_can_use(mode):
    with Hostile(mode) as server:
        assert ask(server) == (("1",),)
        assert ask(server) == (("1",),)
        assert server.connections == 2


@pytest.mark.parametrize("flavour", ["mariadb", "mysql"])
def test_drip_hands_on_a_real_server_byte_by_byte(flavour):
    with Workspace() as space:
        real = space.create(flavour).start().wait_ready()
        whole = len(real.greeting())
        with Hostile("drip", target=(real.host, real.port), pause=0.002) as server:
            with Client(server) as client:
                started = time.monotonic()
                data, _ = client.read(enough=whole, quiet=1)
                assert len(data) == whole and data[4] == 10
                assert time.monotonic() - started >= (whole - 1) * 0.002
            # Once over the unix socket, so that caching_sha2_password knows the account and asks for no encryption.
            real.sql("SELECT 1", user=APP.user)
            assert ask(server, *APP) == ((1,),)


def test_reset_instead_of_close():
    with Hostile("close_after_login", reset=True) as server, Client(server) as client:
        client.packet()
        client.send(LOGIN)
        assert client.read(quiet=2)[1] == "reset"


def test_the_same_seed_makes_the_same_noise():
    noises = []
    for seed in (7, 7, 8):
        with Hostile("garbage", seed=seed) as server, Client(server) as client:
            noises.append(client.read()[0])
    assert noises[0] == noises[1] != noises[2]


def test_many_at_once_and_an_end():
    with Hostile("silent") as server:
        clients = [Client(server) for _ in range(50)]
        deadline = time.monotonic() + 5
        while server.connections < 50 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.connections == 50
    for client in clients:
        assert client.read()[1] in ("closed", "reset")
        client.socket.close()
    with pytest.raises(ConnectionRefusedError):
        Client(server)


def test_as_a_program():
    with subprocess.Popen([sys.executable, PROGRAM, "http", "--reset"], stdout=subprocess.PIPE, text=True, env=os.environ) as program:
        try:
            port = int(program.stdout.readline())
            with socket.create_connection(("127.0.0.1", port), 2) as peer:
                assert peer.recv(4) == b"HTTP"
        finally:
            program.terminate()
