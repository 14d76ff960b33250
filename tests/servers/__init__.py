"""Real database servers for tests, the demo and the benches.

    from servers import Workspace, ring, wait_converged

    with Workspace() as space:
        a, b = (space.create("mariadb").start() for _ in range(2))
        for node in (a, b):
            node.wait_ready()
        ring(a, b)

Everything lives in one temporary folder and dies with the process that made it.
"""

from .accounts import APP, APP_SCHEMA, PROBE, REPLICATION, ROOT
from .flavours import FLAVOURS, MariaDB, MySQL
from .server import Server, ServerError
from .topology import chain, ring, star, state, wait_converged, wait_replicating, wait_until
from .workspace import NetNs, Workspace, cache_folder, free_port

__all__ = [
    "APP",
    "APP_SCHEMA",
    "FLAVOURS",
    "MariaDB",
    "MySQL",
    "NetNs",
    "PROBE",
    "REPLICATION",
    "ROOT",
    "Server",
    "ServerError",
    "Workspace",
    "cache_folder",
    "chain",
    "free_port",
    "ring",
    "star",
    "state",
    "wait_converged",
    "wait_replicating",
    "wait_until",
]
