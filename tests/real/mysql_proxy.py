"""MySQL Proxy's stand-in (tests/lua/mysql_proxy) as a process of a test."""

import subprocess
import sys
from pathlib import Path

import pymysql

ROOT = Path(__file__).resolve().parents[2]
FRONT = ROOT / "tests" / "lua" / "mysql_proxy" / "front.py"
ADMIN = ("root", "proxy-secret")


class Proxy:
    """A proxy in front of these servers; `settings` is the text of the script's settings table."""

    def __init__(self, folder, servers, settings, name="proxy", read_only=()):
        self.folder = Path(folder)
        self.name = name
        password = self.folder / f"{name}.password"
        password.write_text(ADMIN[1] + "\n")
        password.chmod(0o600)
        (self.folder / f"{name}.lua").write_text(f"return {{ {settings} }}\n")
        self.command = [
            sys.executable, FRONT, "--admin-username", ADMIN[0], "--admin-password-file", password,
            "--settings", self.folder / f"{name}.lua", "--lua-cpath", ROOT / "target" / "lua" / "5.1" / "?.so",
        ]
        for server in servers:
            self.command += ["--proxy-backend-addresses", server.address]
        for server in read_only:
            self.command += ["--proxy-read-only-backend-addresses", server.address]
        self.admin_port = self.port = 0
        self.process = None
        self.log = self.folder / f"{name}.log"

    def start(self):
        """Start it, at the ports that it had before."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*map(str, self.command), "--admin-address", f"127.0.0.1:{self.admin_port}", "--proxy-address", f"127.0.0.1:{self.port}"],
                stdout=subprocess.PIPE, stderr=log, text=True,
            )
        ready = self.process.stdout.readline().split()
        assert ready[:1] == ["ready"], self.log.read_text()
        ports = dict(word.split("=") for word in ready[1:])
        self.admin_port, self.port = (int(ports[key].rpartition(":")[2]) for key in ("admin", "proxy"))
        return self

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def connect(self, user, password, **options):
        """A client through the proxy."""
        patience = {"connect_timeout": 10, "read_timeout": 20}
        return pymysql.connect(host="127.0.0.1", port=self.port, user=user, password=password, **{**patience, **options})

    def admin(self, *commands):
        """Commands on the admin plugin; the last one's rows."""
        with pymysql.connect(host="127.0.0.1", port=self.admin_port, user=ADMIN[0], password=ADMIN[1], connect_timeout=10, read_timeout=20) as admin:
            with admin.cursor() as cursor:
                for command in commands:
                    cursor.execute(command)
                return cursor.fetchall()

    def show(self):
        """MPP SHOW ALL as {node: {"group.element": value}}."""
        made = {}
        for node, group, element, value in self.admin("MPP SHOW ALL"):
            made.setdefault(node, {})[f"{group}.{element}"] = value
        return made

    def tell(self, server, state, status="OK", kind="SECONDARY"):
        """Initialise a node and say what it is."""
        node = server.address
        self.admin(f"MPP INITIALIZE {node} TYPE {kind}", f"MPP SET {node} STATE {state}", f"MPP SET {node} STATUS {status}")
