"""The status table, live: drawn in place on a terminal, one line per change elsewhere."""

import sys
import threading
import time

COLOURS = {"ACTIVE": "32", "STANDBY": "36", "UNKNOWN": "33", "FAILED_ONLINE": "31", "FAILED_OFFLINE": "31"}


class Screen(threading.Thread):
    def __init__(self, pool):
        super().__init__(daemon=True)
        self.pool = pool
        self.live = sys.stdout.isatty()
        self.lock = threading.Lock()
        self.lines, self.drawn, self.last, self.running = [], 0, None, True
        self.began = time.time()

    def say(self, text):
        with self.lock:
            self.print(f"{time.time() - self.began:8.3f}  ==> {text}")

    def event(self, event):
        if str(event.kind) == "status" or not event.message:
            return
        where = event.node or event.pool
        with self.lock:
            self.print(f"{event.wall_ms / 1000 - self.began:8.3f}  [{event.rule}] {event.kind} {where}: {event.message}")

    def print(self, line):
        if self.live:
            self.erase()
        print(line, flush=True)
        if self.live:
            self.draw()

    def rows(self):
        rows = [("type", "node", "count", "status", "state", "rule")]
        for n in self.pool.nodes():
            count = "-" if n.count is None else str(n.count)
            rows.append((str(n.type), n.name, count, str(n.status), str(n.state), str(n.rule)))
        return rows

    def erase(self):
        if self.drawn:
            sys.stdout.write(f"\x1b[{self.drawn}A\x1b[J")
            self.drawn = 0

    def draw(self):
        rows = self.rows()
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths)]
            if row[4] in COLOURS:
                cells[4] = f"\x1b[{COLOURS[row[4]]}m{cells[4]}\x1b[0m"
            print("  " + "  ".join(cells))
        self.drawn = len(rows)
        sys.stdout.flush()

    def run(self):
        while self.running:
            with self.lock:
                if self.live:
                    self.erase()
                    self.draw()
                else:
                    rows = [(kind, name, state, status) for kind, name, _, status, state, _ in self.rows()[1:]]
                    if rows != self.last:
                        self.last = rows
                        at = time.time() - self.began
                        print(f"{at:8.3f}      " + "  |  ".join(" ".join(row) for row in rows), flush=True)
            time.sleep(0.05)

    def stop(self):
        self.running = False
        self.join(2)
