"""From a fault of the ACTIVE server to the switch, on two real servers that replicate in a circle.

kill -9 and SIGSTOP, under defaults and under short settings, PRIMACY_BENCH_RUNS times each (20), beside what the library's budget
promises. The fault comes at a random moment of the probe interval. `watcher`, built from the C file beside this one, runs the library on
its own thread; it takes the time right before kill(2), and the switch's event carries the time of the decision on the same clock.
"""

import json
import os
import queue
import random
import re
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "tests")]

from report import FOLDER, Report, load, quantile, spread, wait_for_quiet  # noqa: E402
from servers import PROBE, ServerError, Workspace, ring, wait_converged, wait_replicating  # noqa: E402

RUNS = int(os.environ.get("PRIMACY_BENCH_RUNS", "20"))
PATIENCE = float(os.environ.get("PRIMACY_BENCH_PATIENCE", "60"))
FLAVOURS = os.environ.get("PRIMACY_BENCH_SERVER", "mariadb").split()
SEED = int(os.environ.get("PRIMACY_BENCH_SEED", random.SystemRandom().randrange(1 << 32)))
SETTINGS = [("defaults", "", 0.5), ("short", 'interval = "100ms"\ntimeout = "50ms"\n', 0.1)]
#: The fault, its signal, and what the budget calls it.
FAULTS = [("kill -9", 9, ("gone", "closes the kept connection")), ("SIGSTOP", 19, ("hung", ""))]
#: Medians to reach, in milliseconds.
AIMS = {("kill -9", "defaults"): 100, ("SIGSTOP", "defaults"): 1300, ("SIGSTOP", "short"): 270}


