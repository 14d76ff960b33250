"""The time of a whole check, from making its process to its end: `primacy up`, `is-active` and `report`, answered by the running
agent at its control socket and by the cache alone, beside `true` and `mysqladmin ping` against the same server.

All take turns in blocks. Settings: PRIMACY_BENCH_BLOCKS, PRIMACY_BENCH_SERVER, PRIMACY_COMMAND (default target/dist/primacy).
"""

import os
import shutil
import signal
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "tests")]

from report import FOLDER, ROOT, Report, quantile, wait_for_quiet  # noqa: E402
from servers import PROBE, Workspace, ring, wait_until  # noqa: E402

FLAVOUR = os.environ.get("PRIMACY_BENCH_SERVER", "mariadb")
BLOCKS = int(os.environ.get("PRIMACY_BENCH_BLOCKS", "9"))
#: Runs in a block.
RUNS = 40
COMMAND = Path(os.environ.get("PRIMACY_COMMAND") or ROOT / "target" / "dist" / "primacy")
AIM_MS = 3.0


def block(words):
    """Times of a block of runs, in milliseconds."""
    done = subprocess.run([FOLDER / "spawn", str(RUNS), *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{words}: {done.stderr}")
    return [float(line) / 1000 for line in done.stdout.split()]


def main():
    wait_for_quiet(0.7, float(os.environ.get("PRIMACY_BENCH_PATIENCE", "60")))
    with Workspace("primacy-bench-") as space:
        nodes = [space.create(FLAVOUR).start() for _ in range(2)]
        for node in nodes:
            node.wait_ready()
        ring(*nodes)
        password = space.path / "probe.password"
        password.touch(0o600)
        password.write_text(PROBE.password + "\n")
        names = [f"{node.host}:{node.port}" for node in nodes]
        config, alone = space.path / "primacy.toml", space.path / "alone.toml"
        text = f"""
            [probe]
            user = "{PROBE.user}"
            password_file = "{password}"
            rsa_public_key = "from-server"
            [pool.orders]
            nodes = [ {{ address = "{names[0]}", type = "primary" }}, {{ address = "{names[1]}" }} ]
            """
        config.write_text(f'cache_file = "{space.path}/cache"\n{text}')
        # The same state without anybody to ask.
        alone.write_text(f'cache_file = "{space.path}/alone"\ncontrol_socket = "none"\n{text}')
        log = (space.path / "agent.log").open("w")
        agent = subprocess.Popen([COMMAND, "-c", config, "run"], stderr=log)
        try:
            check = [COMMAND, "-c", config]

            def active():
                return subprocess.run([*check, "is-active", names[0]], capture_output=True).returncode == 0

            wait_until(active, 30, lambda: Path(log.name).read_text())
            cache = space.path / "cache"
            wait_until(lambda: cache.exists() and "state = ACTIVE" in cache.read_text(), 30, lambda: "the cache")
            shutil.copy(cache, space.path / "alone")
            contenders = {"true": [shutil.which("true")]}
            for word in ("up", "is-active", "report"):
                contenders[f"primacy {word}, agent"] = [*check, word, names[0]]
                contenders[f"primacy {word}, cache"] = [COMMAND, "-c", alone, word, names[0]]
            ping = ["-h", nodes[0].host, "-P", nodes[0].port, f"-u{PROBE.user}", f"-p{PROBE.password}", "ping"]
            contenders["mysqladmin ping"] = [shutil.which("mysqladmin"), "--no-defaults", "--protocol=tcp", *ping]
            times = {name: [] for name in contenders}
            order = list(contenders)
            for name in order:
                block(contenders[name])
            for turn in range(BLOCKS):
                # Nobody always runs behind the same neighbour.
                for name in order[turn % len(order) :] + order[: turn % len(order)]:
                    times[name] += block(contenders[name])
        finally:
            agent.send_signal(signal.SIGTERM)
            agent.wait(10)
            log.close()
        report = Report("command", f"A whole check, {nodes[0].version()}")
        report.line(f"{BLOCKS} blocks of {RUNS} runs each, in turns; milliseconds from making the process to its end")
        report.line()
        rows = []
        for name, values in times.items():
            cells = [statistics.median(values), min(values), quantile(values, 0.9), quantile(values, 0.99), max(values)]
            rows.append((name, *(f"{cell:.2f}" for cell in cells)))
        report.table(("contender", "median", "least", "90 %", "99 %", "most"), rows)
        report.line()
        for name in ("primacy up, agent", "primacy up, cache"):
            middle = statistics.median(times[name])
            word = "met" if middle < AIM_MS else "MISSED"
            report.line(f"aim: {name} under {AIM_MS:g} ms: median {middle:.2f} ms: {word}")
        report.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
