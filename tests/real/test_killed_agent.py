"""The agent itself, killed at random while a real ring fails over: the next one has the old or the new state, no epoch is used
twice, and a node that was being failed waits for `recover`."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

from servers import PROBE, Workspace, ring, wait_until

COMMAND = Path(os.environ.get("PRIMACY_COMMAND") or Path(__file__).resolve().parents[2] / "target" / "dist" / "primacy")
KILLS = int(os.environ.get("PRIMACY_TEST_KILLS", "10"))


def marked(cache):
    """Nodes of the cache document that were being failed or wait for `recover`."""
    names, node = [], None
    for line in cache.read_text().splitlines():
        if line.startswith("[node "):
            node = line[7:-2]
        elif line in ("intent = yes", "waits_for_recover = yes"):
            names.append(node)
    return set(names)


def test_the_agent_killed_at_random():
    seed = int(os.environ.get("PRIMACY_TEST_SEED", "0")) or random.randrange(1 << 32)
    print(f"PRIMACY_TEST_SEED={seed}")
    dice = random.Random(seed)
    with Workspace() as space:
        nodes = [space.create("mariadb").start() for _ in range(2)]
        for node in nodes:
            node.wait_ready()
        ring(*nodes)
        names = [f"{node.host}:{node.port}" for node in nodes]
        password = space.path / "password"
        password.touch(0o600)
        password.write_text(PROBE[1])
        config = space.path / "primacy.toml"
        config.write_text(
            f"""
            cache_file = "{space.path}/cache"
            [probe]
            user = "{PROBE[0]}"
            password_file = "{password}"
            interval = "50ms"
            confirm_interval = "10ms"
            timeout = "100ms"
            [pool.orders]
            failback = "manual"
            nodes = [ {{ address = "{names[0]}", type = "primary" }}, {{ address = "{names[1]}" }} ]
            """
        )
        cache = space.path / "cache"
        epochs = []

        def run(*words):
            return subprocess.run([COMMAND, "-c", config, *words], capture_output=True, text=True, timeout=30)

        def status():
            done = run("status", "--json")
            return json.loads(done.stdout)["pools"][0] if done.returncode == 0 else None

        def start():
            log = (space.path / "agent.log").open("w")
            process = subprocess.Popen([COMMAND, "-c", config, "run"], stderr=log)
            log.close()
            return process

        agent = start()
        barred = 0
        try:
            for kill in range(KILLS):
                where = f"seed {seed}, kill {kill}"
                wait_until(lambda: (status() or {}).get("active"), 30, lambda: f"{where}: {run('status').stdout}")
                before = status()
                active = names.index(before["active"])
                # The agent dies somewhere between the fault and what follows from it.
                nodes[active].sigstop() if dice.random() < 0.3 else nodes[active].kill9()
                time.sleep(dice.uniform(0.0, 0.12))
                agent.send_signal(signal.SIGKILL)
                agent.wait()
                waiting = marked(cache)
                barred += bool(waiting)
                agent = start()
                # Before anything is observed, and after: what was on record holds.
                wait_until(lambda: run("status", "--json").returncode == 0, 20, lambda: where)
                for node in waiting:
                    shown = next(n for n in status()["nodes"] if n["name"] == node)
                    assert shown["waits_for_recover"] and shown["state"].startswith("FAILED"), f"{where}: {shown}"
                now = status()
                assert now["epoch"] >= before["epoch"], f"{where}: {now}"
                if now["active"] != before["active"]:
                    assert now["epoch"] > before["epoch"], f"{where}: {now}"
                    assert now["epoch"] not in epochs, f"{where}: epoch {now['epoch']} again"
                    epochs.append(now["epoch"])
                if nodes[active].running():
                    nodes[active].sigcont()
                else:
                    nodes[active].restart()
                nodes[active].wait_ready()

                def healed():
                    pool = status()
                    if pool is None:
                        return False
                    for node in pool["nodes"]:
                        if node["waits_for_recover"]:
                            run("recover", node["name"])
                    return all(n["state"] in ("ACTIVE", "STANDBY") for n in pool["nodes"]) and pool["active"]

                wait_until(healed, 40, lambda: f"{where}: {run('explain').stdout}")
        finally:
            agent.kill()
            agent.wait()
    print(f"{KILLS} kills, {len(epochs)} roles moved over one, {barred} with a node that waited")
    assert barred, f"seed {seed}: no kill in the middle of a failure"
