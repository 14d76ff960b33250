"""No secret shows: passwords and keys are planted where they work and where they do not, and everything that the library and the
command ever say is searched for them."""

import base64
import hashlib
import json
import os
import socket
import struct
import subprocess
import time
from pathlib import Path

import primacy
import pytest

from servers import PROBE, wait_until
from servers.faults import kill_probe_sessions, rotate_password

from .certificates import Authority
from .conftest import write_secret
from .rings import kill_replica_sessions
from .watch import POOL, Watch, configuration

COMMAND = Path(os.environ.get("PRIMACY_COMMAND") or Path(__file__).resolve().parents[2] / "target" / "dist" / "primacy")
FAST = {"interval": "50ms", "login_interval": "200ms", "tls": "disabled"}
GOOD, WRONG, ROTATED, INLINE = (f"pl4nted-{name}-s3cret" for name in ("good", "wrong", "rotated", "inline"))


def forms(secret):
    """A secret as it is, and what stands for it: whoever has MySQL's hash can try passwords offline."""
    raw = secret.encode()
    hashed = hashlib.sha1(hashlib.sha1(raw).digest())
    return [secret, base64.b64encode(raw).decode().rstrip("="), raw.hex(), hashed.hexdigest(), hashed.hexdigest().upper()]


class Heard:
    """Everything that was said, by whom."""

    def __init__(self):
        self.texts = []

    def add(self, who, *texts):
        self.texts += [(who, text) for text in texts]

    def holds(self, secrets):
        for who, text in self.texts:
            for secret in secrets:
                for form in forms(secret):
                    place = text.find(form)
                    assert place < 0, f"{who} shows a secret: …{text[max(0, place - 60) : place + 60]}…"

    def everything(self):
        return "\n".join(text for _, text in self.texts)


def ask(path, command, **keys):
    """One question at the control socket, its answer as it came."""
    question = json.dumps({"version": 1, "id": os.urandom(16).hex(), "command": command, **keys}).encode()
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        peer.connect(str(path))
        peer.sendall(struct.pack(">I", len(question)) + question)
        data = b""
        while len(data) < 4 or len(data) < 4 + struct.unpack(">I", data[:4])[0]:
            piece = peer.recv(65536)
            if not piece:
                break
            data += piece
    return data[4:].decode()


def told_by(heard, who, w, cache):
    """All that a running instance says of itself."""
    heard.add(f"{who}: events", *(repr(event) + event.message for event in w.drain()))
    snapshot = w.instance.snapshot()
    heard.add(f"{who}: snapshot", snapshot.text, repr(snapshot.pools))
    json.loads(snapshot.text)
    heard.add(f"{who}: texts", w.pool.explain(), str(w.pool.budget()), repr(w.instance), repr(w.pool))
    # Whatever else an instance can tell as a text, as its metrics.
    for name in ("metrics", "metrics_text"):
        if hasattr(w.instance, name):
            metrics = getattr(w.instance, name)
            heard.add(f"{who}: {name}", str(metrics() if callable(metrics) else metrics))
    for call in (lambda: w.pool.recover("1.2.3.4"), lambda: w.pool.recover(str(w.pool.nodes()[0].name)), w.pool.activate_primary, w.pool.address):
        try:
            heard.add(f"{who}: answers", str(call()))
        except primacy.PrimacyError as error:
            heard.add(f"{who}: errors", str(error), repr(error))
    for command, keys in (
        ("snapshot", {}),
        ("explain", {"pool": POOL}),
        ("budget", {"pool": POOL}),
        ("metrics", {}),
        ("recover", {"pool": POOL, "node": "1.2.3.4"}),
        ("no-such-command", {}),
    ):
        heard.add(f"{who}: control {command}", ask(f"{cache}.sock", command, **keys))
    heard.add(f"{who}: cache", cache.read_text())


