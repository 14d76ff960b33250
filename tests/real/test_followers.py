"""Three processes over one cache and a real ring: one decides, two follow, and one of them decides once it is killed."""

import os
import signal

from .host import HostProgram
from .watch import configuration


def test_followers_see_what_the_decider_sees_and_take_over(rings, secret, tmp_path):
    ring = rings("mariadb").mend()
    a, b = (node.address for node in ring.nodes)
    text = configuration(
        ring.nodes,
        probe={"interval": "100ms", "confirm_interval": "20ms", "timeout": "250ms"},
        top={"cache_file": tmp_path / "cache", "on_locked": "follow"},
        password_file=secret,
    )
    with HostProgram(text) as first:
        first.settled(a)
        with HostProgram(text) as second, HostProgram(text) as third:
            programs = {first, second, third}
            for follower in (second, third):
                follower.settled(a)
                [told] = follower.found("follows")
                assert f"process {first.process.pid} decides" in told["message"]
            epoch = first.ask()["epoch"]

            # A server dies: all see the switch.
            ring.a.kill9()
            for program in programs:
                program.until(lambda *n: [x["state"] for x in n] == ["FAILED_OFFLINE", "ACTIVE"], 20, "the switch")
                switch = [event for event in program.found("switch") if event["node"] == b]
                assert len(switch) == 1, program.ask()
            switched = first.ask()["epoch"]
            assert switched > epoch
            assert {program.ask()["epoch"] for program in programs} == {switched}

            # The decider dies: one of the others decides, from where it was.
            os.kill(first.process.pid, signal.SIGKILL)
            first.process.wait()
            second.until(lambda *n: n[1]["state"] == "ACTIVE" and n[1]["cause"] == "ok", 20, "another decider")
            led = [p for p in (second, third) if any("this one does from now on" in e["message"] for e in p.found("follows"))]
            assert len(led) == 1, [[(e["message"], p.process.pid) for e in p.found("follows")] for p in (second, third)]
            [decider] = led
            [follower] = {second, third} - {decider}
            follower.until(lambda *n: n[1]["cause"] == "ok", 20, "the new decider's observations")
            assert follower.ask()["epoch"] == decider.ask()["epoch"] >= switched
            assert any(f"process {decider.process.pid} decides" in e["message"] for e in follower.found("follows"))

            # And what happens from now on it sees too.
            seen = follower.nodes()[1]["observed"]
            follower.until(lambda *n: n[1]["observed"] > seen, 10, "further observations")
    ring.mend()
