"""A small client of the X protocol: enough to ask, over an X port, which server is behind it.

Messages are protocol buffers, written and read by hand here: four bytes of length, one of type, then fields. The login is PLAIN
over TLS, which every account of MySQL 9 can do (https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html).
"""

import socket
import ssl
import struct

CAPABILITIES_SET, CLOSE, AUTHENTICATE_START, EXECUTE = 2, 3, 4, 12
OK, ERROR, AUTHENTICATED, NOTICE, ROW, EXECUTED = 0, 1, 4, 11, 13, 17
#: No message of a test is as long.
LONGEST = 1 << 20


class XError(Exception):
    """What the server says, or that it does not speak the protocol."""


def _varint(number):
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(made) + bytes([number])


def _field(number, value):
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _fields(data):
    """Number and value of every field."""
    at = 0

    def varint():
        nonlocal at
        number = shift = 0
        while True:
            byte = data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7

    while at < len(data):
        number, wire = divmod(varint(), 8)
        if wire == 0:
            yield number, varint()
        elif wire == 2:
            length = varint()
            yield number, data[at : at + length]
            at += length
        else:
            length = {1: 8, 5: 4}[wire]
            yield number, data[at : at + length]
            at += length


class XSession:
    """A session over an X port. `query` takes statements whose columns are all texts."""

    def __init__(self, host, port, user, password, timeout=3.0):
        self._stream = socket.create_connection((host, port), timeout)
        try:
            # Capability tls = true: a scalar (type 1) that is a bool (type 7, field 8).
            scalar = _field(1, 7) + _field(8, 1)
            capability = _field(1, b"tls") + _field(2, _field(1, 1) + _field(2, scalar))
            self._send(CAPABILITIES_SET, _field(1, _field(1, capability)))
            self._until(OK)
            context = ssl.create_default_context()
            # The server's certificate is one that it made for itself.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._stream = context.wrap_socket(self._stream)
            login = b"\0" + user.encode() + b"\0" + password.encode()
            self._send(AUTHENTICATE_START, _field(1, b"PLAIN") + _field(2, login))
            self._until(AUTHENTICATED)
        except BaseException:
            self._stream.close()
            raise

    def query(self, statement):
        """The rows as lists of texts."""
        self._send(EXECUTE, _field(1, statement.encode()))
        rows = []
        for kind, data in self._until(EXECUTED):
            if kind == ROW:
                # A text ends with a zero byte; an empty field is NULL.
                rows.append([value[:-1].decode() if value else None for number, value in _fields(data) if number == 1])
        return rows

    def close(self):
        try:
            self._send(CLOSE, b"")
        except OSError:
            pass
        self._stream.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _send(self, kind, data):
        self._stream.sendall(struct.pack("<IB", len(data) + 1, kind) + data)

    def _read(self, length):
        data = b""
        while len(data) < length:
            part = self._stream.recv(length - len(data))
            if not part:
                raise ConnectionError("the server closed the session")
            data += part
        return data

    def _until(self, wanted):
        """The messages up to the wanted one."""
        before = []
        while True:
            length, kind = struct.unpack("<IB", self._read(5))
            if not 1 <= length <= LONGEST:
                raise XError(f"no message of the X protocol: length {length}, type {kind}")
            data = self._read(length - 1)
            if kind == wanted:
                return before
            if kind == ERROR:
                told = dict(_fields(data))
                raise XError(f"{told.get(2)}: {told.get(3, b'').decode(errors='replace')}")
            if kind != NOTICE:
                before.append((kind, data))
