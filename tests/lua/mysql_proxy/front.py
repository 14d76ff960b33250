#!/usr/bin/env python3
"""MySQL Proxy's place on the network, for tests: sockets and packets here, the proxy's scripts in a Lua 5.1 beside it.

    front.py [--admin-address HOST:PORT --admin-username USER --admin-password-file FILE --admin-lua-script FILE]
             [--proxy-address HOST:PORT --proxy-lua-script FILE]
             [--proxy-backend-addresses HOST:PORT]... [--proxy-read-only-backend-addresses HOST:PORT]...
             [--lua-path PATH] [--lua-cpath PATH] [--settings FILE] [--lua PROGRAM]

The options are those of mysql-proxy, but for the last two. Port 0 takes a free one. One line on standard output says where
it listens, `ready admin=127.0.0.1:4041 proxy=127.0.0.1:4040`; it ends on SIGTERM. README.md says more.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import packets  # noqa: E402
import pipe  # noqa: E402

ROOT = HERE.parent.parent.parent
SCRIPTS = ROOT / "bindings" / "lua" / "mysql-proxy"

#: proxy-connect-timeout, in seconds.
CONNECT_TIMEOUT = 2.0

#: A result that is not complete is handed on once this much of it waits.
STREAM_ABOVE = 64 * 1024


class StandIn:
    """The Lua process: one state for all connections, one step at a time, as under the proxy's one lock."""

    def __init__(self, options):
        arguments = [options.lua, str(HERE / "serve.lua"), str(HERE), options.lua_path, options.proxy_lua_script or "-", options.admin_lua_script or "-"]
        for kind, addresses in (("rw", options.proxy_backend_addresses), ("ro", options.proxy_read_only_backend_addresses)):
            for address in addresses:
                arguments += [kind, address]
        environment = dict(os.environ)
        if options.settings:
            environment["PRIMACY_PROXY_SETTINGS"] = options.settings
        if options.lua_cpath:
            environment["LUA_CPATH"] = options.lua_cpath
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self.lock = threading.Lock()
        self.last = 0

    def step(self, name, connection, **more):
        with self.lock:
            self.process.stdin.write(pipe.encode({"step": name, "id": connection, **more}))
            self.process.stdin.flush()
            answer = pipe.decode(self.process.stdout)
        answer["act"] = answer["act"].decode()
        if answer["act"] == "broken":
            raise RuntimeError(answer["text"].decode())
        return answer

    def open(self, kind, **more):
        with self.lock:
            self.last += 1
            connection = self.last
        self.step(kind, connection, **more)
        return connection


def send(channel, answers):
    channel.write(*[payload for given in answers for payload in packets.answer(given)])


def name_of(address):
    return f"{address[0]}:{address[1]}"


def serve_admin(standin, sock, peer, user, password):
    """A client of the admin plugin: login, then every command to the script."""
    channel = packets.Channel(sock)
    connection = None
    try:
        challenge = packets.new_challenge()
        channel.write(packets.admin_greeting(challenge))
        login = channel.read()
        _, username, response, _, _ = packets.read_login(login, packets.PROTOCOL_41 | packets.SECURE_CONNECTION)
        refusal = None
        if username != user:
            refusal = b"unknown user"
        elif response != packets.native_password(password, challenge):
            refusal = b"password doesn't match"
        if refusal:
            channel.write(b"\xff" + (1045).to_bytes(2, "little") + b"#28000" + refusal)
            return
        channel.write(b"\x00\x00\x00\x02\x00\x00\x00")
        connection = standin.open("accept_admin", src=name_of(peer))
        while True:
            command = channel.read()
            channel.sequence = 1
            step = standin.step("read_query", connection, packet=command)
            send(channel, step["answers"])
            if step.get("close") or command[0] == packets.COM_QUIT:
                return
    except (EOFError, OSError, packets.Refused):
        pass
    finally:
        if connection:
            standin.step("disconnect", connection)
        channel.close()


