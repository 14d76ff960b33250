"""Selections and connects through the Python package, in pools that the host observes. Connects on real servers: tests/real."""

import gc
import os
import pickle
import threading
import time
import unittest

import primacy
from primacy import Code, PrimacyError, _abi

A, B, C = "10.0.1.11:3306", "10.0.1.12:3306", "[2001:db8::13]:3306"
SERVICES = {"rw": {"role": "active"}, "ro": {"role": "standby", "fallback": "active"}}


def external(nodes=(A, B, C), services=SERVICES, **keys):
    kinds = ["primary"] + ["secondary"] * (len(nodes) - 1)
    text = "[pool.orders]\nprobe = 'external'\nnodes = [" + ", ".join(
        f"{{ address = '{node}', type = '{kind}' }}" for node, kind in zip(nodes, kinds)) + "]\n"
    for name, settings in services.items():
        text += f"[pool.orders.service.{name}]\n" + "".join(f"{key} = {value!r}\n" for key, value in settings.items())
    config = primacy.Config(text)
    for key, value in keys.items():
        config.set(f"pool.orders.{key}", value)
    return config


def look(pool, bad=(), times=1, **facts):
    """Looks at every node; what is in `bad` refuses."""
    for _ in range(times):
        for node in pool.nodes():
            if node.name in bad:
                pool.observe(node.name, "refused", message="no route to its heart")
            else:
                pool.observe(node.name, "ok", **facts.get(node.name, {}))
        pool.cycle()


def settled(instance):
    pool = instance.pool("orders")
    look(pool, times=6)
    assert pool.active.name == A, pool.explain()
    return pool


