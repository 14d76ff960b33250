"""The MySQL client/server protocol as MySQL Proxy 0.8.5 speaks it: packets, greetings, results, and when a result ends."""

import hashlib
import os
import socket

LONG_PASSWORD, CONNECT_WITH_DB, COMPRESS, PROTOCOL_41, SSL = 1, 8, 32, 512, 2048
SECURE_CONNECTION, PLUGIN_AUTH, DEPRECATE_EOF = 32768, 1 << 19, 1 << 24
COM_QUIT, COM_INIT_DB, COM_QUERY, COM_FIELD_LIST = 1, 2, 3, 4
COM_STATISTICS, COM_PING, COM_CHANGE_USER, COM_BINLOG_DUMP = 9, 14, 17, 18
COM_STMT_PREPARE, COM_STMT_EXECUTE, COM_STMT_SEND_LONG_DATA, COM_STMT_CLOSE, COM_STMT_FETCH = 22, 23, 24, 25, 28
MORE_RESULTS = 8


class Channel:
    """A socket that carries packets with sequence numbers."""

    def __init__(self, sock):
        self.sock = sock
        self.sequence = 0
        self._file = sock.makefile("rb")

    def read(self):
        """The next packet's payload, put together from its parts; EOFError at the end."""
        whole = b""
        while True:
            header = self._file.read(4)
            if len(header) != 4:
                raise EOFError
            length = int.from_bytes(header[:3], "little")
            self.sequence = (header[3] + 1) & 255
            part = self._file.read(length)
            if len(part) != length:
                raise EOFError
            whole += part
            if length != 0xFFFFFF:
                return whole

    def write(self, *payloads):
        out = b""
        for payload in payloads:
            while True:
                part, payload = payload[:0xFFFFFF], payload[0xFFFFFF:]
                out += len(part).to_bytes(3, "little") + bytes([self.sequence]) + part
                self.sequence = (self.sequence + 1) & 255
                if len(part) < 0xFFFFFF:
                    break
        self.sock.sendall(out)

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._file.close()
        self.sock.close()


def lenenc(data):
    """A length-encoded string; NULL for None."""
    if data is None:
        return b"\xfb"
    return lenenc_int(len(data)) + data


def lenenc_int(number):
    if number < 251:
        return bytes([number])
    if number < 1 << 16:
        return b"\xfc" + number.to_bytes(2, "little")
    return b"\xfd" + number.to_bytes(3, "little")


EOF_PACKET = b"\xfe\x00\x00\x02\x00"


def answer(given):
    """What a script answered (see standin.response in standin.lua), as payloads."""
    kind = given["kind"]
    if kind == b"ok":
        return [b"\x00" + lenenc_int(given["affected_rows"]) + lenenc_int(given["insert_id"]) + b"\x02\x00\x00\x00"]
    if kind == b"err":
        return [b"\xff" + given["errcode"].to_bytes(2, "little") + b"#" + given["sqlstate"] + given["errmsg"]]
    if kind == b"err_pre41":
        return [b"\xff" + given["errcode"].to_bytes(2, "little") + given["errmsg"]]
    if kind == b"raw":
        return [given["packet"]]
    fields = [
        lenenc(b"def") + lenenc(b"") * 3 + lenenc(field["name"]) + lenenc(b"")
        + b"\x0c\x08\x00" + (32).to_bytes(4, "little") + bytes([field["type"]]) + b"\x02\x00\x00\x00\x00"
        for field in given["fields"]
    ]
    rows = [b"".join(map(lenenc, row)) for row in given["rows"]]
    return [lenenc_int(len(fields)), *fields, EOF_PACKET, *rows, EOF_PACKET]


def admin_greeting(challenge):
    """The admin plugin's: it names no plugin, so clients take mysql_native_password."""
    capabilities = PROTOCOL_41 | SECURE_CONNECTION | LONG_PASSWORD
    return (
        b"\x0a5.0.99-agent-admin\x00" + (1).to_bytes(4, "little") + challenge[:8] + b"\x00"
        + (capabilities & 0xFFFF).to_bytes(2, "little") + b"\x08\x02\x00" + (capabilities >> 16).to_bytes(2, "little") + b"\x00" * 11
        + challenge[8:] + b"\x00"
    )


def new_challenge():
    """20 printable characters."""
    return bytes(33 + byte % 94 for byte in os.urandom(20))


def native_password(password, challenge):
    """mysql_native_password: SHA1(password) XOR SHA1(challenge, SHA1(SHA1(password)))."""
    if not password:
        return b""
    stage = hashlib.sha1(password).digest()
    mask = hashlib.sha1(challenge + hashlib.sha1(stage).digest()).digest()
    return bytes(a ^ b for a, b in zip(stage, mask))


class Refused(Exception):
    """What the proxy cannot parse: it closes the connection."""


