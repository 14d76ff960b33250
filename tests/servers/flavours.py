"""MariaDB and MySQL 9.7: how each is installed, initialised, started and made to replicate."""

import os
import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

from .accounts import REPLICATION
from .server import Server, ServerError
from .workspace import output

TOOLS = Path(__file__).resolve().parent.parent / "tools"

# A server per test is small, and keeps its promises over the death of its process but not over that of the machine: what a
# commit has written is with the kernel, not on the disk.
SMALL = [
    "--innodb-buffer-pool-size=32M",
    "--innodb-use-native-aio=OFF",
    "--innodb-flush-log-at-trx-commit=2",
    "--sync-binlog=0",
    "--max-connections=60",
]


def _as_root():
    return ["--user=root"] if os.geteuid() == 0 else []


def _auto_increment(server_id):
    # Both members of a circle may be written to in turn; their keys must not meet.
    return ["--auto-increment-increment=10", f"--auto-increment-offset={(server_id - 1) % 10 + 1}"]


class MariaDB(Server):
    """The machine's own MariaDB (Debian's mariadb-server-core)."""

    flavour = "mariadb"
    identified = "IDENTIFIED VIA mysql_native_password USING PASSWORD('{}')"
    # SLAVE MONITOR shows SHOW ALL SLAVES STATUS; BINLOG MONITOR shows SHOW BINLOG STATUS and the binary log's variables.
    probe_privileges = "SLAVE MONITOR, BINLOG MONITOR"
    status_statement = "SHOW ALL SLAVES STATUS"
    stop_statement = "STOP ALL SLAVES"
    start_statement = "START ALL SLAVES"

    @classmethod
    @lru_cache(maxsize=None)
    def _program(cls, name):
        found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if not found:
            raise ServerError(f"{name} is missing: run `make deps`")
        return found

    @classmethod
    @lru_cache(maxsize=None)
    def version(cls):
        return output([cls._program("mariadbd"), "--no-defaults", "--version"]).strip()

    @classmethod
    def _init_recipe(cls):
        return [
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--innodb-log-file-size=8M",
        ]

    @classmethod
    def _initialise(cls, folder):
        output([cls._program("mariadb-install-db"), *cls._init_recipe(), *_as_root(), f"--datadir={folder}"])

    @classmethod
    def _command(cls):
        return [
            cls._program("mariadbd"),
            "--no-defaults",
            *_as_root(),
            *SMALL,
            "--innodb-log-file-size=8M",
            "--skip-name-resolve",
        ]

    def _replication_options(self):
        return [
            "--log-bin=binlog",
            "--log-slave-updates",
            "--binlog-format=ROW",
            "--relay-log=relay",
            # After a crash the relay log may miss a file that its position names; replication would not start.
            "--relay-log-recovery=ON",
            "--gtid-strict-mode=ON",
            # Tries to connect: one a second, so that it outlasts every outage of a test.
            "--master-retry-count=86400",
            f"--gtid-domain-id={self.server_id}",
            f"--report-host={self.host}",
            f"--report-port={self.port}",
            *_auto_increment(self.server_id),
        ]

    def gtid_position(self):
        # Each server writes in a domain of its own, so the last number per domain says all. The current position (unlike that
        # of the binary log) moves after the engine's commit: what it names can be read.
        return ",".join(sorted(filter(None, self.value("@@gtid_current_pos").split(","))))

    def follow(self, source):
        if self.replica_status():
            self.stop_replication()
        self.sql(
            "CHANGE MASTER TO MASTER_HOST=%s, MASTER_PORT=%s, MASTER_USER=%s, MASTER_PASSWORD=%s,"
            " MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1, MASTER_HEARTBEAT_PERIOD=1",
            args=(source.host, source.port, *REPLICATION),
        )
        self.start_replication()


class MySQL(Server):
    """MySQL 9.7 from the tree that tests/tools/mysql97.sh keeps in the cache folder."""

    flavour = "mysql"
    identified = "IDENTIFIED WITH caching_sha2_password BY '{}'"
    # Shows SHOW REPLICA STATUS and SHOW BINARY LOG STATUS; the GTID and read-only variables need nothing.
    probe_privileges = "REPLICATION CLIENT"
    status_statement = "SHOW REPLICA STATUS"
    stop_statement = "STOP REPLICA"
    start_statement = "START REPLICA"

    @classmethod
    @lru_cache(maxsize=None)
    def tree(cls):
        """The tree's folder, fetched if missing."""
        done = subprocess.run([TOOLS / "mysql97.sh"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise ServerError(f"no MySQL 9.7: {done.stderr.strip()}")
        return Path(done.stdout.strip())

    @classmethod
    def _loader(cls):
        root = cls.tree()
        for machine, name in (("x86_64", "lib64/ld-linux-x86-64.so.2"), ("aarch64", "lib/ld-linux-aarch64.so.1")):
            if os.uname().machine == machine:
                return [root / "usr" / name, "--library-path", root / "usr" / "lib" / f"{machine}-linux-gnu"]
        raise ServerError(f"MySQL 9.7 is not packaged for {os.uname().machine}")

    @classmethod
    def router_command(cls):
        """The command that starts MySQL Router, to be followed by its options."""
        root = cls.tree()
        loader = cls._loader()
        loader[2] = f"{root}/usr/lib/mysql-router:{loader[2]}"
        return [*loader, root / "usr/bin/mysqlrouter"]

    @classmethod
    @lru_cache(maxsize=None)
    def version(cls):
        return output([*cls._loader(), cls.tree() / "usr/sbin/mysqld", "--no-defaults", "--version"]).strip()

    @classmethod
    def _init_recipe(cls):
        return ["--innodb-redo-log-capacity=8M"]

    @classmethod
    def _initialise(cls, folder):
        log = folder.parent / "initialise.log"
        output([*cls._command(), "--initialize-insecure", f"--datadir={folder}", f"--log-error={log}"], timeout=120)

    @classmethod
    def _command(cls):
        root = cls.tree()
        return [
            *cls._loader(),
            root / "usr/sbin/mysqld",
            "--no-defaults",
            *_as_root(),
            "--secure-file-priv=",
            f"--basedir={root}/usr",
            f"--lc-messages-dir={root}/usr/share/mysql",
            f"--character-sets-dir={root}/usr/share/mysql/charsets",
            f"--plugin-dir={root}/usr/lib/mysql/plugin",
            *SMALL,
            *cls._init_recipe(),
            # The X plugin would take a port of its own per server.
            "--mysqlx=OFF",
            "--skip-name-resolve",
        ]

    def _replication_options(self):
        return [
            "--log-bin=binlog",
            "--log-replica-updates=ON",
            "--relay-log=relay",
            "--relay-log-recovery=ON",
            "--gtid-mode=ON",
            "--enforce-gtid-consistency=ON",
            f"--report-host={self.host}",
            f"--report-port={self.port}",
            *_auto_increment(self.server_id),
        ]

    def gtid_position(self):
        return re.sub(r"\s", "", self.value("@@global.gtid_executed"))

    def follow(self, source):
        if self.replica_status():
            self.stop_replication()
        self.sql(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST=%s, SOURCE_PORT=%s, SOURCE_USER=%s, SOURCE_PASSWORD=%s,"
            " SOURCE_AUTO_POSITION=1, SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=86400, SOURCE_HEARTBEAT_PERIOD=1,"
            " GET_SOURCE_PUBLIC_KEY=1",
            args=(source.host, source.port, *REPLICATION),
        )
        self.start_replication()


FLAVOURS = {kind.flavour: kind for kind in (MariaDB, MySQL)}
