"""The router tier's demo: three hosts with MySQL Router, one floating address, three databases, and clients that run all the while.

Run it by `make demo-tier` as root. Every host is a network namespace; MySQL and MySQL Router are real. It tells at the end what
each step cost the clients, and draws the picture.
"""

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from servers import ServerError, Workspace, wait_until  # noqa: E402
from servers.flavours import MySQL  # noqa: E402
from servers.router_tier import PORTS, VIP4, VIP6, RouterTier  # noqa: E402
from servers.tier_clients import Asker, Holder, Ping, Session  # noqa: E402

from picture import Picture  # noqa: E402

PICTURE = ROOT / "target" / "demo" / "tier.svg"
FAMILIES = {"IPv4": VIP4, "IPv6": VIP6}


class Demo:
    """The story: who does what, in which order."""

    def __init__(self, space):
        self.tier = RouterTier(space, failure_timeout="4s")
        client = self.tier.client
        self.pings = {family: Ping(client, address) for family, address in FAMILIES.items()}
        self.holders = {host.name: Holder(host, every=0.005) for host in self.tier.hosts}
        self.askers = {(family, port): Asker(client, address, port, every=0.4) for family, address in FAMILIES.items() for port in PORTS}
        self.sessions = {family: Session(client, address, pause=0.4) for family, address in FAMILIES.items()}
        # (when, words, host): the steps. (host, from, to, words): a host, its router or its agent is down.
        self.steps, self.downs = [], []
        self.began = time.time()

    def clients(self):
        return [*self.pings.values(), *self.holders.values(), *self.askers.values(), *self.sessions.values()]

    def step(self, words, at=None):
        at = at or time.time()
        self.steps.append((at, words))
        print(f"{at - self.began:8.3f}  ==> {words}", flush=True)
        return at

    def wait(self, name):
        self.tier.wait_holder(name)
        print(f"{time.time() - self.began:8.3f}      the address is on {name}", flush=True)

    def down(self, host, since, words):
        self.downs.append([host.name, since, None, words])

    def up(self, host):
        for entry in self.downs:
            if entry[0] == host.name and entry[2] is None:
                entry[2] = time.time()

    def run(self):
        tier = self.tier
        try:
            print(f"starting three MySQL servers ({MySQL.version()}), three routers and three agents in {tier.space.path} …", flush=True)
            tier.start()
            tier.wait_settled("rt1")
            self.began = time.time()
            for client in self.clients():
                client.start()
            self.story()
        finally:
            for client in self.clients():
                client.running = False
            for client in self.clients():
                if client.ident:
                    client.join(10)
            tier.close()
        for client in self.clients():
            if client.error:
                raise client.error
        picture = Picture(self)
        picture.save(PICTURE)
        outcome = self.report()
        print(f"picture: {PICTURE.relative_to(ROOT)}")
        return outcome

    def in_order(self):
        tier = self.tier
        wait_until(lambda: all(tier.sees_all(host) for host in tier.hosts), 40, lambda: f"all in order: {tier.story()}", every=0.2)

    def story(self):
        tier = self.tier
        rt1, rt2, rt3 = tier.hosts
        self.step("all four ports over the address, IPv4 and IPv6, each with its client")
        time.sleep(2)
        for name in ("rt2", "rt1", "rt3"):
            self.step(f"move to {name}", tier.move(name))
            self.wait(name)
            time.sleep(1.5)
        self.in_order()
        self.step("move to rt1", tier.move("rt1"))
        self.wait("rt1")
        time.sleep(1.5)
        self.in_order()
        killed = rt1.router_pid()
        at = self.step("kill -9 of the router on rt1", rt1.kill_router())
        self.down(rt1, at, "router")
        self.wait("rt2")
        wait_until(lambda: rt1.router_pid() != killed and rt1.router_runs(), 20, "the agent starts the router anew")
        self.up(rt1)
        self.step("the agent of rt1 has started its router anew")
        time.sleep(5)
        self.in_order()
        at = self.step("crash of rt2: its line is out, its agent is killed")
        self.down(rt2, at, "crashed")
        rt2.pull()
        rt2.kill_agent()
        wait_until(lambda: tier.holders() in (["rt1"], ["rt1", "rt2"]), 20, lambda: f"rt1 takes over: {tier.story()}")
        print(f"{time.time() - self.began:8.3f}      the address is on rt1", flush=True)
        wait_until(lambda: not rt2.holds(), 10, "the kernel of rt2 lets go by itself")
        rt2.plug()
        rt2.start_agent()
        self.step("rt2 is back")
        self.up(rt2)
        time.sleep(1)
        self.in_order()
        self.stopped_at = self.step("all databases are stopped")
        for server in tier.servers:
            server.kill9()
        time.sleep(5)
        self.step("all databases are started")
        for server in tier.servers:
            server.start()
        for server in tier.servers:
            server.wait_ready(60)
        self.started_at = time.time()
        time.sleep(4)
        self.step("the end of the story")
        self.ended_at = time.time()

    # What it comes to.

    def moved(self, at, until):
        """The first time after `at` that a host got the address, and which."""
        found = [(span[0], name) for name, holder in self.holders.items() for span in holder.spans if at < span[0] < until]
        return min(found, default=None)

    def nobody(self, moved):
        """For how long nobody had the address before it came there, in ms."""
        ends = [span[1] for holder in self.holders.values() for span in holder.spans if span[1] and span[1] <= moved[0] + 0.01]
        return max(0.0, moved[0] - max(ends)) * 1000 if ends else 0.0

    def rows(self):
        """For each step: when, words, who got the address and when, ms without an echo, what became of the open sessions."""
        ends, told = [at for at, _ in self.steps[1:]] + [self.ended_at], set()
        for (at, words), until in zip(self.steps, ends):
            moved = self.moved(at, until)
            silent = {
                family: max((b - a for a, b in ping.outages(at - 0.05, until)), default=0.0) * 1000 for family, ping in self.pings.items()
            }
            sessions = {}
            for family, session in self.sessions.items():
                # The one whose query was under way, or sent while nobody had the address; told once.
                found = [entry for entry in session.breaks if entry[0] <= at + 0.4 and at <= entry[1] and id(entry) not in told]
                told.update(map(id, found[:1]))
                if found:
                    lost, again = found[0][1] - at, (found[0][3] - at) if found[0][3] else None
                    sessions[family] = f"{lost * 1000:.0f}/{again * 1000:.0f}" if again else f"{lost * 1000:.0f}/never"
            yield at, words, moved, silent, sessions

    def report(self):
        print("\nwhat each step cost, in ms (address: who has it, and how long after the step or the start of the operator's command; "
              "nobody:\nhow long none had it; echo: the longest time without one; session: lost / answered again, from the step on):")
        print(f"  {'at s':>6}  {'step':52} {'address':>9} {'nobody':>6}  {'echo v4':>7}  {'echo v6':>7}  {'session v4':>11}  {'session v6':>11}")
        for at, words, moved, silent, sessions in self.rows():
            where = f"{moved[1]} {(moved[0] - at) * 1000:.0f}" if moved else "stays"
            nobody = f"{self.nobody(moved):.0f}" if moved else "-"
            print(f"  {at - self.began:6.1f}  {words:52.52} {where:>9} {nobody:>6}  {silent['IPv4']:7.0f}  {silent['IPv6']:7.0f}  "
                  f"{sessions.get('IPv4', '-'):>11}  {sessions.get('IPv6', '-'):>11}")
        print("\nanswers by port (right kind of server / wrong kind / none):")
        wrong_any = 0
        for (family, port), asker in self.askers.items():
            good, wrong = len(asker.good()), len(asker.wrong())
            wrong_any += wrong
            protocol, role = PORTS[port]
            print(f"  {family} {port:5} {protocol:7} {role}: {good} / {wrong} / {len(asker.answers) - good - wrong}")
        moves = sum(1 for holder in self.holders.values() for span in holder.spans if self.stopped_at < span[0])
        print(f"\nmoves from the stop of all databases on: {moves}")
        late = [(family, port) for (family, port), asker in self.askers.items()
                if not any(at > self.started_at for at, *_ in asker.good())]
        if late:
            ports = ", ".join(sorted({str(port) for _, port in late}))
            print(f"without an answer since the databases are back: {ports}; static X routes whose servers were all out of reach "
                  "stay so until the router is started anew")
        classic_back = not any(PORTS[port][0] == "classic" for _, port in late)
        return 0 if moves == 0 and wrong_any == 0 and classic_back else 1


def main():
    try:
        with Workspace("primacy-tier-") as space:
            return Demo(space).run()
    except (ServerError, OSError) as error:
        print(f"demo-tier: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
