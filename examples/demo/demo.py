"""The demo: two real servers replicate in a circle, one is killed, the other takes over, the first comes back.

Run it by `make demo`. It starts its servers in a temporary folder, keeps a writer going that asks the library for
the ACTIVE node before every write, and tells at the end what happened when and whether an acknowledged row was lost.
"""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import pymysql  # noqa: E402
import primacy  # noqa: E402
from servers import APP, APP_SCHEMA, PROBE, ServerError, Workspace, ring, wait_converged, wait_until  # noqa: E402

from table import Screen  # noqa: E402
from timeline import Timeline  # noqa: E402

FLAVOUR = os.environ.get("PRIMACY_DEMO_SERVER", "mariadb")
PICTURE = ROOT / "target" / "demo" / "timeline.svg"


def configuration(space, nodes):
    password = Path(space.path) / "probe.password"
    password.write_text(PROBE.password + "\n")
    password.chmod(0o600)
    cfg = primacy.Config()
    cfg.load_text(
        f"""
cache_file = "{space.path}/primacy.cache"

[probe]
user = "{PROBE.user}"
password_file = "{password}"
rsa_public_key = "from-server"     # loopback; over a network give the key's file

[pool.orders]
kind = "ring"
policy = "safe"
nodes = [
  {{ address = "{nodes[0].address}", type = "primary" }},
  {{ address = "{nodes[1].address}", type = "secondary" }},
]
"""
    )
    return cfg


class Writer(threading.Thread):
    """Writes a row every few milliseconds to whatever node the library names; keeps what was acknowledged."""

    def __init__(self, pool, servers, timeline):
        super().__init__(daemon=True)
        self.pool, self.timeline = pool, timeline
        self.servers = {server.address: server for server in servers}
        self.acknowledged, self.failed = [], 0
        self.running = True
        self.connection, self.node = None, None

    def run(self):
        number = 0
        while self.running:
            number += 1
            at = time.time()
            try:
                self.write(number)
                self.acknowledged.append(number)
                self.timeline.write(at, self.node, True)
            except (pymysql.err.MySQLError, OSError, LookupError):
                self.failed += 1
                self.timeline.write(at, self.node, False)
                self.close()
                time.sleep(0.005)
            time.sleep(0.002)
        self.close()

    def write(self, number):
        active = self.pool.active
        if active is None:
            raise LookupError("no ACTIVE node, or routing pauses")
        if active.name != self.node or self.connection is None:
            self.close()
            server = self.servers[active.name]
            self.connection = server.connect(user=APP.user, db=APP_SCHEMA, tcp=True, timeout=2)
            self.node = active.name
        with self.connection.cursor() as cursor:
            cursor.execute("INSERT INTO orders (number, node) VALUES (%s, %s)", (number, self.node))

    def close(self):
        if self.connection is not None:
            try:
                self.connection.close()
            except (pymysql.err.MySQLError, OSError):
                pass
            self.connection = None

    def stop(self):
        self.running = False
        self.join(10)


class Demo:
    """The story: who does what, in which order."""

    def __init__(self, space):
        self.space = space
        self.nodes = [space.create(FLAVOUR, server_id=i + 1) for i in range(2)]
        self.timeline = Timeline([node.address for node in self.nodes])

    def say(self, text):
        self.timeline.mark(time.time(), text)
        self.screen.say(text)

    def run(self):
        a, b = self.nodes
        print(f"starting two {FLAVOUR} servers ({type(a).version()}) in {self.space.path} …", flush=True)
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_ready(60)
        ring(a, b)
        a.sql(
            "CREATE TABLE orders (number INT PRIMARY KEY, node VARCHAR(64), at TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6))",
            db=APP_SCHEMA,
        )
        wait_converged(self.nodes)
        with primacy.Instance(configuration(self.space, self.nodes)) as instance:
            self.pool = instance.pool("orders")
            self.screen = Screen(self.pool)
            self.events = instance.events()
            instance.start()
            self.screen.start()
            watcher = threading.Thread(target=self.watch, daemon=True)
            watcher.start()
            writer = Writer(self.pool, self.nodes, self.timeline)
            try:
                self.story(a, b, writer)
            finally:
                writer.stop()
                time.sleep(0.3)
                self.screen.stop()
                self.done = True
                watcher.join(5)
            missing = self.verify(writer)
            print()
            print(self.pool.budget())
        self.timeline.save(PICTURE, FLAVOUR)
        self.timeline.report(sys.stdout)
        print(f"writes acknowledged: {len(writer.acknowledged)}, failed: {writer.failed}, "
              f"acknowledged rows missing after convergence: {len(missing)}")
        if missing:
            print(f"  missing: {missing[:20]}{' …' if len(missing) > 20 else ''}; asynchronous replication had not "
                  "sent them when the server was killed, and they did not come back with it")
        print(f"picture: {PICTURE.relative_to(ROOT)}")
        return 0 if writer.acknowledged else 1

    def watch(self):
        self.done = False
        while not self.done:
            event = self.events.wait(0.1)
            if event is not None:
                self.timeline.event(event)
                self.screen.event(event)

    def wait(self, what, condition, timeout=60):
        wait_until(condition, timeout, what)

    def state(self, node):
        return next(n for n in self.pool.nodes() if n.name == node.address).state

    def story(self, a, b, writer):
        self.wait("the PRIMARY to be ACTIVE", lambda: self.pool.active and self.pool.active.name == a.address)
        writer.start()
        time.sleep(4)
        self.say(f"kill -9 of the PRIMARY, {a.address}")
        self.timeline.fault(time.time())
        a.kill9()
        self.wait("the take-over", lambda: self.pool.active and self.pool.active.name == b.address)
        time.sleep(4)
        self.say(f"start {a.address} again")
        a.start()
        a.wait_ready(60)
        self.wait("the killed node to answer", lambda: self.answers(a))
        time.sleep(2)
        self.say(f"recover {a.address}: an operator has looked at it")
        self.pool.recover(a.address)
        self.wait("the hand-back", lambda: self.pool.active and self.pool.active.name == a.address)
        time.sleep(3)
        self.say("the end of the story")

    def answers(self, node):
        return next(n for n in self.pool.nodes() if n.name == node.address).cause in ("ok", "replication_stopped")

    def verify(self, writer):
        wait_converged(self.nodes, 60)
        rows = {row[0] if isinstance(row, tuple) else row["number"]
                for row in self.nodes[0].sql("SELECT number FROM orders", db=APP_SCHEMA)}
        return [number for number in writer.acknowledged if number not in rows]


def main():
    if FLAVOUR not in ("mariadb", "mysql"):
        print(f"PRIMACY_DEMO_SERVER is {FLAVOUR!r}: it must be mariadb or mysql", file=sys.stderr)
        return 2
    try:
        with Workspace("primacy-demo-") as space:
            return Demo(space).run()
    except ServerError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