class Session:
    """A client of the proxy plugin, and the server that a script chose for it."""

    def __init__(self, standin, sock, peer):
        self.standin = standin
        self.client = packets.Channel(sock)
        self.server = None
        self.capabilities = 0
        self.id = standin.open("accept", src=name_of(peer), dst=name_of(sock.getsockname()))

    def run(self):
        try:
            if self.connect() and self.log_in():
                while self.command():
                    pass
        except (EOFError, OSError):
            pass
        except packets.Refused as problem:
            print(f"(front) {problem}", file=sys.stderr)
        finally:
            self.standin.step("disconnect", self.id)
            for channel in (self.client, self.server):
                if channel:
                    channel.close()

    def step(self, name, **more):
        return self.standin.step(name, self.id, **more)

    def connect(self):
        step = self.step("connect_server")
        while step["act"] == "connect":
            host, _, port = step["address"].decode().rpartition(":")
            try:
                sock = socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT)
            except OSError:
                step = self.step("connect_failed")
                continue
            sock.settimeout(None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.server = packets.Channel(sock)
            self.step("connected")
            return self.greet()
        send(self.client, step["answers"])
        # The proxy waits for a login also after it has answered, and closes when the client has gone.
        return step["act"] == "send"

    def greet(self):
        greeting = self.server.read()
        if greeting[0] == 0xFF:
            self.client.write(greeting)
            return False
        greeting, asked, self.capabilities = packets.through_proxy(greeting)
        step = self.step("read_handshake", challenge=asked)
        if step["act"] != "forward":
            send(self.client, step["answers"])
            return False
        self.client.write(greeting)
        return True

    def log_in(self):
        login = self.client.read()
        offered = self.capabilities or packets.PROTOCOL_41 | packets.SECURE_CONNECTION
        _, username, response, database, plugin = packets.read_login(login, offered)
        step = self.step("read_auth", response={
            "username": username, "scrambled_password": response, "default_db": database, "auth_plugin_name": plugin,
        })
        if step["act"] == "send":
            send(self.client, step["answers"])
            return True
        self.server.sequence = 1
        self.server.write(login)
        while True:
            packet = self.server.read()
            step = self.step("read_auth_result", packet=packet)
            self.client.sequence = (self.server.sequence - 1) & 255
            if step["act"] == "send":
                send(self.client, step["answers"])
            else:
                self.client.write(packet)
            if packet[0] == 0x00:
                return True
            if packet[0] not in (0x01, 0xFE):
                return False
            # Whatever a plugin asks, the proxy takes the next packet from the client.
            more = self.client.read()
            self.server.sequence = (self.client.sequence - 1) & 255
            self.server.write(more)

    def command(self):
        """One command of the client; whether there may be another."""
        command = self.client.read()
        self.client.sequence = 1
        step = self.step("read_query", packet=command)
        if step["act"] == "close":
            return False
        if step["act"] == "send":
            send(self.client, step["answers"])
            return not step.get("close")
        self.server.sequence = 0
        self.server.write(command)
        result = packets.Result(command)
        if result.none:
            return command[0] != packets.COM_QUIT
        waiting, size, finished = [], 0, False
        while not finished:
            packet = self.server.read()
            finished = result.finished(packet)
            waiting.append(packet)
            size += len(packet)
            if finished or size > STREAM_ABOVE:
                self.client.write(*waiting)
                waiting, size = [], 0
        return True


def listen(address, serve):
    """Serves every client in a thread of its own; the address that it got."""
    host, _, port = address.rpartition(":")
    listener = socket.create_server((host or "127.0.0.1", int(port)), backlog=128)

    def accept():
        while True:
            sock, peer = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, args=(sock, peer), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return name_of(listener.getsockname())


def options_of(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--admin-address")
    parser.add_argument("--admin-username", default="root")
    parser.add_argument("--admin-password-file")
    parser.add_argument("--admin-lua-script", default=str(SCRIPTS / "admin.lua"))
    parser.add_argument("--proxy-address")
    parser.add_argument("--proxy-lua-script", default=str(SCRIPTS / "primacy-proxy.lua"))
    parser.add_argument("--proxy-backend-addresses", action="append", default=[])
    parser.add_argument("--proxy-read-only-backend-addresses", action="append", default=[])
    parser.add_argument("--lua-path", default=str(SCRIPTS / "?.lua"))
    parser.add_argument("--lua-cpath", default="")
    parser.add_argument("--settings", help="the script's settings file (PRIMACY_PROXY_SETTINGS)")
    parser.add_argument("--lua", default="lua5.1")
    options = parser.parse_args(arguments)
    if not options.admin_address and not options.proxy_address:
        parser.error("--admin-address or --proxy-address is needed")
    if options.admin_address and not options.admin_password_file:
        parser.error("--admin-password-file is needed for the admin plugin")
    return options


def main(arguments=None):
    options = options_of(arguments)
    standin = StandIn(options)
    where = []
    if options.admin_address:
        password = Path(options.admin_password_file).read_bytes().rstrip(b"\n")
        user = options.admin_username.encode()
        where.append("admin=" + listen(options.admin_address, lambda sock, peer: serve_admin(standin, sock, peer, user, password)))
    if options.proxy_address:
        where.append("proxy=" + listen(options.proxy_address, lambda sock, peer: Session(standin, sock, peer).run()))

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    print("ready", *where, flush=True)
    # The proxy is one process: without its Lua there is nothing left of it.
    while not stop.wait(0.05):
        if standin.process.poll() is not None:
            print(f"(front) the stand-in ended with {standin.process.returncode}", file=sys.stderr, flush=True)
            os._exit(1)
    standin.process.kill()
    standin.process.wait()
    os._exit(0)


if __name__ == "__main__":
    main()