class Selections(unittest.TestCase):
    def setUp(self):
        self.p = primacy.Instance(external())
        self.addCleanup(self.p.close)
        self.pool = settled(self.p)

    def test_fields(self):
        with self.p.selector("orders.rw") as rw:
            b = rw.select()
            self.assertEqual((b.host, b.port, b.path, b.address, b.node), ("10.0.1.11", 3306, None, A, A))
            self.assertEqual((b.slot, b.reason, b.flags, b.service), (0, "role", 0, "orders.rw"))
            self.assertEqual((b.stale, b.fallback, b.other_site, b.trial, b.released), (False,) * 5)
            self.assertEqual(b.epoch, self.pool.epoch)
            self.assertIsInstance(b.generation, int)
            self.assertEqual(rw.current(b), "stays")
            self.assertEqual(rw.current(b).number, _abi.PRIMACY_SESSION_STAYS)
            self.assertIn(A, rw.reason())
            self.assertEqual(rw.node_name(2), C)
            rw.release(b)
            self.assertTrue(b.released)
            with self.assertRaises(ValueError):
                rw.release(b)

    def test_names_of_services(self):
        self.assertEqual(self.p.selector("rw").select().address, A)
        self.assertEqual(self.pool.selector("rw").select().address, A)
        for name in ("orders.nothing", "nothing", "users.rw", ""):
            with self.assertRaises(PrimacyError) as caught:
                self.p.selector(name)
            self.assertIn(caught.exception.code, (Code.NOT_FOUND, Code.INVALID), name)
        with self.assertRaises(TypeError):
            self.p.selector(7)

    def test_ipv6_and_turns(self):
        with self.p.selector("ro", seed=7) as ro:
            given = [ro.select() for _ in range(10)]
        self.assertEqual({b.address for b in given}, {B, C})
        self.assertEqual([b.address for b in given[::2]], [given[0].address] * 5)
        (six,) = {(b.host, b.port) for b in given if b.address == C}
        self.assertEqual(six, ("2001:db8::13", 3306))
        with self.p.selector("ro", seed=7) as again:
            self.assertEqual([again.select().slot for _ in range(10)], [b.slot for b in given])
        for seed in (0, -1, 1 << 64):
            with self.assertRaises(ValueError):
                self.p.selector("ro", seed=seed)

    def test_avoid(self):
        with self.pool.selector("ro") as ro:
            first = ro.select()
            second = ro.select(avoid=[first])
            self.assertNotEqual(first.address, second.address)
            self.assertEqual(ro.select(avoid=(second.slot,)).address, first.address)
            last = ro.select(avoid=[first, second])
            self.assertEqual((last.address, last.reason, last.fallback), (A, "fallback", True))
            with self.assertRaises(primacy.NoBackend):
                ro.select(avoid=[0, 1, 2])
            for bad in (["x"], [-1], [1 << 32], [None]):
                with self.assertRaises(ValueError):
                    ro.select(avoid=bad)

    def test_a_failed_active(self):
        with self.pool.selector("rw") as rw, self.pool.selector("ro") as ro:
            writer, readers = rw.select(), [ro.select() for _ in range(2)]
            look(self.pool, bad=(A,), times=8)
            self.assertEqual(rw.current(writer), "ends")
            heir = rw.select()
            self.assertEqual((heir.address, rw.current(heir)), (B, "stays"))
            self.assertGreater(heir.epoch, writer.epoch)
            # A reader on the node that stays as it was stays too.
            stayed = {b.address: ro.current(b) for b in readers}
            self.assertEqual(stayed[C], "stays")
            look(self.pool, bad=(A, B, C), times=20)
            with self.assertRaises(primacy.NoBackend) as caught:
                rw.select()
            self.assertIs(caught.exception.code, Code.NO_BACKEND)
            self.assertIsInstance(caught.exception, primacy.SelectionError)
            self.assertIn("no route to its heart", caught.exception.message)
            again = pickle.loads(pickle.dumps(caught.exception))
            self.assertEqual((type(again), again.message), (primacy.NoBackend, caught.exception.message))

    def test_a_move_on_purpose_drains(self):
        with self.pool.selector("rw") as rw:
            writer = rw.select()
            self.pool.override(B, state="ACTIVE", reason="a test")
            self.assertEqual(rw.current(writer), "drains")
            self.assertEqual(rw.select().address, B)

    def test_paused(self):
        uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
        behind = {node: {"flavour": "mysql", "gtids": f"{uuid}:1-{last}"} for node, last in ((A, 50), (B, 100), (C, 100))}
        look(self.pool, bad=(A,), times=8)
        look(self.pool, times=8, **behind)
        with self.pool.selector("rw") as rw:
            self.assertEqual(rw.select().address, B)
            self.pool.recover(A)
            look(self.pool, times=6, **behind)
            self.assertTrue(self.pool.paused, self.pool.explain())
            with self.assertRaises(primacy.Paused) as caught:
                rw.select()
            self.assertIs(caught.exception.code, Code.PAUSED)

    def test_min_gtid(self):
        uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
        look(self.pool, **{
            A: {"flavour": "mysql", "gtids": f"{uuid}:1-100"},
            B: {"flavour": "mysql", "gtids": f"{uuid}:1-50"},
            C: {"flavour": "mysql", "gtids": f"{uuid}:1-70"},
        })
        with self.pool.selector("ro") as ro:
            self.assertEqual({ro.select(min_gtid=f"{uuid}:1-60").address for _ in range(6)}, {C})
            late = ro.select(min_gtid=f"{uuid}:90")
            self.assertEqual((late.address, late.reason), (A, "gtid_active"))
            with self.assertRaises(primacy.GtidUnknown):
                ro.select(min_gtid=f"{uuid}:101")
            self.assertIn(ro.select(min_gtid=f"{uuid}:101", stale_ok=True).address, (B, C))
            for bad in ("garbage", f"{uuid}:1-x", f"{uuid}:1-{1 << 63}"):
                with self.assertRaises(PrimacyError, msg=bad) as caught:
                    ro.select(min_gtid=bad)
                self.assertIs(caught.exception.code, Code.INVALID, bad)
            with self.assertRaises(TypeError):
                ro.select(min_gtid=5)

    def test_reports_hold_a_node(self):
        with self.pool.selector("ro") as ro:
            bad = ro.select()
            for _ in range(3):
                ro.report(bad, "connect_failed")
            self.assertEqual({ro.select().address for _ in range(6)}, {B, C} - {bad.address})
            with self.assertRaises(ValueError):
                ro.report(bad, "bad weather")
            with self.assertRaises(TypeError):
                ro.report("10.0.1.12:3306", "connected")

    def test_a_backend_ends_with_its_block(self):
        p = primacy.Instance(external(services={"any": {"role": "any", "strategy": "least-connections"}}))
        with p, settled(p).selector("any") as selector:
            three = [selector.select() for _ in range(3)]
            self.assertEqual(len({b.slot for b in three}), 3)
            with selector.select() as fourth:
                fifth = selector.select()
                self.assertNotEqual(fourth.slot, fifth.slot)
            self.assertTrue(fourth.released)
            # Its node has the fewest clients again.
            selector.release(three[fourth.slot == three[0].slot])
            self.assertNotEqual(selector.select().slot, fifth.slot)

    def test_after_stop_and_close(self):
        selector = self.pool.selector("rw")
        b = selector.select()
        self.p.stop()
        for call in (selector.select, lambda: selector.current(b), lambda: self.pool.selector("rw")):
            with self.assertRaises(PrimacyError) as caught:
                call()
            self.assertIs(caught.exception.code, Code.STOPPED)
        selector.close()
        selector.close()
        with self.assertRaises(PrimacyError) as caught:
            selector.select()
        self.assertIs(caught.exception.code, Code.HANDLE)

    def test_a_selector_keeps_its_instance_from_the_collector(self):
        p = primacy.Instance(external())
        settled(p)
        selector = p.selector("rw")
        del p
        gc.collect()
        self.assertEqual(selector.select().address, A)

    def test_a_forked_child(self):
        with primacy.Instance(external()) as p:
            pool = settled(p)
            p.start()
            selector = pool.selector("rw")
            b = selector.select()
            pid = os.fork()
            if pid == 0:
                code = 9
                try:
                    code = 0
                    connector = primacy.creator(pool, "rw", lambda **place: None)
                    for call in (selector.select, lambda: selector.current(b), lambda: selector.release(b), connector):
                        try:
                            call()
                            code = 1
                        except PrimacyError as e:
                            code = code or (0 if e.code is Code.FORKED else 2)
                    selector.close()
                finally:
                    os._exit(code)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
            self.assertEqual(selector.select().address, A)

    def test_threads_have_selectors_of_their_own(self):
        failed = []

        def work():
            try:
                connector = primacy.creator(self.pool, "ro", lambda **place: Connection(place))
                for _ in range(300):
                    connector().close()
            except BaseException as e:
                failed.append(e)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        self.assertEqual(failed, [])

    def test_every_code_has_its_name(self):
        known = {name: number for name, number in _abi.ENUMS["primacy_error"].items() if number}
        self.assertEqual({"PRIMACY_E_" + code.name: int(code) for code in Code}, known)


