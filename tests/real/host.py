"""A host program of the library in a process of its own: to be stopped, given another clock, or another resolver."""

import json
import os
import subprocess
import sys

from servers import wait_until

from .watch import POOL



def own_files(files):
    """Words before a command that gives it files of its own, {file: path that it takes the place of}, in a mount namespace."""
    mounts = " && ".join(f"mount --bind {file} {path}" for file, path in files.items())
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'{mounts} && exec "$@"', "sh"]


SCRIPT = """
import json, sys, time
sys.path[:0] = {paths!r}
import primacy

with primacy.Instance(primacy.Config(sys.argv[1])) as p:
    queue = p.events(capacity=65536)
    p.start()
    pool = p.pool({pool!r})
    events = []
    for line in sys.stdin:
        for e in queue:
            events.append(dict(kind=str(e.kind), node=e.node, rule=e.rule, cause=str(e.cause), message=e.message,
                mono=e.mono_ns / 1e9, wall=e.wall_ms / 1000, severity=str(e.severity)))
        nodes = [dict(name=n.name, state=str(n.state), status=str(n.status), cause=str(n.cause), count=n.count,
            message=n.message, observed=n.observed_ms / 1000) for n in pool.nodes()]
        print(json.dumps(dict(nodes=nodes, events=events, wall=time.time(), epoch=pool.epoch)), flush=True)
"""


class HostProgram:
    """Runs a configuration until it is closed. `prefix` is put before the command, `environment` added to it."""

    def __init__(self, text, prefix=(), environment=()):
        script = SCRIPT.format(paths=[path for path in sys.path if path], pool=POOL)
        self.process = subprocess.Popen(
            [*map(str, prefix), sys.executable, "-c", script, text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **dict(environment)},
        )

    def ask(self):
        """Nodes, all events so far, the program's clock."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline().strip()
        assert line, "the program has ended"
        return json.loads(line)

    def nodes(self):
        return self.ask()["nodes"]

    def found(self, kind):
        return [event for event in self.ask()["events"] if event["kind"] == kind]

    def until(self, condition, timeout, what):
        return wait_until(lambda: condition(*self.nodes()), timeout, lambda: f"{what}: {self.ask()}", every=0.05)

    def settled(self, active, timeout=20):
        """Wait until the node of this address has the role and everything is in good order."""

        def good(*nodes):
            return all(
                n["cause"] == "ok" and n["status"] == "OK" and n["state"] == ("ACTIVE" if n["name"] == active else "STANDBY")
                for n in nodes
            )

        self.until(good, timeout, f"{active} ACTIVE, the others STANDBY, all OK")
        return self

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
