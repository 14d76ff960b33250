"""Events in asyncio loops, of real instances whose host's observations make them happen."""

import asyncio
import os
import threading
import unittest

import primacy

A, B = "10.0.1.11:3306", "10.0.1.12:3306"
SOON = 20.0


def external():
    config = primacy.Config()
    config.add_pool(f"name:orders;primary:{A};secondary:{B}")
    config.set("pool.orders.policy", "mpp")
    return config.set("pool.orders.probe", "external")


def cycle(p, a="ok", b="ok"):
    pool = p.pool("orders")
    pool.observe(A, a)
    pool.observe(B, b)
    pool.cycle()


def fail_over(p):
    """The PRIMARY becomes ACTIVE, fails, and the other takes over."""
    cycle(p)
    cycle(p)
    for _ in range(5):
        cycle(p, a="refused")


def threads():
    return len(os.listdir("/proc/self/task"))


class AsyncEvents(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        # In debug mode, as here, the loop complains of what a loaded machine does.
        asyncio.get_running_loop().slow_callback_duration = SOON
        self.p = primacy.Instance(external())
        self.addCleanup(self.p.close)

    def is_watched(self, events):
        return asyncio.get_running_loop().remove_reader(events.fileno())

    async def test_events_come_as_they_happen_and_no_thread_waits_for_them(self):
        events = self.p.events()
        seen = []

        async def consume():
            async for event in events:
                seen.append(event)
                if event.kind == "switch" and event.node == B:
                    return

        before = threads()
        consumer = asyncio.create_task(consume())
        turns = 0
        for _ in range(50):
            await asyncio.sleep(0)
            turns += 1
        self.assertEqual((seen, turns, consumer.done()), ([], 50, False), "who waits keeps nobody from working")
        self.assertEqual(threads(), before)
        fail_over(self.p)
        await asyncio.wait_for(consumer, SOON)
        self.assertEqual([e.sequence for e in seen], list(range(1, len(seen) + 1)))
        self.assertEqual([e.node for e in seen if e.kind == "switch"], [A, B])
        self.assertTrue(all(isinstance(e, primacy.Event) for e in seen))
        self.assertFalse(self.is_watched(events), "nobody waits, so nothing is watched")

    async def test_consumers_have_queues_and_filters_of_their_own(self):
        queues = {
            "all": self.p.events(),
            "switch": self.p.events(kinds=["switch"]),
            "alarm": self.p.events(severity="alarm"),
            "pool": self.p.events(pool="orders"),
        }
        seen = {name: [] for name in queues}

        async def consume(name):
            async for event in queues[name]:
                seen[name].append(event)

        tasks = [asyncio.create_task(consume(name)) for name in queues]
        await asyncio.sleep(0)
        fail_over(self.p)
        self.p.close()
        await asyncio.wait_for(asyncio.gather(*tasks), SOON)
        self.assertGreater(len(seen["all"]), len(seen["alarm"]))
        self.assertEqual(seen["switch"], [e for e in seen["all"] if e.kind == "switch"])
        self.assertEqual(seen["alarm"], [e for e in seen["all"] if e.severity == "alarm"])
        self.assertEqual(seen["pool"], [e for e in seen["all"] if e.pool == "orders"])
        self.assertTrue(seen["switch"] and seen["alarm"])

    async def test_tasks_may_share_a_queue(self):
        events = self.p.events()
        seen = []

        async def consume():
            async for event in events:
                seen.append(event.sequence)
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(consume()) for _ in range(4)]
        for _ in range(6):
            await asyncio.sleep(0.005)
            cycle(self.p)
            cycle(self.p, a="refused")
        self.p.stop()
        await asyncio.wait_for(asyncio.gather(*tasks), SOON)
        self.assertGreater(len(seen), 12)
        self.assertEqual(sorted(seen), list(range(1, len(seen) + 1)), "each once")

    async def test_a_cancelled_wait_loses_nothing(self):
        events, seen, given_up = self.p.events(), [], 0

        async def produce():
            for n in range(40):
                cycle(self.p, a="ok" if n % 2 else "refused")
                await asyncio.sleep(0.002)

        producer = asyncio.create_task(produce())
        while not producer.done():
            try:
                seen.append(await asyncio.wait_for(events.__anext__(), 0.001))
            except asyncio.TimeoutError:
                given_up += 1
        seen.extend(events)
        self.assertGreater(given_up, 0)
        self.assertGreater(len(seen), 40)
        self.assertEqual([e.sequence for e in seen], list(range(1, len(seen) + 1)))
        self.assertFalse(self.is_watched(events))
        # A task that is cancelled outright leaves the queue as it was.
        task = asyncio.create_task(events.__anext__())
        await asyncio.sleep(0)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        cycle(self.p, a="ok", b="refused")
        self.assertEqual((await asyncio.wait_for(events.__anext__(), SOON)).sequence, len(seen) + 1)

    async def test_a_slow_consumer_is_told_what_it_lost(self):
        few, every = self.p.events(capacity=3), self.p.events()
        fail_over(self.p)
        total = len(list(every))
        self.p.stop()
        seen = [event async for event in few]
        self.assertEqual((seen[0].kind, seen[0].count, len(seen)), ("lost", total - 3, 4))

    async def test_other_tasks_get_their_turn_while_much_is_read(self):
        events = self.p.events()
        for n in range(150):
            cycle(self.p, a="ok" if n % 2 else "refused")
        turns = 0

        async def turn():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(turn())
        self.p.stop()
        read = len([event async for event in events])
        other.cancel()
        self.assertGreater(read, 150)
        self.assertGreaterEqual(turns, read // 64)

    async def test_closing_ends_the_wait(self):
        async def consume(events):
            return [event async for event in events]

        async def end(close):
            events = self.p.events()
            task = asyncio.create_task(consume(events))
            await asyncio.sleep(0)
            self.assertFalse(task.done())
            close(events)
            self.assertEqual(await asyncio.wait_for(task, SOON), [])
            self.assertEqual([event async for event in events], [])

        await end(lambda events: events.close())
        # From another thread too; the descriptor is closed when the loop no longer watches it.
        def elsewhere(events):
            thread = threading.Thread(target=events.close)
            thread.start()
            thread.join()

        await end(elsewhere)
        await end(lambda events: self.p.close())

    async def test_a_queue_belongs_to_the_loop_that_waits(self):
        events = self.p.events()
        task = asyncio.create_task(events.__anext__())
        await asyncio.sleep(0)

        def elsewhere():
            with self.assertRaises(RuntimeError):
                asyncio.run(asyncio.wait_for(events.__anext__(), SOON))

        await asyncio.get_running_loop().run_in_executor(None, elsewhere)
        cycle(self.p)
        self.assertEqual((await asyncio.wait_for(task, SOON)).sequence, 1)

    async def test_a_running_instance_in_a_block(self):
        config = primacy.Config("[probe]\nuser = 'nobody'\ninterval = '20ms'\nconfirm_interval = '5ms'\ntimeout = '50ms'\n")
        config.add_pool("name:orders;primary:127.0.0.1:1;secondary:127.0.0.2:1")
        async with primacy.Instance(config) as p:
            async with p.events(kinds=["state"]) as events:
                p.start()
                failed = set()
                async for event in events:
                    failed.add(event.node)
                    if len(failed) == 2:
                        break
            self.assertEqual(failed, {"127.0.0.1:1", "127.0.0.2:1"})
            text = p.metrics()
            self.assertIn('primacy_node_state{pool="orders",node="127.0.0.1:1",state="FAILED_OFFLINE"} 1\n', text)
            left = p.events(severity="alarm", pool="orders")
            waiting = asyncio.create_task(left.__anext__())
            await asyncio.sleep(0)
        with self.assertRaises(primacy.PrimacyError):
            p.snapshot()
        # Both nodes have failed and no alarm is to come: with the block the wait ends.
        with self.assertRaises(StopAsyncIteration):
            await asyncio.wait_for(waiting, SOON)


if __name__ == "__main__":
    unittest.main()