class Connection:
    """Stands for a connector's connection: what is tested here is what is done with one."""

    def __init__(self, place):
        self.place = place
        self.closed = 0

    def close(self):
        self.closed += 1


class OperationalError(Exception):
    def __init__(self, *arguments, came_from=None):
        super().__init__(*arguments)
        self.original_exception = came_from


class Connects(unittest.TestCase):
    def setUp(self):
        services = {"rw": {"role": "active"}, "all": {"role": "any", "strategy": "least-connections", "quarantine": "0s"}}
        self.p = primacy.Instance(external(services=services))
        self.addCleanup(self.p.close)
        self.pool = settled(self.p)
        self.places = []
        self.errors = {}

    def connector(self, host, port, **keywords):
        self.places.append(host)
        self.keywords = keywords
        if host in self.errors:
            raise self.errors[host]
        return Connection((host, port))

    def connect(self, service="rw", **keywords):
        return primacy.connect(self.pool, service, self.connector, **keywords)

    def none_counted(self):
        """Whether the library counts as many clients on each node: `least-connections` then gives each in turn."""
        with self.p.selector("all") as selector:
            order = [selector.select() for _ in range(6)]
            for b in order:
                selector.release(b)
        return {b.slot for b in order[:3]} == {b.slot for b in order[3:]} == {0, 1, 2}

    def test_connect_and_close(self):
        connection = self.connect(user="app", charset="utf8mb4")
        self.assertEqual((connection.place, self.keywords), (("10.0.1.11", 3306), {"user": "app", "charset": "utf8mb4"}))
        made = primacy.session(connection)
        self.assertEqual((made.node, made.backend.address, made.current()), (A, A, "stays"))
        look(self.pool, bad=(A,), times=8)
        self.assertEqual(made.current(), "ends")
        connection.close()
        connection.close()
        self.assertEqual(connection.closed, 2)
        self.assertTrue(made.backend.released)
        # An instance gives the same, under the service's full name.
        self.assertEqual(primacy.connect(self.p, "orders.rw", self.connector).place[0], "10.0.1.12")
        with self.assertRaises(TypeError):
            primacy.session(Connection(None))

    def test_counted_until_closed_or_forgotten(self):
        self.assertTrue(self.none_counted())
        held = [self.connect("all") for _ in range(3)]
        self.assertEqual({c.place[0] for c in held}, {"10.0.1.11", "10.0.1.12", "2001:db8::13"})
        # The place of a closed one is the next one's, every time.
        for at in (1, 2, 0, 1, 1, 2):
            held[at].close()
            place, held[at] = held[at].place, self.connect("all")
            self.assertEqual(held[at].place, place)
        slot = primacy.session(held[0]).backend.slot
        # Forgotten, not closed.
        del held[0]
        gc.collect()
        self.assertEqual(primacy.session(self.connect("all")).backend.slot, slot)

    def test_the_next_node_is_tried(self):
        self.errors = {"10.0.1.11": ConnectionRefusedError(111, "refused"),
                       "10.0.1.12": OperationalError(2003, "timed out", came_from=TimeoutError("timed out"))}
        for _ in range(4):
            self.assertEqual(self.connect("all").place[0], "2001:db8::13")
        # Nobody: each once without time to wait, and the last error is the caller's.
        self.errors["2001:db8::13"] = OperationalError(2013, "lost connection")
        self.places.clear()
        with self.assertRaises((OSError, OperationalError)):
            self.connect("all", wait=0)
        self.assertEqual(sorted(self.places), ["10.0.1.11", "10.0.1.12", "2001:db8::13"])
        self.places.clear()
        with self.assertRaises((OSError, OperationalError)):
            self.connect("all", wait=30, attempts=2)
        self.assertEqual(len(self.places), 2)

    def test_what_is_the_same_everywhere_is_raised_at_once(self):
        for error in (OperationalError(1045, "Access denied"), OperationalError(1049, "Unknown database"), TypeError("charset")):
            self.errors = dict.fromkeys(("10.0.1.11", "10.0.1.12", "2001:db8::13"), error)
            self.places.clear()
            with self.assertRaises(type(error)) as caught:
                self.connect("all", wait=30)
            self.assertIs(caught.exception, error)
            self.assertEqual(len(self.places), 1)
        self.assertTrue(self.none_counted())

    def test_outcomes(self):
        from primacy._connect import outcome_of

        class Connector(Exception):
            def __init__(self, errno):
                super().__init__("words first")
                self.errno = errno

        for error, wanted in (
            (ConnectionRefusedError(111, "refused"), ("connect_failed", True)),
            (TimeoutError("timed out"), ("connect_timed_out", True)),
            (OperationalError(2003, "can't connect", came_from=ConnectionResetError()), ("connect_failed", True)),
            (OperationalError(2003, "can't connect", came_from=TimeoutError()), ("connect_timed_out", True)),
            (OperationalError(2013, "lost connection"), ("connect_failed", True)),
            (OperationalError(1053, "shutting down"), ("connect_failed", True)),
            (Connector(2003), ("connect_failed", True)),
            (Connector(1045), ("connected", False)),
            (OperationalError(1040, "too many connections"), (None, True)),
            (ValueError("bad charset"), (None, False)),
        ):
            self.assertEqual(outcome_of(error), wanted, error)

    def test_three_failures_are_heard(self):
        """The reports arrive: a node that nobody reaches is held back."""
        p = primacy.Instance(external(services={"ro": {"role": "standby", "quarantine": "1h", "quarantine_max": "1h"}}))
        self.addCleanup(p.close)
        pool = settled(p)
        self.errors = {"10.0.1.12": ConnectionRefusedError()}
        for _ in range(8):
            self.assertEqual(primacy.connect(pool, "ro", self.connector).place[0], "2001:db8::13")
        self.assertEqual(self.places.count("10.0.1.12"), 3)

    def test_waits_over_a_fail_over(self):
        self.errors = {"10.0.1.11": ConnectionRefusedError()}
        later = threading.Timer(0.2, look, (self.pool, (A,), 8))
        later.start()
        self.addCleanup(later.join)
        connection = self.connect(wait=20)
        self.assertEqual(connection.place[0], "10.0.1.12")
        self.assertGreater(self.places.count("10.0.1.11"), 1)
        look(self.pool, bad=(A, B, C), times=20)
        began = time.monotonic()
        with self.assertRaises(primacy.NoBackend):
            self.connect(wait=0.1)
        self.assertLess(time.monotonic() - began, 10)

    def test_a_node_that_leaves_during_the_login(self):
        def slow(host, port):
            connection = self.connector(host, port)
            if host == "10.0.1.11":
                self.first = connection
                look(self.pool, bad=(A,), times=8)
            return connection

        connection = primacy.connect(self.pool, "rw", slow)
        self.assertEqual((connection.place[0], self.first.closed), ("10.0.1.12", 1))

    def test_connections_that_cannot_be_followed(self):
        closed = []

        class Slots:
            __slots__ = ()

            def close(self):
                closed.append(self)

        with self.assertRaisesRegex(TypeError, "Slots take no attributes"):
            primacy.connect(self.pool, "rw", lambda **place: Slots())
        self.assertEqual(len(closed), 1)
        self.assertTrue(self.none_counted())

    def test_bad_arguments(self):
        for wrong in ({"host": "x"}, {"port": 1}, {"unix_socket": "x"}):
            with self.assertRaises(TypeError):
                self.connect(**wrong)
        for wrong in ({"wait": -1}, {"wait": float("inf")}, {"attempts": 0}):
            with self.assertRaises(ValueError):
                self.connect(**wrong)
        with self.assertRaises(TypeError):
            primacy.connect("orders", "rw", self.connector)
        with self.assertRaises(PrimacyError) as caught:
            self.connect("nothing")
        self.assertIs(caught.exception.code, Code.NOT_FOUND)

    def test_closed_after_the_instance(self):
        connection = self.connect()
        self.p.close()
        connection.close()
        self.assertEqual(connection.closed, 1)

    def test_a_unix_socket(self):
        path = "/run/mysqld/mysqld.sock"
        p = primacy.Instance(external(nodes=(f"unix:{path}",)))
        self.addCleanup(p.close)
        look(p.pool("orders"), times=6)
        b = p.selector("rw").select()
        self.assertEqual((b.host, b.port, b.path, b.address), (None, None, path, path))
        given = []
        primacy.connect(p, "rw", lambda **place: given.append(place) or Connection(place))
        self.assertEqual(given, [{"unix_socket": path}])


if __name__ == "__main__":
    unittest.main()