class Watcher:
    """The library in a process of its own."""

    def __init__(self, configuration):
        self.process = subprocess.Popen(
            [FOLDER / "watcher", configuration, "orders"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answers, self._events = queue.Queue(), queue.Queue()
        self.told = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.told.append(line.rstrip())
            (self._events if line.startswith("event ") else self._answers).put(line.rstrip())

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._answers.get(timeout=10).partition(" ")[2]

    def nodes(self):
        words = self.ask("nodes").split()
        return {words[i]: (words[i + 1], words[i + 2]) for i in range(0, len(words), 3)}

    def switch(self, to, timeout):
        """The times of the next doubt (none before a planned switch) and of the next switch to a node, on CLOCK_MONOTONIC in
        nanoseconds."""
        deadline = time.monotonic() + timeout
        doubt = None
        while True:
            try:
                words = self._events.get(timeout=max(0.001, deadline - time.monotonic())).split(maxsplit=5)
            except queue.Empty:
                raise self.gave_up(f"no switch to {to} in {timeout} s") from None
            if words[1] == "doubt" and doubt is None:
                doubt = int(words[2])
            if words[1] == "switch" and words[3] == to:
                return doubt, int(words[2])

    def forget_events(self):
        while not self._events.empty():
            self._events.get()

    def gave_up(self, what):
        return ServerError(f"{what}; the library said last:\n" + "\n".join(self.told[-12:]))

    def wait_roles(self, active, standby, timeout=60):
        deadline = time.monotonic() + timeout
        wanted = {active.address: ("ACTIVE", "OK"), standby.address: ("STANDBY", "OK")}
        while (seen := self.nodes()) != wanted:
            if time.monotonic() > deadline:
                raise self.gave_up(f"{seen} instead of {wanted}")
            time.sleep(0.02)

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


def configuration(space, nodes, name, keys):
    password = space.path / "probe.password"
    password.write_text(PROBE.password + "\n")
    password.chmod(0o600)
    path = space.path / f"{name}.toml"
    path.write_text(
        f"""cache_file = "{space.path}/{name}.cache"
[probe]
user = "{PROBE.user}"
password_file = "{password}"
rsa_public_key = "from-server"
{keys}
[pool.orders]
nodes = [
  {{ address = "{nodes[0].address}", type = "primary" }},
  {{ address = "{nodes[1].address}", type = "secondary" }},
]
"""
    )
    return path


def one_run(watcher, nodes, signal, interval, dice):
    """Milliseconds from the fault to the first doubt and to the switch; on return the roles are as before."""
    active, standby = nodes
    watcher.wait_roles(active, standby)
    time.sleep(dice.uniform(interval, 3 * interval))
    watcher.forget_events()
    struck = watcher.ask(f"fault {active.pid} {signal}").split()
    if struck[1] != "sent":
        raise watcher.gave_up(f"the signal was not sent: {struck}")
    doubt, switch = watcher.switch(standby.address, 30)
    doubted, took = ((at - int(struck[0])) / 1e6 for at in (doubt, switch))
    if signal == 9:
        active.process.wait(30)
        active.start()
        active.wait_ready()
    else:
        active.sigcont()
    wait_replicating(nodes, 60)
    wait_converged(nodes, 60)
    recover(watcher, active)
    watcher.switch(active.address, 60)
    return doubted, took


def recover(watcher, node):
    """An operator's word; refused until the library has seen what became of the node."""
    deadline = time.monotonic() + 30
    while (answer := watcher.ask(f"recover {node.address}")).startswith("refused") or watcher.nodes()[node.address][0].startswith("FAILED"):
        if time.monotonic() > deadline:
            raise watcher.gave_up(f"recover: {answer}")
        time.sleep(0.1)


def promised(watcher, wanted):
    kind, words = wanted
    lines = json.loads(watcher.ask("budget"))["lines"]
    return next(line["worst_ms"] for line in lines if line["class"] == kind and words in line["fault"])


def measure(space, flavour, report):
    nodes = [space.create(flavour).start() for _ in range(2)]
    for node in nodes:
        node.wait_ready()
    ring(*nodes)
    version = re.search(r"\d+\.\d+\.\d+(-MariaDB)?", nodes[0].version()).group()
    dice = random.Random(SEED)
    rows, verdicts = [], []
    for setting, keys, interval in SETTINGS:
        watcher = Watcher(configuration(space, nodes, f"{flavour}-{setting}", keys))
        for fault, signal, wanted in FAULTS:
            budget = promised(watcher, wanted)
            doubts, times, loads = [], [], []
            for _ in range(RUNS):
                doubted, took = one_run(watcher, nodes, signal, interval, dice)
                doubts.append(doubted)
                times.append(took)
                loads.append(load())
                print(f"  {flavour} {setting} {fault}: doubt {doubted:.1f}, switch {took:.1f} ms, load {loads[-1]:.1f}", file=sys.stderr)
            middle, least, most = spread(times)
            rows.append(
                (f"{fault}, {setting}, {version}", len(times), *(f"{t:.1f}" for t in (least, middle, quantile(times, 0.95), most)),
                 f"{budget:.0f}", f"{most / budget:.2f}", f"{statistics.median(doubts):.1f}",
                 f"{max(t - d for t, d in zip(times, doubts)):.1f}", f"{statistics.median(loads):.0f}")
            )
            if most > budget:
                late = sum(t > budget for t in times)
                verdicts.append(f"{fault}, {setting}, {version}: {late} of {len(times)} runs took longer than the budget")
            aim = AIMS.get((fault, setting))
            if aim:
                verdicts.append(
                    f"aim, {fault}, {setting}, {version}: median under {aim} ms; {middle:.1f} ms: {'met' if middle <= aim else 'MISSED'}"
                )
        watcher.close()
    report.line()
    report.table(
        ("fault, settings, server", "runs", "min ms", "median", "p95", "max", "budget", "max/budget", "to doubt", "doubt to switch, max", "load"),
        rows,
    )
    for verdict in verdicts:
        report.line(verdict)


def main():
    wait_for_quiet(0.7, PATIENCE)
    report = Report("failover", "From the fault of the ACTIVE node to the switch")
    report.line("'to doubt': median from kill(2) to the first bad observation; after kill -9 the kernel tears the server down first")
    report.line(f"short: interval 100 ms, timeout 50 ms; policy safe; seed {SEED} (PRIMACY_BENCH_SEED)")
    for flavour in FLAVOURS:
        with Workspace("primacy-bench-") as space:
            measure(space, flavour, report)
    report.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