def read_login(payload, server_capabilities):
    """The client's login packet: capabilities, username, answer to the challenge, database, plugin."""
    capabilities = int.from_bytes(payload[:4], "little")
    if not capabilities & PROTOCOL_41:
        raise Refused("4.0 protocol is not supported")
    rest = payload[32:]
    username, _, rest = rest.partition(b"\x00")
    if server_capabilities & SECURE_CONNECTION:
        length = rest[0] if rest else 0
        response, rest = rest[1 : 1 + length], rest[1 + length :]
    else:
        response, _, rest = rest.partition(b"\x00")
    database = plugin = b""
    if server_capabilities & capabilities & CONNECT_WITH_DB:
        database, _, rest = rest.partition(b"\x00")
    if server_capabilities & capabilities & PLUGIN_AUTH:
        plugin, _, rest = rest.partition(b"\x00")
    return capabilities, username, response, database, plugin


def through_proxy(greeting):
    """A server's greeting as the proxy hands it on, without compression and TLS: the packet, what scripts may ask, its capabilities."""
    end = greeting.index(b"\x00", 1)
    version = greeting[1:end].decode()
    numbers = version.split(".")
    if len(numbers) < 3 or not numbers[0].isdigit() or not numbers[1].isdigit() or not numbers[2][:1].isdigit():
        raise Refused(f"protocol 10, but version number not parsable: {version}")
    major, minor = int(numbers[0]), int(numbers[1])
    patch = int("".join(c if c.isdigit() else " " for c in numbers[2]).split()[0])
    if major > 10 or minor > 100 or patch > 100:
        raise Refused(f"protocol 10, but version number out of range: {version}")
    at = end + 1
    low = at + 13
    capabilities = int.from_bytes(greeting[low : low + 2], "little") | int.from_bytes(greeting[low + 5 : low + 7], "little") << 16
    capabilities &= ~(COMPRESS | SSL)
    length = greeting[low + 7]
    tail = greeting[low + 18 :]
    scramble, plugin = greeting[at + 4 : at + 12], b""
    if capabilities & PLUGIN_AUTH:
        second = max(length - 8, 0)
        scramble += tail[:second]
        plugin = tail[max(second, 12) :].split(b"\x00")[0]
    else:
        scramble += tail[:12]
    packet = (
        greeting[: low] + (capabilities & 0xFFFF).to_bytes(2, "little") + greeting[low + 2 : low + 5]
        + (capabilities >> 16).to_bytes(2, "little") + greeting[low + 7 : low + 8] + b"\x00" * 10 + tail
    )
    asked = {
        "mysqld_version": major * 10000 + minor * 100 + patch,
        "thread_id": int.from_bytes(greeting[at : at + 4], "little"),
        "scramble_buffer": scramble,
        "auth_plugin_name": plugin,
    }
    return packet, asked, capabilities


class Result:
    """When an answer of the server is complete, as the proxy follows it: by EOF packets alone."""

    def __init__(self, command):
        self.command = command[0]
        self.stage = "first"
        self.left = 0

    @property
    def none(self):
        """Commands that have no answer."""
        return self.command in (COM_QUIT, COM_STMT_CLOSE, COM_STMT_SEND_LONG_DATA)

    def finished(self, packet):
        """Whether this packet was the last one."""
        first, eof = packet[0], packet[0] == 0xFE and len(packet) < 9
        if self.command in (COM_QUERY, COM_STMT_EXECUTE):
            return self._query(packet, first, eof)
        if self.command in (COM_FIELD_LIST, COM_STMT_FETCH):
            return eof or first == 0xFF
        if self.command == COM_STMT_PREPARE:
            if self.stage == "first":
                if first == 0xFF:
                    return True
                columns, parameters = int.from_bytes(packet[5:7], "little"), int.from_bytes(packet[7:9], "little")
                self.stage, self.left = "definitions", bool(columns) + bool(parameters)
            elif eof:
                self.left -= 1
            return self.left == 0
        if self.command == COM_BINLOG_DUMP:
            return False
        return True

    def _query(self, packet, first, eof):
        if first == 0xFF:
            return True
        if self.stage == "first":
            if first == 0x00:
                return not self._ok_status(packet) & MORE_RESULTS
            if first == 0xFB:
                raise Refused("LOAD DATA LOCAL INFILE is not modelled")
            self.stage = "fields"
        elif self.stage == "fields":
            self.stage = "rows" if eof else "fields"
        elif eof:
            if int.from_bytes(packet[3:5], "little") & MORE_RESULTS:
                self.stage = "first"
                return False
            return True
        return False

    @staticmethod
    def _ok_status(packet):
        at = 1
        for _ in range(2):
            at += {0xFC: 3, 0xFD: 4, 0xFE: 9}.get(packet[at], 1)
        return int.from_bytes(packet[at : at + 2], "little")