@pytest.mark.parametrize("flavour", ["mariadb", "mysql"])
def test_no_secret_shows_anywhere(ring, tmp_path, capfd):
    a, b = ring.nodes
    heard = Heard()
    for node in (a, b):
        rotate_password(node, GOOD)
    cache = tmp_path / "cache"
    good, wrong = write_secret(tmp_path / "good", GOOD), write_secret(tmp_path / "wrong", WRONG)

    def text(file, **probe):
        return configuration(ring.nodes, probe={**FAST, **probe}, top={"cache_file": cache}, password_file=file)

    with Watch(text(good)) as w:
        w.settled(a)
        rotate_password(a, ROTATED)
        kill_probe_sessions(a)
        w.event("status", a, cause="auth_denied")
        b.sql_unlogged(f"REVOKE {b.probe_privileges} ON *.* FROM '{PROBE.user}'@'%'")
        kill_probe_sessions(b)
        w.until(lambda: w.node(b).cause == "query_failed", 5, "query_failed")
        # Replication errors quote what servers say: an account of theirs that is refused.
        rotate_password(a, ROTATED, "repl")
        kill_replica_sessions(a)
        wait_until(lambda: b.replication_threads()[0] == "Connecting", 10, "the replica is refused")
        time.sleep(0.3)
        told_by(heard, "the right password", w, cache)
    cache.unlink()
    with Watch(text(wrong)) as w:
        for node in (a, b):
            w.until(lambda node=node: w.node(node).cause == "auth_denied", 5, "auth_denied")
        time.sleep(0.3)
        told_by(heard, "the wrong password", w, cache)
    cache.unlink()

    # The agent's log, and every command with it and without.
    file = tmp_path / "primacy.toml"
    file.write_text(text(wrong))
    agent = subprocess.Popen([COMMAND, "-c", file, "run"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    commands = ("status", "status --json", "explain", "budget", f"report {a.address}", f"up {a.address}", f"recover {a.address}")

    def run(who, *words):
        done = subprocess.run([COMMAND, "-c", file, *words], capture_output=True, text=True, timeout=30)
        heard.add(f"{who}: {' '.join(map(str, words))}", done.stdout, done.stderr)
        return done

    try:
        wait_until(lambda: "auth_denied" in run("beside the agent", "status", "--json").stdout, 10, "the agent looks")
        for command in commands:
            run("beside the agent", *command.split())
    finally:
        agent.terminate()
        out, err = agent.communicate(timeout=20)
    assert "Access denied" in err or "1045" in err, err
    heard.add("the agent's log", out, err)
    for command in (*commands, "poll -v", f"check {file}"):
        run("without an agent", *command.split())

    # Secrets at the wrong place: in the configuration itself, in a file for another one, in a file open to all.
    bad_key = write_secret(tmp_path / "key.pem", f"-----BEGIN PRIVATE KEY-----\n{INLINE}\n-----END PRIVATE KEY-----")
    authority = Authority(tmp_path, "authority")
    certificate, key = authority.issue("client", names="DNS:client")
    other = authority.issue("other", names="DNS:other")[1]
    open_to_all = tmp_path / "open"
    open_to_all.write_text(INLINE)
    open_to_all.chmod(0o644)
    tls = {"tls": "verify-ca", "tls_ca": authority.certificate, "tls_cert": certificate}
    mistakes = {
        "password": ("probe.password", INLINE),
        "password in a pool": (f"pool.{POOL}.probe.password", INLINE),
        "a word of its own": ("probe.passwrd", INLINE),
        "no such file": ("probe.password_file", f"/no/such/{WRONG[:8]}"),
        "open to all": ("probe.password_file", str(open_to_all)),
        "no key at all": ("probe.tls_key", str(bad_key)),
        "another key": ("probe.tls_key", str(other)),
    }
    for name, (path, value) in mistakes.items():
        try:
            config = primacy.Config(text(good, **(tls if path.endswith("tls_key") else {})))
            config.set(path, value)
            primacy.Instance(config).close()
        except primacy.PrimacyError as error:
            heard.add(f"mistake, {name}", str(error))
        else:
            raise AssertionError(f"{name} was taken")
    for line in (f'password = "{INLINE}"', f'passwrd = "{INLINE}"', f"password = {INLINE}"):
        file.write_text(text(good).replace("[probe]\n", f"[probe]\n{line}\n"))
        done = run("a mistake in the file", "check", file)
        assert done.returncode == 2 and "primacy.toml" in done.stderr, done
    body = [line for pem in (key, other) for line in pem.read_text().splitlines() if not line.startswith("---")]
    # A key that does its work: what it shows at a server that does not know it.
    with Watch(text(good, **{**tls, "tls_key": key})) as w:
        w.until(lambda: w.node(b).cause in ("tls_error", "auth_denied", "query_failed"), 5, "tls_error")
        told_by(heard, "a client key", w, cache)

    out, err = capfd.readouterr()
    heard.add("this process", out, err)
    everything = heard.everything()
    for word in ("auth_denied", "query_failed", "1045", "tls_key", "password_file"):
        assert word in everything, word
    heard.holds([GOOD, WRONG, ROTATED, INLINE])
    for line in body:
        assert line not in everything, "a line of a key file"
