"""Clients of a floating address, each in a thread in the client's namespace, and a watcher of who holds it. Each keeps a list of
what it saw, with times of `time.time()`."""

import errno
import os
import socket
import ssl
import struct
import threading
import time
from itertools import count

import pymysql

from .accounts import APP
from .router_tier import PORTS, READS, VIP4, VIP6, WRITES
from .x_client import XError, XSession

_numbers = count(1)


def unverified():
    """The servers' certificates are ones that they made for themselves."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def classic(address, port, timeout=2.0):
    """A session of the classic protocol through a router."""
    return pymysql.connect(
        host=address, port=port, user=APP.user, password=APP.password, ssl=unverified(), autocommit=True,
        connect_timeout=timeout, read_timeout=timeout, write_timeout=timeout,
    )


def ask(address, port, timeout=2.0):
    """The number of the server behind a port, and whether it is read-only, by the port's own protocol."""
    if PORTS[port][0] == "x":
        with XSession(address, port, APP.user, APP.password, timeout) as session:
            [[number, read_only]] = session.query("SELECT CONCAT(@@server_id), CONCAT(@@read_only)")
    else:
        session = classic(address, port, timeout)
        try:
            with session.cursor() as cursor:
                cursor.execute("SELECT @@server_id, @@read_only")
                [(number, read_only)] = cursor.fetchall()
        finally:
            session.close()
    return int(number), int(read_only)


def suits(port, number, read_only):
    """Whether that server is what the port is for."""
    return (number in WRITES and not read_only) if PORTS[port][1] == "rw" else (number in READS and bool(read_only))


class Client(threading.Thread):
    """A thread in a host's namespace that goes on until `stop`."""

    def __init__(self, host):
        super().__init__(daemon=True)
        self.host, self.running, self.error = host, True, None

    def run(self):
        try:
            self.host.namespace.handle.enter()
            self.work()
        except BaseException as error:
            self.error = error

    def stop(self):
        self.running = False
        self.join(15)
        if self.error:
            raise self.error
        return self

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.running = False
        self.join(15)


class Holder(Client):
    """Looks every few milliseconds whether a host has an address: `spans` are [from, to or None]."""

    def __init__(self, host, address=VIP4, every=0.004):
        super().__init__(host)
        self.address, self.every, self.spans = address, every, []

    def has(self):
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                # Only an address of this host can be bound.
                probe.bind((self.address, 0))
                return True
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:
                    raise
                return False

    def work(self):
        while self.running:
            now, has = time.time(), self.has()
            open_span = bool(self.spans) and self.spans[-1][1] is None
            if has and not open_span:
                self.spans.append([now, None])
            elif not has and open_span:
                self.spans[-1][1] = now
            time.sleep(self.every)


class Ping(Client):
    """An echo request every few milliseconds: `sent` are [when, answered when or None]."""

    def __init__(self, host, address, every=0.01):
        super().__init__(host)
        self.address, self.every, self.sent = address, every, []

    def work(self):
        six = ":" in self.address
        protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
        request, reply = (128, 129) if six else (8, 0)
        mark = os.getpid() & 0xFFFF
        with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, protocol) as line:
            due = time.monotonic()
            while self.running:
                body = struct.pack("!BBHHHI", request, 0, 0, mark, len(self.sent) & 0xFFFF, len(self.sent))
                if not six:
                    body = body[:2] + struct.pack("!H", self._checksum(body)) + body[4:]
                self.sent.append([time.time(), None])
                try:
                    line.sendto(body, (self.address, 0))
                except OSError:
                    # No neighbour answers: that one is lost.
                    pass
                due = max(due + self.every, time.monotonic())
                while (left := due - time.monotonic()) > 0:
                    line.settimeout(left)
                    try:
                        packet = line.recv(256)
                    except (TimeoutError, BlockingIOError):
                        break
                    except OSError:
                        continue
                    if not six:
                        packet = packet[(packet[0] & 15) * 4 :]
                    if len(packet) >= 12 and packet[0] == reply and struct.unpack_from("!H", packet, 4)[0] == mark:
                        number = struct.unpack_from("!I", packet, 8)[0]
                        if number < len(self.sent):
                            self.sent[number][1] = time.time()

    @staticmethod
    def _checksum(data):
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        total = (total >> 16) + (total & 0xFFFF)
        return ~(total + (total >> 16)) & 0xFFFF

    def outages(self, begin=0.0, end=float("inf")):
        """The spans in which no request was answered: from the first lost one to the next answered one, within the time given."""
        found, since = [], None
        for at, answered in self.sent:
            if at < begin or at > end:
                continue
            if answered is None:
                since = at if since is None else since
            elif since is not None:
                found.append((since, at))
                since = None
        if since is not None:
            found.append((since, self.sent[-1][0]))
        return found


class Asker(Client):
    """Asks through one port, by a new session each time: `answers` are (when, took, number or None, words)."""

    def __init__(self, host, address, port, every=0.25, timeout=1.0):
        super().__init__(host)
        self.address, self.port, self.every, self.timeout, self.answers = address, port, every, timeout, []

    def work(self):
        while self.running:
            at = time.time()
            try:
                number, read_only = ask(self.address, self.port, self.timeout)
                words = "" if suits(self.port, number, read_only) else f"server {number} with read_only = {read_only}"
            except (OSError, XError, pymysql.err.MySQLError, RuntimeError) as error:
                number, words = None, str(error)
            self.answers.append((at, time.time() - at, number, words))
            time.sleep(max(0.0, self.every - (time.time() - at)))

    def wrong(self):
        """Answers of a server that does not suit the port."""
        return [answer for answer in self.answers if answer[2] is not None and answer[3]]

    def good(self):
        return [answer for answer in self.answers if answer[2] is not None and not answer[3]]


class Session(Client):
    """One open session, in a query nearly all the time. When it is lost it is opened anew and the query is repeated:
    `breaks` are [began its last good query, lost, words, answered again or None]; a reset reads as errno 2013."""

    def __init__(self, host, address=VIP4, port=6446, pause=0.5, timeout=3.0):
        super().__init__(host)
        self.address, self.port, self.pause, self.timeout, self.breaks, self.answered = address, port, pause, timeout, [], 0
        #: Part of its query, to be found among those that the server runs.
        self.mark = f"session_{next(_numbers)}"

    def work(self):
        session = None
        while self.running:
            try:
                if session is None:
                    session = classic(self.address, self.port, self.timeout)
                began = time.time()
                repeated = bool(self.breaks) and self.breaks[-1][3] is None
                with session.cursor() as cursor:
                    # The repeated query is answered at once, so that the time of the answer is that of the way.
                    cursor.execute(f"SELECT SLEEP(%s), @@server_id AS {self.mark}", (0 if repeated else self.pause,))
                    cursor.fetchall()
                self.answered += 1
                if repeated:
                    self.breaks[-1][3] = time.time()
            except (OSError, pymysql.err.MySQLError, RuntimeError) as error:
                if session is not None:
                    self.breaks.append([began, time.time(), str(error), None])
                    session.close()
                    session = None
                else:
                    time.sleep(0.01)
        if session is not None:
            session.close()
