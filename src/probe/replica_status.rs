//! Reading `SHOW REPLICA STATUS` under all its names.
//!
//! Sources: MySQL manual, "SHOW REPLICA STATUS"; MariaDB knowledge base, "SHOW REPLICA STATUS".

use super::observation::{Channel, ThreadState};
use crate::engine::time::Duration;
use crate::wire::ResultSet;

/// The columns that we read.
#[derive(Clone, Copy)]
enum Field {
    Name,
    Host,
    Port,
    Io,
    Sql,
    IoErrno,
    IoError,
    SqlErrno,
    SqlError,
    Lag,
    ReadFile,
    ReadPosition,
    AppliedFile,
    AppliedPosition,
    Heartbeats,
    GtidIo,
}

const FIELDS: usize = Field::GtidIo as usize + 1;

/// Where a column is under any of its names: MySQL's new one first, then the one that MariaDB and older servers have.
const NAMES: [(Field, &[&str]); FIELDS] = [
    (Field::Name, &["Channel_Name", "Connection_name"]),
    (Field::Host, &["Source_Host", "Master_Host"]),
    (Field::Port, &["Source_Port", "Master_Port"]),
    (Field::Io, &["Replica_IO_Running", "Slave_IO_Running"]),
    (Field::Sql, &["Replica_SQL_Running", "Slave_SQL_Running"]),
    (Field::IoErrno, &["Last_IO_Errno"]),
    (Field::IoError, &["Last_IO_Error"]),
    (Field::SqlErrno, &["Last_SQL_Errno"]),
    (Field::SqlError, &["Last_SQL_Error"]),
    (Field::Lag, &["Seconds_Behind_Source", "Seconds_Behind_Master"]),
    (Field::ReadFile, &["Source_Log_File", "Master_Log_File"]),
    (Field::ReadPosition, &["Read_Source_Log_Pos", "Read_Master_Log_Pos"]),
    (Field::AppliedFile, &["Relay_Source_Log_File", "Relay_Master_Log_File"]),
    (Field::AppliedPosition, &["Exec_Source_Log_Pos", "Exec_Master_Log_Pos"]),
    (Field::Heartbeats, &["Slave_received_heartbeats"]),
    (Field::GtidIo, &["Gtid_IO_Pos"]),
];

/// Where the fields are in a server's result. Found once per server and kept while the columns stay the same, for
/// looking up some sixty names costs more than all the rest of the reading.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    names: Vec<u8>,
    columns: usize,
    at: [Option<usize>; FIELDS],
}

impl Layout {
    fn fit(&mut self, set: &ResultSet<'_>) {
        if self.columns == set.columns() && self.names == set.names() {
            return;
        }
        self.columns = set.columns();
        self.names = set.names().to_vec();
        for (field, names) in NAMES {
            self.at[field as usize] = (0..self.columns).find(|&column| {
                set.name(column)
                    .is_some_and(|name| names.iter().any(|n| name.eq_ignore_ascii_case(n.as_bytes())))
            });
        }
    }

    /// Reads all channels of a result. An error names what is missing.
    pub fn read(&mut self, set: &ResultSet<'_>) -> Result<Vec<Channel>, String> {
        self.fit(set);
        for field in [Field::Host, Field::Io, Field::Sql] {
            if self.at[field as usize].is_none() {
                let (_, names) = NAMES[field as usize];
                return Err(format!("the replica status has no column {}", names.join(" or ")));
            }
        }
        Ok((0..set.rows()).map(|row| Row { layout: self, set, row }.channel()).collect())
    }
}

struct Row<'a> {
    layout: &'a Layout,
    set: &'a ResultSet<'a>,
    row: usize,
}

impl Row<'_> {
    fn get(&self, field: Field) -> Option<&[u8]> {
        self.set.value(self.row, self.layout.at[field as usize]?)
    }

    fn text(&self, field: Field) -> String {
        self.get(field).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
    }

    fn number(&self, field: Field) -> Option<u64> {
        core::str::from_utf8(self.get(field)?).ok()?.parse().ok()
    }

    fn errno(&self, field: Field) -> u32 {
        self.number(field).and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
    }

    fn channel(&self) -> Channel {
        let mut source = self.text(Field::Host);
        if source.contains(':') {
            source = format!("[{source}]");
        }
        if let Some(port) = self.number(Field::Port) {
            source.push(':');
            source.push_str(&port.to_string());
        }
        let mut error = self.text(Field::SqlError);
        if error.is_empty() {
            error = self.text(Field::IoError);
        }
        Channel {
            name: self.text(Field::Name),
            source,
            io: match self.get(Field::Io) {
                Some(b"Yes") => ThreadState::Running,
                None | Some(b"No" | b"") => ThreadState::Stopped,
                // `Connecting`, and `Preparing` as MariaDB says before it connects.
                Some(_) => ThreadState::Connecting,
            },
            sql: if self.get(Field::Sql) == Some(b"Yes") {
                ThreadState::Running
            } else {
                ThreadState::Stopped
            },
            io_errno: self.errno(Field::IoErrno),
            sql_errno: self.errno(Field::SqlErrno),
            error,
            lag: self.number(Field::Lag).map(Duration::from_secs),
            applied_all: self.applied_all(),
            received: self.received(),
        }
    }

    /// The place up to which the source was read, as a hash (FNV-1a). MariaDB counts its heartbeats here too; MySQL
    /// does that in a table of its own, so there only events show.
    fn received(&self) -> Option<u64> {
        self.get(Field::ReadFile).filter(|file| !file.is_empty())?;
        self.get(Field::ReadPosition)?;
        let fields = [Field::ReadFile, Field::ReadPosition, Field::Heartbeats, Field::GtidIo];
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        for field in fields {
            for &byte in self.get(field).unwrap_or_default().iter().chain([&0]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        Some(hash)
    }

    /// Whether the position that is executed is the position that was read. A server that has just turned to a new
    /// source or a new log file may say no although nothing is left to apply, never the other way round.
    fn applied_all(&self) -> Option<bool> {
        let (read, applied) = (self.get(Field::ReadFile)?, self.get(Field::AppliedFile)?);
        let (read_at, applied_at) = (self.number(Field::ReadPosition)?, self.number(Field::AppliedPosition)?);
        if read.is_empty() || applied.is_empty() {
            None
        } else {
            Some(read == applied && read_at == applied_at)
        }
    }
}
