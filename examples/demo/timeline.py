"""What happened when: the list and the picture."""

from html import escape

STATES = {
    "UNKNOWN": "#d9d9d9",
    "STANDBY": "#9ecae1",
    "ACTIVE": "#74c476",
    "FAILED_ONLINE": "#fdae6b",
    "FAILED_OFFLINE": "#fb6a4a",
}


class Timeline:
    def __init__(self, nodes):
        self.nodes = nodes
        self.events, self.writes, self.marks = [], [], []
        self.fault_at = None

    def event(self, event):
        self.events.append(event)

    def write(self, at, node, good):
        self.writes.append((at, node, good))

    def mark(self, at, text):
        self.marks.append((at, text))

    def fault(self, at):
        self.fault_at = at

    def moments(self):
        """The doubt, the switch and the first good write after the fault; each may be None."""
        after = self.after_the_fault()
        doubt = next((e for e in after if e.kind == "doubt"), None)
        switch = next((e for e in after if e.kind == "switch"), None)
        first = next((w for w in self.writes if switch and w[0] * 1000 >= switch.wall_ms and w[2]), None)
        return doubt, switch, first

    def after_the_fault(self):
        return [e for e in self.events if e.wall_ms / 1000 >= self.fault_at - 0.002]

    def report(self, out):
        """The moments that matter, in milliseconds from the fault, with the rules that decided."""
        doubt, switch, first = self.moments()
        kinds = ("switch", "hand_over", "stranded", "command")
        back = [e for e in self.after_the_fault() if e.kind in kinds and e is not switch]
        print("\nwhat happened when (ms after the fault):", file=out)
        self.line(out, self.fault_at, 0, "fault: kill -9 of the ACTIVE node")
        for event, word in ((doubt, "first doubt"), (switch, "switch")):
            if event is not None:
                self.line(out, event.wall_ms / 1000, event.rule, f"{word}: {event.message}")
        if first is not None:
            self.line(out, first[0], 0, f"first good write, on {first[1]}")
        for event in back:
            self.line(out, event.wall_ms / 1000, event.rule, f"{event.kind}: {event.message}")

    def caption(self):
        doubt, switch, first = self.moments()
        parts = ["kill -9"]
        for event, word in ((doubt, "first doubt"), (switch, "switch")):
            if event is not None:
                parts.append(f"{word} after {event.wall_ms - self.fault_at * 1000:.0f} ms (rule {event.rule})")
        if first is not None:
            parts.append(f"first good write after {(first[0] - self.fault_at) * 1000:.0f} ms")
        return " \u2192 ".join(parts)

    def line(self, out, at, rule, text):
        number = f"rule {rule}" if rule else ""
        print(f"  {(at - self.fault_at) * 1000:10.0f}  {number:9} {text}", file=out)

    def save(self, path, flavour):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.svg(flavour), encoding="utf-8")

    def svg(self, flavour):
        times = [w[0] for w in self.writes] + [e.wall_ms / 1000 for e in self.events]
        begin, end = min(times), max(times)
        width, left, lane = 1120, 170, 46
        scale = (width - left - 20) / max(end - begin, 1e-9)

        def x(at):
            return left + (at - begin) * scale

        height = 132 + lane * (len(self.nodes) + 1) + 22 * len(self.marks)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            'font-family="sans-serif" font-size="13">',
            f'<rect width="{width}" height="{height}" fill="white"/>',
            f'<text x="16" y="26" font-size="17">Primacy: fail-over and hand-back of two {escape(flavour)} servers</text>',
            f'<text x="16" y="48" fill="#444">{escape(self.caption())}</text>',
        ]
        top = 72
        for i, node in enumerate(self.nodes):
            y = top + i * lane
            parts.append(f'<text x="16" y="{y + 20}">{escape(node)}</text>')
            for start, stop, state in self.spans(node, begin, end):
                parts.append(
                    f'<rect x="{x(start):.1f}" y="{y}" width="{max(x(stop) - x(start), 0.6):.1f}" height="30" '
                    f'fill="{STATES[state]}"><title>{state}</title></rect>'
                )
                if x(stop) - x(start) > 9 * len(state):
                    parts.append(f'<text x="{x(start) + 6:.1f}" y="{y + 20}" font-size="11">{state}</text>')
        y = top + len(self.nodes) * lane
        parts.append(f'<text x="16" y="{y + 20}">writes</text>')
        for at, _, good in self.writes:
            colour, size = ("#31a354", 14) if good else ("#de2d26", 30)
            parts.append(f'<rect x="{x(at):.1f}" y="{y + 30 - size}" width="0.7" height="{size}" fill="{colour}"/>')
        axis = y + 44
        parts.append(f'<line x1="{left}" y1="{axis}" x2="{width - 20}" y2="{axis}" stroke="#555"/>')
        for second in range(int(end - begin) + 1):
            at = x(begin + second)
            parts.append(f'<line x1="{at:.1f}" y1="{axis}" x2="{at:.1f}" y2="{axis + 5}" stroke="#555"/>')
            if second % 2 == 0:
                parts.append(f'<text x="{at - 6:.1f}" y="{axis + 18}" font-size="11">{second} s</text>')
        for i, (at, text) in enumerate(self.marks):
            low = axis + 42 + 22 * i
            parts.append(
                f'<line x1="{x(at):.1f}" y1="{top - 6}" x2="{x(at):.1f}" y2="{low - 4}" stroke="#444" '
                'stroke-dasharray="3,3"/>'
            )
            anchor, shift = ("end", -6) if x(at) > width * 0.6 else ("start", 6)
            parts.append(f'<text x="{x(at) + shift:.1f}" y="{low}" text-anchor="{anchor}">{escape(text)}</text>')
        parts.append("</svg>")
        return "\n".join(parts) + "\n"

    def spans(self, node, begin, end):
        state, since = "UNKNOWN", begin
        for event in self.events:
            if event.node == node and event.kind == "state":
                at = event.wall_ms / 1000
                yield since, at, state
                state, since = str(event.new_state), at
        yield since, end, state
