"""The contract through the Python package."""

import gc
import os
import pickle
import select
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import primacy
from primacy import Code, PrimacyError

A, B = "10.0.1.11:3306", "10.0.1.12:3306"
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def external(policy="mpp", **keys):
    config = primacy.Config()
    config.add_pool(f"name:orders;primary:{A};secondary:{B}")
    config.set("pool.orders.policy", policy)
    config.set("pool.orders.probe", "external")
    for key, value in keys.items():
        config.set(f"pool.orders.{key}", value)
    return config


def probing():
    """Two ports of this host where nothing listens."""
    config = primacy.Config("[probe]\nuser = 'nobody'\ninterval = '50ms'\ntimeout = '50ms'\n")
    return config.add_pool("name:orders;primary:127.0.0.1:1;secondary:127.0.0.1:2")


def cycle(pool, a="ok", b="ok", **more):
    pool.observe(A, a, message=f"a is {a}")
    pool.observe(B, b)
    pool.cycle(**more)


class Open(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cache = os.path.join(folder.name, "cache")

    def config(self, **keys):
        return external(**keys).set("cache_file", self.cache)

    def test_a_cache_has_one_instance(self):
        first = primacy.open(self.config())
        cycle(first.pool("orders"))
        second = primacy.open(self.config())
        self.assertEqual(second.pool("orders").nodes()[0].message, "the node is healthy for the first time (a is ok)")
        second.start()
        first.start()
        with self.assertRaises(PrimacyError) as caught:
            primacy.open(self.config(levels=9))
        self.assertIs(caught.exception.code, Code.CONFIG_DIFFERS)
        second.close()
        cycle(first.pool("orders"), a="refused")
        self.assertTrue(os.path.exists(self.cache + ".sock"))
        first.close()
        self.assertFalse(os.path.exists(self.cache + ".sock"))
        # The last reference stopped it, so another configuration can have the cache.
        with primacy.open(self.config(levels=9)) as p:
            self.assertIn("a is refused", p.pool("orders").nodes()[0].message)

    def test_a_child_of_a_started_one_has_none_of_its_handles(self):
        started, other = primacy.open(self.config()), primacy.open(self.config())
        started.start()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for p in (started, other):
                    try:
                        p.snapshot()
                        os._exit(2)
                    except PrimacyError as e:
                        if e.code is not Code.FORKED:
                            os._exit(3)
                    p.close()
                try:
                    # A new one, whose cache the parent holds.
                    primacy.open(self.config()).snapshot()
                    os._exit(4)
                except PrimacyError as e:
                    code = 0 if e.code is Code.LOCKED else 5
            finally:
                os._exit(code)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        cycle(other.pool("orders"))
        started.close()
        other.close()


class Surface(unittest.TestCase):
    def test_a_failover(self):
        with primacy.Instance(external()) as p:
            pool = p.pool("orders")
            first = pool.nodes()[0]
            self.assertEqual((first.count, first.cause, first.state), (None, None, "UNKNOWN"))
            for _ in range(3):
                cycle(pool)
            self.assertEqual(pool.active.name, A)
            epoch = pool.epoch
            for _ in range(4):
                cycle(pool, a="refused")
            n = pool.nodes()[0]
            self.assertEqual((n.type, n.state, n.status, n.count), ("PRIMARY", "FAILED_OFFLINE", "FAIL", 4))
            self.assertEqual(n.cause, "refused")
            self.assertIn("a is refused", n.message)
            self.assertGreater(n.rule, 0)
            self.assertTrue(primacy.rule_text(n.rule))
            self.assertEqual(pool.active.name, B)
            self.assertGreater(pool.epoch, epoch)
            with self.assertRaises(PrimacyError) as caught:
                pool.activate_primary()
            self.assertIs(caught.exception.code, Code.REFUSED)
            self.assertEqual(caught.exception.code, -8)
            self.assertEqual(caught.exception.code.name, "REFUSED")
            self.assertIn("rule", str(caught.exception))
            self.assertIn("rule", pool.recover("10.0.1.11"))
            self.assertEqual(pool.nodes()[0].state, "UNKNOWN")

    def test_pool_status(self):
        with primacy.Instance(external()) as p:
            pool = p.pool("orders")
            for _ in range(3):
                cycle(pool)
            self.assertEqual(pool.status, "OK")
            cycle(pool, pool_status="FAIL")
            self.assertIsNone(pool.active)
            with self.assertRaises(ValueError):
                pool.cycle(pool_status="BROKEN")

    def test_words_are_strings_with_numbers(self):
        with primacy.Instance(external()) as p:
            node = p.pool("orders").nodes()[0]
        self.assertEqual(node.state, "UNKNOWN")
        self.assertIn(node.state, {"UNKNOWN"})
        self.assertEqual(node.state.number, 0)
        again = pickle.loads(pickle.dumps(node))
        self.assertEqual(again, node)
        self.assertEqual(again.state.number, 0)

    def test_facts(self):
        channels = [{"source": B, "io": "connecting", "sql": "running", "io_error": 2003, "lag": 1.5, "applied_all": True}]
        facts = {
            "flavour": "mariadb", "version": "10.11.6-MariaDB", "server_id": 3, "read_only": False, "gtids": "0-1-42",
            "threads_connected": 7, "max_connections": 151, "round_trip": 0.000321, "error_number": 5,
        }
        with primacy.Instance(external("safe")) as p:
            pool = p.pool("orders")
            pool.observe(A, "ok", channels=channels, **facts)
            node = pool.node(A)
            for key in ("flavour", "server_id", "read_only", "gtids", "threads_connected", "max_connections", "round_trip",
                        "error_number"):
                self.assertEqual(getattr(node, key), facts[key], key)
            self.assertEqual(node.version, (10, 11, 6))
            self.assertIsNone(node.super_read_only)
            (channel,) = node.channels
            self.assertEqual((channel.io, channel.sql, channel.lag, channel.applied_all), ("connecting", "running", 1.5, True))
            told = p.snapshot().as_dict()["pools"][0]["nodes"][0]
            self.assertEqual(told["gtids"], "0-1-42")
            self.assertEqual(told["channels"][0]["lag_us"], 1_500_000)
            with self.assertRaises(ValueError):
                pool.observe(A, "ok", flavour="postgres")
            with self.assertRaises(TypeError):
                pool.observe(A, "ok", no_such_fact=1)

    def test_texts(self):
        with primacy.Instance(external()) as p:
            pool = p.pool("orders")
            self.assertIn("orders", pool.explain())
            budget = pool.budget()
            self.assertIn("gone", str(budget))
            self.assertEqual({line.fault_class for line in budget.lines}, {"gone", "hung", "silent"})
        with primacy.Instance(probing()) as p:
            gone = [line.worst for line in p.pool("orders").budget().lines if line.fault_class == "gone"]
            self.assertTrue(all(0 < worst < 10 for worst in gone))

    def test_events(self):
        with primacy.Instance(external()) as p:
            pool = p.pool("orders")
            with p.events() as every, p.events(kinds=["switch"]) as switches:
                self.assertEqual(list(every), [])
                self.assertEqual(select.select([every], [], [], 0)[0], [])
                for _ in range(3):
                    cycle(pool)
                self.assertEqual(select.select([every], [], [], 0)[0], [every])
                events = list(every)
                self.assertEqual(select.select([every.fd], [], [], 0)[0], [])
                self.assertIn("switch", [e.kind for e in events])
                self.assertEqual([e.sequence for e in events], sorted(e.sequence for e in events))
                (switch,) = switches
                self.assertEqual((switch.pool, switch.node, switch.new_state), ("orders", A, "ACTIVE"))
                self.assertIsNone(switches.wait(0.01))


class Orders(unittest.TestCase):
    def settled(self, p):
        pool = p.pool("orders")
        for _ in range(6):
            cycle(pool)
        self.assertEqual(pool.active.name, A)
        return pool

    def refused(self, code, call, *arguments, **more):
        with self.assertRaises(PrimacyError) as caught:
            call(*arguments, **more)
        self.assertIs(caught.exception.code, code, caught.exception)

    def test_override(self):
        with primacy.Instance(external("safe")) as p:
            pool = self.settled(p)
            self.assertIsNone(pool.node(B).override)
            answer = pool.override("10.0.1.12", state="active", weight=0, reason="new disk \u00e9", limit=90)
            self.assertIn("new disk \u00e9", answer)
            self.assertEqual(pool.active.name, B)
            node = pool.node(B)
            order = node.override
            self.assertEqual((order.state, order.weight, order.reason), ("ACTIVE", 0, "new disk \u00e9"))
            self.assertEqual((order.status, order.type, order.maintenance), (None, None, None))
            self.assertEqual((node.weight, order.until_ms - order.since_ms), (0, 90_000))
            self.assertGreater(order.since_ms, 10**12)
            self.assertEqual(pickle.loads(pickle.dumps(node)), node)
            told = p.snapshot().as_dict()["pools"][0]["nodes"][1]["override"]
            self.assertEqual((told["state"], told["weight"], told["status"]), ("ACTIVE", 0, None))
            self.refused(Code.REFUSED, pool.override, A, state="ACTIVE", reason="r")
            self.assertIn("rule", pool.clear_override(B))
            self.assertIsNone(pool.node(B).override)
            self.assertEqual(pool.active.name, B)
            self.refused(Code.REFUSED, pool.clear_override, B)
            pool.override(A, status="OK_WARN", type="SECONDARY", reason="r", wait=False)
            order = pool.node(A).override
            self.assertEqual((order.status, order.type, order.until_ms), ("OK_WARN", "SECONDARY", None))
            self.assertEqual((pool.node(A).status, pool.node(A).type), ("OK_WARN", "SECONDARY"))

    def test_freeze(self):
        with primacy.Instance(external("safe")) as p:
            pool = self.settled(p)
            self.assertIsNone(pool.frozen)
            self.assertIn("network work", pool.freeze("network work", limit=60))
            for _ in range(8):
                cycle(pool, a="refused")
            self.assertEqual(pool.active.name, A)
            frozen = p.snapshot().pool("orders").frozen
            self.assertEqual((frozen.reason, frozen.until_ms - frozen.since_ms), ("network work", 60_000))
            self.assertEqual(p.snapshot().as_dict()["pools"][0]["frozen"]["reason"], "network work")
            pool.unfreeze()
            self.assertIsNone(pool.frozen)
            self.refused(Code.REFUSED, pool.unfreeze)
            self.assertEqual(pool.active.name, A)
            for _ in range(8):
                cycle(pool, a="refused")
            self.assertEqual(pool.active.name, B)

    def test_maintenance(self):
        with primacy.Instance(external("safe")) as p:
            pool = self.settled(p)
            pool.maintenance(B, "stay", "memory")
            order = pool.node(B).override
            self.assertEqual((order.maintenance, order.reason, order.state), ("stay", "memory", None))
            self.refused(Code.REFUSED, pool.maintenance, A, "move", "nobody else is there")
            pool.clear_override(B)
            self.assertIsNone(pool.node(B).override)

    def test_report(self):
        with primacy.Instance(external("safe")) as p:
            pool = self.settled(p)
            for outcome in ("connected", "connect_failed", "connect_timed_out", "session_failed"):
                self.assertIsNone(pool.report(A, outcome))
            self.assertEqual(pool.node(A).status, "OK")
            self.refused(Code.NOT_FOUND, pool.report, "10.9.9.9", "connected")
            with self.assertRaises(ValueError):
                pool.report(A, "bad weather")

    def test_bad_input(self):
        with primacy.Instance(external()) as p:
            pool = p.pool("orders")
            for more in ({"state": "DEAD"}, {"status": "BAD"}, {"type": "x"}, {"weight": -1}, {"weight": 1 << 32},
                         {"weight": 1, "limit": -5}, {"weight": 1, "limit": 0}):
                with self.assertRaises(ValueError):
                    pool.override(A, reason="r", **more)
            with self.assertRaises(ValueError):
                pool.maintenance(A, "go", "r")
            with self.assertRaises(TypeError):
                pool.override(A, weight=1)
            with self.assertRaises(ValueError):
                pool.freeze("a\0b")
            for reason in ("", "a\nb", "x" * 1001):
                self.refused(Code.INVALID, pool.freeze, reason)
            self.refused(Code.INVALID, pool.override, A, reason="sets nothing")
            self.refused(Code.INVALID, pool.freeze, "r", limit=0.5)
            self.refused(Code.INVALID, pool.freeze, "r", limit=400 * 86400)
            self.refused(Code.NOT_FOUND, pool.clear_override, "10.9.9.9")
            self.assertIsNone(pool.node(A).override)


class Tier(unittest.TestCase):
    """Floating addresses, on an instance that owns none because its interface is not there: no rights are needed for that."""

    TEXT = (
        "[tier]\nhost = 'h1'\n[vip.front]\naddresses = ['10.9.0.101/24']\ninterface = 'primacy-none'\nownership = 'lease'\n"
        "etcd = ['http://127.0.0.1:1']\n"
    )

    def test_a_tier_without_its_interface_says_so(self):
        with primacy.Instance(primacy.Config(self.TEXT)) as p:
            with self.assertRaises(PrimacyError) as caught:
                p.vip_status()
            self.assertEqual(caught.exception.code, Code.STATE)
            p.start()
            vip = p.vip("front")
            self.assertEqual((vip.name, vip.owns, vip.owner, vip.stage, vip.score), ("front", False, None, "absent", 0))
            self.assertIn("interface", primacy.rule_text(vip.score_rule))
            self.assertIsNone(vip.backend)
            p.vip_report("front", False, "the host says no")
            self.assertIs(p.vip("front").local, False)
            p.vip_report("front", True)
            self.assertIs(p.vip("front").local, True)
            p.vip_standby("h1")
            status = p.vip_status()
            self.assertEqual((status["tier"]["own"], status["vips"][0]["stage"]), ("h1", "absent"))
            self.assertTrue(status["tier"]["hosts"][0]["standby"])
            p.vip_standby("h1", False)
            p.vip_clear("front")
            for code, call in [
                (Code.REFUSED, lambda: p.vip_move("front", "h9")),
                (Code.NOT_FOUND, lambda: p.vip("back")),
                (Code.NOT_FOUND, lambda: p.vip_clear("back")),
                (Code.NOT_FOUND, lambda: p.vip_report("back", True)),
            ]:
                with self.assertRaises(PrimacyError) as caught:
                    call()
                self.assertEqual(caught.exception.code, code)

    def test_an_instance_without_addresses_has_no_tier(self):
        with primacy.Instance(external()) as p:
            for call in (p.vip_status, lambda: p.vip("front"), lambda: p.vip_move("front", "h1"), lambda: p.vip_standby("h1")):
                with self.assertRaises(PrimacyError) as caught:
                    call()
                self.assertEqual(caught.exception.code, Code.NOT_FOUND)


class Errors(unittest.TestCase):
    def code(self, call, *arguments, **more):
        with self.assertRaises(PrimacyError) as caught:
            call(*arguments, **more)
        self.assertTrue(caught.exception.message)
        return caught.exception.code

    def test_codes(self):
        config = primacy.Config()
        self.assertEqual(self.code(config.set, "no_such_key", "1"), Code.CONFIG)
        self.assertEqual(self.code(config.add_pool, "name:x;primary:a;primary:b"), Code.CONFIG)
        self.assertEqual(self.code(config.load_file, "/nonexistent"), Code.IO)
        with self.assertRaisesRegex(PrimacyError, r"here\.toml:2"):
            config.load_text("a = [1,\n  bad", "here.toml")
        self.assertEqual(self.code(primacy.Instance, primacy.Config()), Code.CONFIG)
        with primacy.Instance(external()) as p:
            self.assertEqual(self.code(p.pool, "nothing"), Code.NOT_FOUND)
            pool = p.pool("orders")
            self.assertEqual(self.code(pool.observe, "10.9.9.9", "ok"), Code.NOT_FOUND)
            self.assertEqual(self.code(pool.observe, A, "bad weather"), Code.NOT_FOUND)
            self.assertEqual(self.code(p.events, capacity=0), Code.INVALID)
            p.start()
            self.assertEqual(self.code(lambda: p.fd), Code.STATE)
            p.stop()
            self.assertEqual(self.code(pool.cycle), Code.STOPPED)
            self.assertEqual(len(pool.nodes()), 2)
        self.assertEqual(self.code(pool.cycle), Code.HANDLE)

    def test_strings_are_checked_before_c_sees_them(self):
        with self.assertRaises(TypeError):
            primacy.Config().set(b"a", "b")
        with self.assertRaises(ValueError):
            primacy.Config().set("a\0b", "b")

    def test_unknown_numbers_are_accepted(self):
        error = PrimacyError(-4711, "from a newer library")
        self.assertEqual((error.code, error.code.name), (-4711, "E_4711"))
        self.assertEqual(pickle.loads(pickle.dumps(PrimacyError(-8, "no"))).code, Code.REFUSED)


class Reload(unittest.TestCase):
    def config(self, *nodes, **keys):
        config = primacy.Config()
        words = [f"{'primary' if i == 0 else 'secondary'}:{node}" for i, node in enumerate(nodes)]
        config.add_pool("name:orders;" + ";".join(words)).set("pool.orders.probe", "external")
        for key, value in keys.items():
            config.set(f"pool.orders.{key}", value)
        return config

    def test_what_stays_keeps_its_state(self):
        p = primacy.Instance(self.config(A, B))
        events = p.events()
        pool = p.pool("orders")
        for node in (A, B):
            pool.observe(node, "ok")
        self.assertEqual(pool.active.name, A)
        epoch = pool.epoch
        p.reload(self.config("10.0.1.13:3306", B, A))
        self.assertEqual([node.name for node in pool.nodes()], ["10.0.1.13:3306", B, A])
        self.assertEqual([str(node.state) for node in pool.nodes()], ["UNKNOWN", "STANDBY", "ACTIVE"])
        self.assertEqual((pool.active.name, pool.epoch), (A, epoch))
        told = [event for event in events if event.kind == "reload"]
        self.assertEqual((len(told), told[0].rule), (1, 910))
        self.assertIn("10.0.1.13:3306 comes", told[0].message)
        # The ACTIVE node leaves, and one that is good takes over in the same moment.
        p.reload(self.config(B))
        self.assertEqual(pool.active.name, B)
        self.assertGreater(pool.epoch, epoch)

    def test_refused_as_a_whole(self):
        p = primacy.Instance(self.config(A, B))
        pool = p.pool("orders")
        pool.observe(A, "ok")
        for config, word in (
            (self.config(A, B, policy="mpp"), "rule 906: pool.orders.policy"),
            (self.config(A, B).set("cache_file", "/nowhere/cache"), "rule 901: cache_file"),
            (self.config(B), "rule 908"),
        ):
            with self.assertRaises(PrimacyError) as caught:
                p.reload(config)
            self.assertEqual(caught.exception.code, Code.REFUSED)
            self.assertIn(word, str(caught.exception))
            self.assertEqual([node.name for node in pool.nodes()], [A, B])
        with self.assertRaises(PrimacyError) as caught:
            p.reload(primacy.Config())
        self.assertEqual(caught.exception.code, Code.CONFIG)
        p.stop()
        with self.assertRaises(PrimacyError) as caught:
            p.reload(self.config(A, B))
        self.assertEqual(caught.exception.code, Code.STOPPED)


class Life(unittest.TestCase):
    def wait(self, condition, seconds=5):
        until = time.monotonic() + seconds
        while not condition() and time.monotonic() < until:
            time.sleep(0.01)
        self.assertTrue(condition())

    def test_a_thread_of_its_own(self):
        with primacy.Instance(probing()) as p, p.events() as events:
            p.start()
            p.start()
            self.wait(lambda: p.pool("orders").nodes()[0].cause == "refused")
            self.assertIsNotNone(events.wait(5))
            p.stop()

    def test_the_hosts_loop(self):
        with primacy.Instance(probing()) as p:
            poller = select.poll()
            poller.register(p.fd, select.POLLIN)
            until = time.monotonic() + 5
            while p.pool("orders").nodes()[0].cause != "refused" and time.monotonic() < until:
                if poller.poll(100):
                    self.assertGreaterEqual(p.dispatch(), 0)
            self.assertEqual(p.pool("orders").nodes()[0].cause, "refused")

    def test_a_script(self):
        with primacy.Instance(probing()) as p:
            pool = p.pool("orders")
            pool.run_cycle(timeout=5)
            self.assertEqual([n.cause for n in pool.nodes()], ["refused", "refused"])

    def test_waiting_calls_let_other_threads_run(self):
        ticks = []
        with primacy.Instance(probing().set("probe.interval", "200ms")) as p:
            done = threading.Event()

            def tick():
                while not done.wait(0.005):
                    ticks.append(time.monotonic())

            thread = threading.Thread(target=tick)
            thread.start()
            try:
                for _ in range(3):
                    p.pool("orders").run_cycle(timeout=5)
                p.start()
                p.stop()
            finally:
                done.set()
                thread.join()
        self.assertTrue(ticks)

    def test_a_forked_child_of_a_running_instance(self):
        with primacy.Instance(probing()) as p, p.events() as events:
            p.start()
            pool = p.pool("orders")

            def body():
                for call in (p.start, p.stop, p.dispatch, p.snapshot, pool.cycle, pool.nodes, pool.explain, events.next,
                             events.fileno, p.events, pool.recover_pool):
                    try:
                        call()
                        return f"{call} answered"
                    except PrimacyError as error:
                        if error.code != Code.FORKED:
                            return f"{call}: {error}"
                events.close()
                p.close()
                with primacy.Instance(external()) as own:
                    cycle(own.pool("orders"))
                return ""

            self.assertEqual(self.in_child(body), "")
            before = pool.nodes()[0].observed_ms
            self.wait(lambda: pool.nodes()[0].observed_ms > before)

    def test_a_forked_worker_starts_what_its_parent_made(self):
        with primacy.Instance(probing()) as p:

            def body():
                p.start()
                until = time.monotonic() + 5
                while p.pool("orders").nodes()[0].cause != "refused" and time.monotonic() < until:
                    time.sleep(0.01)
                found = p.pool("orders").nodes()[0].cause
                p.close()
                return "" if found == "refused" else f"cause {found}"

            for _ in range(2):
                self.assertEqual(self.in_child(body), "")
            self.assertIsNone(p.pool("orders").nodes()[0].cause)

    def in_child(self, body):
        """What `body` returns in a forked child, as text."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                said = body()
            except BaseException as error:
                said = repr(error)
            os.write(writing, said.encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as file:
            said = file.read()
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        return said

    def test_nothing_leaks(self):
        def once():
            with primacy.Instance(external()) as p:
                events = p.events()
                cycle(p.pool("orders"))
                del events

        once()
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(50):
            once()
        gc.collect()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


class Loading(unittest.TestCase):
    def run_python(self, code, **environment):
        here = {key: value for key, value in os.environ.items() if key != "PRIMACY_LIBRARY"}
        return subprocess.run([sys.executable, "-c", code], env={**here, **environment}, capture_output=True, text=True)

    def test_order(self):
        bundled = primacy._library._find() if not os.environ.get("PRIMACY_LIBRARY") else None
        with tempfile.TemporaryDirectory() as folder:
            copy = os.path.join(folder, "libprimacy.so.0")
            with open(primacy._library.library().path, "rb") as source, open(copy, "wb") as target:
                target.write(source.read())
            show = "import primacy; print(primacy.version(), primacy._library.library().path)"
            said = self.run_python(show, PRIMACY_LIBRARY=copy)
            self.assertIn(copy, said.stdout, said.stderr)
            loaded = f"import ctypes; ctypes.CDLL({copy!r}); {show}; maps = open('/proc/self/maps').read();" \
                     "print(len({l.split()[-1] for l in maps.splitlines() if 'libprimacy' in l}))"
            said = self.run_python(loaded)
            self.assertRegex(said.stdout, r"libprimacy\.so\.0\n1\n", said.stderr)
            self.assertIn("/primacy/", self.run_python(show).stdout)
            said = self.run_python(show, PRIMACY_LIBRARY=os.path.join(folder, "nothing.so"))
            self.assertIn("ImportError", said.stderr)
            # No search of the system's path: with nothing bundled there is nothing.
            if bundled:
                hidden = self.run_python("import primacy._library as l; l.__file__ = '/nonexistent/x'; l.library()",
                                         LD_LIBRARY_PATH=folder)
                self.assertIn("ImportError", hidden.stderr)

    def test_silence(self):
        code = "import primacy\nc = primacy.Config()\ntry:\n    c.set('x', 'y')\nexcept primacy.PrimacyError:\n    pass\n"
        said = self.run_python(code)
        self.assertEqual((said.returncode, said.stdout, said.stderr), (0, "", ""))

    def test_the_wheel(self):
        backend = os.path.join(ROOT, "bindings", "python", "build_backend.py")
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, backend, "wheel", "--to", folder], check=True, capture_output=True)
            (wheel,) = os.listdir(folder)
            self.assertRegex(wheel, r"^primacy-0\.1\.0-py3-none-linux_\w+\.whl$")
            target = os.path.join(folder, "site")
            pip = subprocess.run([sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--target", target,
                                  os.path.join(folder, wheel)], capture_output=True, text=True)
            if "No module named pip" in pip.stderr:
                subprocess.run([sys.executable, "-m", "zipfile", "-e", os.path.join(folder, wheel), target], check=True)
            else:
                self.assertEqual(pip.returncode, 0, pip.stderr)
            said = self.run_python("import primacy; print(primacy.__file__, primacy.version())", PYTHONPATH=target)
            self.assertIn(target, said.stdout, said.stderr)
            self.assertTrue(os.path.exists(os.path.join(target, "primacy", "py.typed")))


if __name__ == "__main__":
    unittest.main()
