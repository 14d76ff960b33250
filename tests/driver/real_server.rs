//! Against a real MariaDB server: kept connections.
