"""One real server's side of a probe, for the stand-in: what it says to a login and to each question of the library.

The file: pieces, each four bytes of length (little endian) and the bytes: the greeting, the client's login, the answer to it; then one
byte, the number of questions, and for each the question (a whole packet) and its answer. The question of a kept connection is the last.
"""

import socket
import struct
import threading

import primacy


class Relay:
    """Stands between one client and a server and keeps what both say, by turns."""

    def __init__(self, server):
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.turns = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        client, _ = self._listener.accept()
        server = socket.create_connection((self._server.host, self._server.port))
        threading.Thread(target=self._pass, args=(server, client, "server"), daemon=True).start()
        self._pass(client, server, "client")

    def _pass(self, source, target, who):
        while data := source.recv(65536):
            if self.turns and self.turns[-1][0] == who:
                self.turns[-1][1].extend(data)
            else:
                self.turns.append((who, bytearray(data)))
            target.sendall(data)
        target.close()

    def close(self):
        self._listener.close()


def record(server, account, password_file, path):
    """Let the library look at the server a few times, and keep what was said in `path`."""
    relay = Relay(server)
    text = f"""
        [probe]
        user = "{account.user}"
        password_file = "{password_file}"
        tls = "disabled"
        interval = "50ms"
        login_interval = "1h"
        [pool.record]
        nodes = [ {{ address = "127.0.0.1:{relay.port}", type = "primary" }} ]
    """
    with primacy.Instance(primacy.Config(text)) as instance:
        instance.start()
        while len(relay.turns) < 12:
            threading.Event().wait(0.05)
        state = instance.snapshot().pools[0].nodes[0]
        assert state.cause == "ok", state.message
    relay.close()
    turns = [(who, bytes(data)) for who, data in relay.turns]
    assert [who for who, _ in turns[:5]] == ["server", "client", "server", "client", "server"], "the login is not of two turns"
    greeting, login, welcome = (data for _, data in turns[:3])
    questions = {}
    for (_, question), (_, answer) in zip(turns[3:10:2], turns[4:10:2]):
        questions[question] = answer
    with open(path, "wb") as file:
        for piece in (greeting, login, welcome):
            file.write(struct.pack("<I", len(piece)) + piece)
        file.write(bytes([len(questions)]))
        for pair in questions.items():
            for piece in pair:
                file.write(struct.pack("<I", len(piece)) + piece)
    return questions
