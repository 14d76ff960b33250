"""CPU per probe of a kept connection: the library beside a bare round trip, libmariadb and PyMySQL with the same query.

All contenders take turns in blocks, at the same spacing, against one of two MariaDB servers that replicate in a circle (or MySQL:
PRIMACY_BENCH_SERVER=mysql). `probe_cost`, built from the C file beside this one, runs all but PyMySQL, which runs here.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "tests")]

import pymysql  # noqa: E402
from pymysql.constants import CLIENT  # noqa: E402
from report import FOLDER, Report, load, spread, wait_for_quiet  # noqa: E402
from servers import PROBE, Workspace, ring  # noqa: E402

FLAVOUR = os.environ.get("PRIMACY_BENCH_SERVER", "mariadb")
BLOCKS = int(os.environ.get("PRIMACY_BENCH_BLOCKS", "9"))
#: Spacing in microseconds and operations a block. The library's interval starts at 10 ms.
SPACINGS = [(10_000, 100), (20_000, 100)]
#: Spacings that the library does not offer, for the others alone.
TIGHT = [(0, 1500), (2_000, 300)]
AIM_US = 8.0

LIBRARY = ["library, own thread", "library, host's loop"]
OTHERS = ["bare epoll round trip", "bare, answer in pieces", "libmariadb (C)", "PyMySQL"]


class Contenders:
    """Everybody who can run a block, by name."""

    def __init__(self, server, folder, query):
        password = folder / "probe.password"
        self.server, self.query = server, query
        self.program = subprocess.Popen(
            [FOLDER / "probe_cost", server.host, str(server.port), PROBE.user, password, query],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        learnt = self._ask("block thread 10000 50")
        self.request, self.answer, self.pieces = round(learnt[3]), round(learnt[4]), max(1, round(learnt[5]))
        # The pause between two pieces is what the server needs for the next statement: about half its time.
        self.pause = round(self._ask("block libmariadb 2000 200")[2] / 2)

    def _ask(self, line):
        self.program.stdin.write(line + "\n")
        self.program.stdin.flush()
        answer = self.program.stdout.readline().split()
        if not answer or answer[0] != "ok":
            raise SystemExit(f"probe_cost gave up on: {line}")
        return [float(word) for word in answer[1:]]

    def run(self, name, gap_us, count):
        """CPU and wall time of one operation, in microseconds."""
        if name == "PyMySQL":
            return self._pymysql(gap_us, count)
        if name.startswith("bare"):
            pieces, pause = (1, 0) if name == OTHERS[0] else (self.pieces, self.pause)
            self._ask(f"echo {self.request} {self.answer} {pieces} {pause}")
        word = {LIBRARY[0]: "thread", LIBRARY[1]: "host", OTHERS[2]: "libmariadb"}.get(name, "bare")
        _, cpu, wall, *_ = self._ask(f"block {word} {gap_us} {count}")
        return cpu, wall

    def _pymysql(self, gap_us, count):
        connection = pymysql.connect(
            host=self.server.host, port=self.server.port, user=PROBE.user, password=PROBE.password, autocommit=True,
            client_flag=CLIENT.MULTI_STATEMENTS,
        )
        walls, cpu, at = [], 0, time.monotonic()
        with connection.cursor() as cursor:
            for i in range(-25, count):
                if i == 0:
                    cpu = time.thread_time_ns()
                at += gap_us / 1e6
                time.sleep(max(0.0, at - time.monotonic()) if gap_us else 0)
                started = time.monotonic_ns()
                cursor.execute(self.query)
                while cursor.nextset():
                    pass
                if i >= 0:
                    walls.append((time.monotonic_ns() - started) / 1000)
        cpu = (time.thread_time_ns() - cpu) / 1000 / count
        connection.close()
        return cpu, statistics.median(walls)

    def close(self):
        self.program.stdin.close()
        self.program.wait(10)


def learn_query(server, folder):
    """The library's own question on a kept connection, from the server's general log."""
    server.sql("SET GLOBAL log_output = 'TABLE'")
    server.sql("SET GLOBAL general_log = 1")
    program = [FOLDER / "probe_cost", server.host, str(server.port), PROBE.user, folder / "probe.password", "-"]
    subprocess.run(program, input="block thread 20000 20\n", stdout=subprocess.DEVNULL, text=True, check=True)
    server.sql("SET GLOBAL general_log = 0")
    asked = server.sql(
        "SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log"
        f" WHERE user_host LIKE '{PROBE.user}[%' AND command_type = 'Query' ORDER BY event_time"
    )
    asked = [row[0].strip().rstrip(";") for row in asked]
    # MariaDB logs the text as it came, MySQL statement by statement.
    last = max(i for i, text in enumerate(asked) if text.startswith("SELECT"))
    return "; ".join(asked[last : last + 2] if ";" not in asked[last] else asked[last : last + 1])


def micros(values, ops=1):
    middle, least, most = spread(values)
    return f"{middle:.1f}", f"{least:.1f} to {most:.1f}"


def measure(report, contenders, names, gap_us, count):
    results = {name: [] for name in names}
    for block in range(BLOCKS):
        # Nobody always runs behind the same neighbour.
        for name in names[block % len(names) :] + names[: block % len(names)]:
            results[name].append(contenders.run(name, gap_us, count))
    report.line()
    report.line(
        f"{gap_us / 1000:g} ms apart: {BLOCKS} blocks of {count}" if gap_us else f"back to back: {BLOCKS} blocks of {count}"
    )
    rows, medians = [], {}
    for name in names:
        cpu, walls = zip(*results[name])
        medians[name] = statistics.median(cpu)
        wall = micros(walls)[0] if any(walls) else "-"
        # Blocks run side by side in time, so the difference of neighbours says more than that of the medians.
        over = statistics.median(a[0] - b[0] for a, b in zip(results[name], results[OTHERS[0]]))
        rows.append((name, *micros(cpu), f"{over:+.1f}", wall))
    report.table(("contender", "CPU us, median", "of all blocks", "over bare", "wall us"), rows)
    return medians


def main():
    wait_for_quiet(0.7, float(os.environ.get("PRIMACY_BENCH_PATIENCE", "60")))
    with Workspace("primacy-bench-") as space:
        nodes = [space.create(FLAVOUR).start() for _ in range(2)]
        for node in nodes:
            node.wait_ready()
        ring(*nodes)
        password = space.path / "probe.password"
        password.write_text(PROBE.password + "\n")
        password.chmod(0o600)
        query = learn_query(nodes[0], space.path)
        contenders = Contenders(nodes[0], space.path, query)
        report = Report("probe-cost", f"CPU of the prober per probe of a kept connection, {nodes[0].version()}")
        report.line(f"the question: {query}")
        report.line(f"request {contenders.request} bytes, answer {contenders.answer} bytes in {contenders.pieces} pieces")
        overs = []
        for gap_us, count in SPACINGS:
            medians = measure(report, contenders, LIBRARY + OTHERS, gap_us, count)
            overs.append((gap_us, [medians[name] - medians[OTHERS[0]] for name in LIBRARY]))
        for gap_us, count in TIGHT:
            measure(report, contenders, OTHERS, gap_us, count)
        report.line()
        for gap_us, (own, hosts) in overs:
            word = "met" if own <= AIM_US else "MISSED"
            report.line(
                f"aim, {gap_us / 1000:g} ms apart: a bare round trip plus {AIM_US:g} us; own thread {own:+.1f} us: {word},"
                f" host's loop {hosts:+.1f} us: {'met' if hosts <= AIM_US else 'MISSED'}"
            )
        report.close()
        contenders.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
