"""What it costs to watch two to ten thousand nodes: CPU, memory and lateness, beside the same number of bare request and answer pairs.

The nodes are one small program (`stand_in`) that answers as a real server did a moment before, in pools of two. The library and the bare
pairs take turns, each in a process of its own. PRIMACY_BENCH_NODES names the sizes, PRIMACY_BENCH_SECONDS how long each is measured.
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "tests")]

from record import record  # noqa: E402
from report import FOLDER, Report, spread, wait_for_quiet  # noqa: E402
from servers import PROBE, Workspace, ring  # noqa: E402

FLAVOUR = os.environ.get("PRIMACY_BENCH_SERVER", "mariadb").split()[0]
SIZES = [int(word) for word in os.environ.get("PRIMACY_BENCH_NODES", "10 100 1000 10000").split()]
SECONDS = int(os.environ.get("PRIMACY_BENCH_SECONDS", "10"))
RUNS = int(os.environ.get("PRIMACY_BENCH_FLEET_RUNS", "3"))
#: Sizes of the idle table, at the default interval.
IDLE = (2, 100, 1000)
AIM_SHARE, AIM_BYTES, AIM_TIMES = 25.0, 8 * 1024, 2.0


class StandIn:
    """The servers' process."""

    def __init__(self, recording, interval_ms):
        command = [FOLDER / "stand_in", recording, str(interval_ms * 1000)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self._process.stdout.readline())

    def ask(self, line):
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return [int(word) for word in self._process.stdout.readline().split()[1:]]

    def close(self):
        self._process.stdin.close()
        self._process.wait(10)


class Run:
    """One contender in a process of its own, measured once."""

    def __init__(self, recording, interval_ms, command, nodes):
        stand_in = StandIn(recording, interval_ms)
        program = subprocess.Popen(
            [FOLDER / "fleet", *[str(word).replace("PORT", str(stand_in.port)) for word in command]],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        if program.stdout.readline().strip() != "ready":
            raise SystemExit(f"fleet gave up: {program.stderr.read()}")
        stand_in.ask("reset")
        program.stdin.write("go\n")
        program.stdin.flush()
        words = program.stdout.readline().split()
        self.probes, self.logins, self.late_median, self.late_99, self.late_most, _, _ = stand_in.ask("report")
        if len(words) != 5:
            raise SystemExit(f"fleet gave up: {program.stderr.read()}")
        cpu, wall, self.bytes, self.descriptors, self.threads = (int(word) for word in words)
        self.share = 100 * cpu / wall
        self.each_us = cpu / max(1, self.probes)
        self.rate = self.probes / (wall / 1e6)
        program.stdin.close()
        program.wait(60)
        self.notes = program.stderr.read().strip()
        stand_in.close()


def median(runs, key):
    return statistics.median(getattr(run, key) for run in runs)


def shares(runs):
    middle, least, most = spread([run.share for run in runs])
    return f"{middle:.2f}", f"{least:.2f} to {most:.2f}"


def row(name, nodes, runs):
    lateness = f"{median(runs, 'late_median') / 1000:.1f} / {median(runs, 'late_99') / 1000:.1f} / {max(r.late_most for r in runs) / 1000:.1f}"
    return (
        name, nodes, f"{median(runs, 'rate'):.0f}", *shares(runs), f"{median(runs, 'each_us'):.1f}", f"{median(runs, 'bytes'):.0f}", lateness,
    )


HEAD = ("contender", "nodes", "probes/s", "% of a core", "of all runs", "us a probe", "bytes a node", "late ms, median / 99 % / most")


def main():
    wait_for_quiet(0.7, float(os.environ.get("PRIMACY_BENCH_PATIENCE", "60")))
    with Workspace("primacy-bench-") as space:
        servers = [space.create(FLAVOUR).start() for _ in range(2)]
        for server in servers:
            server.wait_ready()
        ring(*servers)
        password = space.path / "probe.password"
        password.write_text(PROBE.password + "\n")
        password.chmod(0o600)
        recording = space.path / "recording"
        questions = record(servers[0], PROBE, password, recording)
        version = servers[0].version()
        for server in servers:
            server.shutdown()
        report = Report("fleet", f"Watching many nodes, answers of {version}; {RUNS} runs of {SECONDS} s each")
        request, answer = list(questions.items())[-1]
        report.line(f"request {len(request)} bytes, answer {len(answer)} bytes; pools of two, interval 1 s, loopback, no TLS")

        def library(nodes, interval="1000", login="1h", pool=2):
            command = ["library", nodes, pool, interval, login, SECONDS, "PORT", PROBE.user, password]
            return Run(recording, int(interval), command, nodes)

        rows, ours, bare = [], {}, {}
        for nodes in SIZES:
            ours[nodes], bare[nodes] = [], []
            for _ in range(RUNS):
                ours[nodes].append(library(nodes))
                bare[nodes].append(Run(recording, 1000, ["bare", nodes, recording, 1000, SECONDS, "PORT"], nodes))
            rows += [row("library", nodes, ours[nodes]), row("bare pairs", nodes, bare[nodes])]
        most = max(SIZES)
        rows.append(row("library, a login every 10 s", most, [library(most, login="10s") for _ in range(RUNS)]))
        report.line()
        report.table(HEAD, rows)
        report.line()
        report.line("Idle at the defaults (interval 500 ms, a login every 10 s), one pool of 2, pools of two else:")
        report.table(HEAD, [row("library", nodes, [library(nodes, "500", "10s") for _ in range(RUNS)]) for nodes in IDLE])
        report.line()
        report.line(f"at {most}: {ours[most][0].notes.removeprefix('fleet: ')}; {ours[most][0].threads} threads")
        share, memory = median(ours[most], "share"), median(ours[most], "bytes")
        times = statistics.median(a.share / b.share for a, b in zip(ours[most], bare[most]))
        least = min(nodes for nodes in SIZES if nodes >= 100) if most >= 100 else min(SIZES)
        straight = median(ours[most], "each_us") / median(ours[least], "each_us")
        for text, met in (
            (f"at most {AIM_SHARE:.0f} % of a core at {most} nodes: {share:.1f} %", share <= AIM_SHARE),
            (f"at most {AIM_BYTES} bytes a node: {memory:.0f}", memory <= AIM_BYTES),
            (f"at most {AIM_TIMES:g} times the bare pairs: {times:.2f}", times <= AIM_TIMES),
            (f"linear: a probe costs {straight:.2f} times at {most} what it costs at {least}", straight <= 1.25),
        ):
            report.line(f"aim, {text}: {'met' if met else 'MISSED'}")
        report.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
