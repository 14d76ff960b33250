"""The picture of a run: who held the address, and what the clients saw."""

from html import escape

from servers.router_tier import PORTS

WIDTH, LEFT, LANE = 1180, 150, 24
GREEN, PALE, RED, GREY = "#74c476", "#e5f5e0", "#de2d26", "#bdbdbd"


class Picture:
    def __init__(self, demo):
        self.demo = demo
        self.begin, self.end = demo.began, demo.ended_at
        self.parts = []
        self.y = 66

    def x(self, at):
        at = min(max(at, self.begin), self.end)
        return LEFT + (at - self.begin) * (WIDTH - LEFT - 16) / (self.end - self.begin)

    def bar(self, since, until, colour, height=16, title="", least=1.0):
        width = max(self.x(until) - self.x(since), least)
        tip = f"<title>{escape(title)}</title>" if title else ""
        self.parts.append(f'<rect x="{self.x(since):.1f}" y="{self.y + (16 - height) // 2}" width="{width:.1f}" height="{height}" '
                          f'fill="{colour}">{tip}</rect>')

    def lane(self, name):
        self.y += LANE
        self.parts.append(f'<text x="12" y="{self.y + 13}">{escape(name)}</text>')

    def draw(self):
        demo = self.demo
        for name, holder in demo.holders.items():
            self.lane(f"{name}")
            self.bar(self.begin, self.end, "#f0f0f0")
            for host, since, until, words in demo.downs:
                if host == name:
                    self.bar(since, until or self.end, "#fcae91", title=f"{words} down", least=2)
            for since, until in holder.spans:
                self.bar(since, until or self.end, GREEN, title="has the address")
        self.y += 8
        for family, ping in demo.pings.items():
            self.lane(f"ping {family}")
            self.bar(self.begin, self.end, PALE)
            for since, until in ping.outages():
                self.bar(since, until, RED, title=f"{(until - since) * 1000:.0f} ms without an echo", least=1.5)
        for port, (protocol, role) in PORTS.items():
            self.lane(f"{port} {protocol} {role}")
            for (family, number), asker in demo.askers.items():
                if number != port:
                    continue
                self.y += -4 if family == "IPv4" else 8
                for at, took, server, words in asker.answers:
                    good = server is not None and not words
                    self.bar(at, at + took, "#31a354" if good else RED, 6, f"{family}: {'db%s' % server if good else words}", 1.2)
                self.y -= -4 if family == "IPv4" else 8
        for family, session in demo.sessions.items():
            self.lane(f"session {family}")
            self.bar(self.begin, self.end, PALE)
            for began, lost, words, again in session.breaks:
                if lost > began + session.pause + 0.3:
                    self.bar(began + session.pause, lost, "#fcae91", title="waits for an answer that does not come")
                self.bar(lost, again or self.end, RED, title=f"lost: {words}", least=1.5)
        bottom = self.y + 26
        for second in range(0, int(self.end - self.begin) + 1, 5):
            at = self.x(self.begin + second)
            self.parts.append(f'<line x1="{at:.1f}" y1="{bottom}" x2="{at:.1f}" y2="{bottom + 5}" stroke="#555"/>')
            self.parts.append(f'<text x="{at - 8:.1f}" y="{bottom + 18}" font-size="11">{second} s</text>')
        self.parts.append(f'<line x1="{LEFT}" y1="{bottom}" x2="{WIDTH - 16}" y2="{bottom}" stroke="#555"/>')
        low = bottom + 38
        for at, words, moved, silent, sessions in demo.rows():
            x = self.x(at)
            self.parts.append(f'<line x1="{x:.1f}" y1="84" x2="{x:.1f}" y2="{low - 4}" stroke="#444" stroke-dasharray="3,3"/>')
            if moved:
                # The operator's command takes its time to start, which costs clients nothing.
                asked = words.startswith("move")
                words += (f": nobody had it for {demo.nobody(moved):.0f} ms" if asked
                          else f" \u2192 on {moved[1]} after {(moved[0] - at) * 1000:.0f} ms")
            if (worst := max(silent.values())) >= 15:
                words += f", {worst:.0f} ms without an echo"
            anchor, shift = ("end", -6) if x > WIDTH * 0.55 else ("start", 6)
            self.parts.append(f'<text x="{x + shift:.1f}" y="{low}" text-anchor="{anchor}" font-size="12">{escape(words)}</text>')
            low += 18
        return low

    def save(self, path):
        height = self.draw()
        path.parent.mkdir(parents=True, exist_ok=True)
        head = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">',
            f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
            '<text x="12" y="26" font-size="17">Primacy: one address, three hosts with MySQL Router 9.7, three databases</text>',
            '<text x="12" y="48" fill="#444">green: has the address, or an answer from the right kind of server (above IPv4, below IPv6); '
            "red: none; orange: the host or its router is down, or a session hangs</text>",
        ]
        path.write_text("\n".join([*head, *self.parts, "</svg>"]) + "\n", encoding="utf-8")
