//! Results of text queries, kept in one buffer.
//!
//! A probe reads some sixty columns ten times a second: rows are copied once, as they came, and cells are ranges.
//! Source: MySQL Internals, "COM_QUERY Response".

use super::definitions::{Known, Memory, SharedColumns};
use super::packet::{HEADER, shown, take_lenenc_bytes, take_lenenc_int};
use super::server_error::{ServerError, WireError};

/// A range of the buffer, or NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    start: u32,
    length: u32,
}

impl Cell {
    const NULL: Cell = Cell { start: 0, length: u32::MAX };
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Set {
    /// Index of the first column's name among the cells; the rows' cells follow the names.
    cells: usize,
    columns: usize,
    rows: usize,
    /// Where the names lie in the buffer, one behind the other.
    names: (usize, usize),
}

/// The answer to one query: a result set per statement, and the error that ended it, if one did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Results {
    bytes: Vec<u8>,
    cells: Vec<Cell>,
    sets: Vec<Set>,
    error: Option<ServerError>,
}

impl Results {
    /// The result sets, in the order of the statements. A statement without a result has a set without columns.
    pub fn sets(&self) -> impl ExactSizeIterator<Item = ResultSet<'_>> {
        self.sets.iter().map(|&set| ResultSet { results: self, set })
    }

    /// The error of the statement behind the last whole set; the statements behind it did not run.
    pub fn error(&self) -> Option<&ServerError> {
        self.error.as_ref()
    }

    fn at(&self, cell: usize) -> Option<&[u8]> {
        let cell = self.cells.get(cell)?;
        let start = cell.start as usize;
        self.bytes.get(start..start.checked_add(cell.length as usize)?)
    }
}

/// One result set, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct ResultSet<'a> {
    results: &'a Results,
    set: Set,
}

impl<'a> ResultSet<'a> {
    /// How many columns.
    pub fn columns(&self) -> usize {
        self.set.columns
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.set.rows
    }

    /// A column's name, as the server spells it; `None` if there is no such column.
    pub fn name(&self, column: usize) -> Option<&'a [u8]> {
        if column < self.set.columns { self.results.at(self.set.cells + column) } else { None }
    }

    /// All names, one behind the other: equal bytes and an equal count mean the same columns.
    pub fn names(&self) -> &'a [u8] {
        self.results.bytes.get(self.set.names.0..self.set.names.1).unwrap_or_default()
    }

    /// A value as text; `None` for NULL and for a place outside the set.
    pub fn value(&self, row: usize, column: usize) -> Option<&'a [u8]> {
        if row >= self.set.rows || column >= self.set.columns {
            return None;
        }
        self.results.at(self.set.cells + self.set.columns * (row + 1) + column)
    }
}

/// What the next packet of an answer has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// OK, an error, or a count of columns.
    Head,
    /// This many column definitions.
    Columns(usize),
    /// The EOF packet behind the definitions; servers with DEPRECATE_EOF send none.
    ColumnsEnd,
    /// Rows and their end.
    Rows,
}

/// Reads the packets of an answer into [`Results`].
#[derive(Debug)]
pub(super) struct ResultReader {
    results: Results,
    expect: Expect,
    open: Set,
    /// What may still come, in bytes; the answer of a hostile server has no end.
    room: usize,
    /// The column definitions of the last answer.
    memory: Memory,
    /// Bytes and cells of the last answer: the next one will be about as large.
    sizes: (usize, usize),
}

/// More columns than any status has.
const MOST_COLUMNS: u64 = 4096;
const MOST_SETS: usize = 64;
const MORE_RESULTS: u16 = 0x0008;

impl ResultReader {
    pub fn new() -> ResultReader {
        ResultReader {
            results: Results::default(),
            expect: Expect::Head,
            open: Set::default(),
            room: 0,
            memory: Memory::default(),
            sizes: (0, 0),
        }
    }

    /// Begins a new answer of at most `room` bytes, forgetting the last one.
    pub fn restart(&mut self, room: usize) {
        self.results.bytes.clear();
        self.results.bytes.reserve(self.sizes.0);
        self.results.cells.clear();
        self.results.cells.reserve(self.sizes.1);
        self.results.sets.clear();
        self.results.error = None;
        self.expect = Expect::Head;
        self.room = room.min(u32::MAX as usize - 1);
    }

    pub fn results(&self) -> &Results {
        &self.results
    }

    /// Lets go of the last answer until the next one comes, and of what others remember too.
    pub fn rest(&mut self, shared: &mut SharedColumns) {
        let answer = core::mem::take(&mut self.results);
        if answer.bytes.capacity() > 0 {
            self.sizes = (answer.bytes.len(), answer.cells.len());
        }
        shared.share(&mut self.memory);
    }

    /// If column definitions are next and `bytes` begin with those that came in this place of the last answer, takes
    /// these over without reading them, and gives the number of bytes and of packets. `Some((0, 0))` asks for more
    /// bytes. `sequence` is the number of the next packet.
    pub fn skip_known(&mut self, bytes: &[u8], sequence: u8, deprecate_eof: bool) -> Option<(usize, usize)> {
        let Expect::Columns(left) = self.expect else { return None };
        if left != self.open.columns {
            return None;
        }
        let known = self.memory.get(self.results.sets.len())?;
        match known.compare(bytes, left, sequence) {
            Known::Others => return None,
            Known::Front => return Some((0, 0)),
            Known::Same => {}
        }
        self.room = self.room.checked_sub(known.cost)?;
        let mut start = self.results.bytes.len() as u32;
        self.results.bytes.extend_from_slice(&known.names);
        self.results.cells.extend(known.lengths.iter().map(|&length| {
            let cell = Cell { start, length };
            start += length;
            cell
        }));
        self.open.names.1 = self.results.bytes.len();
        self.expect = if deprecate_eof { Expect::Rows } else { Expect::ColumnsEnd };
        Some((known.packets.len(), left))
    }

    /// Reads one packet, header and all. True when the answer is complete.
    pub fn read(&mut self, packet: &[u8], deprecate_eof: bool) -> Result<bool, WireError> {
        let payload = packet.get(HEADER..).unwrap_or_default();
        let before = self.results.cells.len();
        let done = self.read_inner(packet, payload, deprecate_eof)?;
        let cost = cost(payload, self.results.cells.len() - before);
        match self.room.checked_sub(cost) {
            Some(left) => self.room = left,
            None => {
                return Err(WireError::violation(
                    "answer: the results are larger than the bound on an answer",
                ));
            }
        }
        Ok(done)
    }

    fn read_inner(&mut self, packet: &[u8], payload: &[u8], deprecate_eof: bool) -> Result<bool, WireError> {
        let Some(&first) = payload.first() else {
            return Err(WireError::violation(format!(
                "answer: expected {}, got an empty packet",
                self.awaited()
            )));
        };
        if first == 0xFF {
            let error = ServerError::parse(payload).ok_or_else(|| self.unexpected(payload))?;
            self.results.error = Some(error);
            return Ok(true);
        }
        match self.expect {
            Expect::Head => self.head(payload, first),
            Expect::Columns(left) => {
                self.column(packet, payload)?;
                self.expect = match left - 1 {
                    0 if deprecate_eof => Expect::Rows,
                    0 => Expect::ColumnsEnd,
                    left => Expect::Columns(left),
                };
                if left == 1 {
                    self.open.names.1 = self.results.bytes.len();
                    self.memory.end();
                }
                Ok(false)
            }
            Expect::ColumnsEnd => {
                if first != 0xFE || payload.len() >= 9 {
                    return Err(self.unexpected(payload));
                }
                self.expect = Expect::Rows;
                Ok(false)
            }
            // A row whose first cell is that long is over every cap, so with DEPRECATE_EOF 0xFE is the end.
            Expect::Rows if first == 0xFE && (deprecate_eof || payload.len() < 9) => {
                let status = if deprecate_eof { ok_status(payload) } else { eof_status(payload) };
                let status = status.ok_or_else(|| self.unexpected(payload))?;
                let set = self.open;
                self.finish(set, status)
            }
            Expect::Rows => self.row(payload).map(|()| false),
        }
    }

    fn head(&mut self, payload: &[u8], first: u8) -> Result<bool, WireError> {
        match first {
            0x00 => {
                let status = ok_status(payload).ok_or_else(|| self.unexpected(payload))?;
                let at = self.results.bytes.len();
                self.finish(
                    Set { cells: self.results.cells.len(), names: (at, at), ..Set::default() },
                    status,
                )
            }
            0xFB => {
                Err(WireError::violation("answer: the server asks for a local file, which is never sent"))
            }
            _ => {
                let mut rest = payload;
                match take_lenenc_int(&mut rest) {
                    Some(columns @ 1..=MOST_COLUMNS) if rest.is_empty() => {
                        let at = self.results.bytes.len();
                        let columns = columns as usize;
                        self.open =
                            Set { cells: self.results.cells.len(), columns, rows: 0, names: (at, at) };
                        self.expect = Expect::Columns(columns);
                        self.memory.begin(self.results.sets.len());
                        Ok(false)
                    }
                    _ => Err(self.unexpected(payload)),
                }
            }
        }
    }

    /// A column definition: catalog, schema, table, original table, name, and what we do not need.
    fn column(&mut self, packet: &[u8], payload: &[u8]) -> Result<(), WireError> {
        let mut rest = payload;
        for _ in 0..4 {
            take_lenenc_bytes(&mut rest).ok_or_else(|| self.unexpected(payload))?;
        }
        let name = take_lenenc_bytes(&mut rest).ok_or_else(|| self.unexpected(payload))?;
        let start = self.results.bytes.len() as u32;
        self.results.cells.push(Cell { start, length: name.len() as u32 });
        self.results.bytes.extend_from_slice(name);
        self.memory.learn(packet, name, cost(payload, 1));
        Ok(())
    }

    fn row(&mut self, payload: &[u8]) -> Result<(), WireError> {
        let base = self.results.bytes.len();
        let cells = self.results.cells.len();
        let mut rest = payload;
        for _ in 0..self.open.columns {
            let cell = if let [0xFB, after @ ..] = rest {
                rest = after;
                Cell::NULL
            } else if let Some(value) = take_lenenc_bytes(&mut rest) {
                let start = payload.len() - rest.len() - value.len();
                Cell { start: (base + start) as u32, length: value.len() as u32 }
            } else {
                self.results.cells.truncate(cells);
                return Err(self.unexpected(payload));
            };
            self.results.cells.push(cell);
        }
        if !rest.is_empty() {
            return Err(WireError::violation(format!("answer: a row holds {} bytes too many", rest.len())));
        }
        self.results.bytes.extend_from_slice(payload);
        self.open.rows += 1;
        Ok(())
    }

    fn finish(&mut self, set: Set, status: u16) -> Result<bool, WireError> {
        if self.results.sets.len() == MOST_SETS {
            return Err(WireError::violation(format!("answer: more than {MOST_SETS} results")));
        }
        self.results.sets.push(set);
        self.expect = Expect::Head;
        Ok(status & MORE_RESULTS == 0)
    }

    fn awaited(&self) -> &'static str {
        match self.expect {
            Expect::Head => "a result",
            Expect::Columns(_) => "a column's definition",
            Expect::ColumnsEnd => "the end of the columns' definitions",
            Expect::Rows => "a row",
        }
    }

    fn unexpected(&self, payload: &[u8]) -> WireError {
        WireError::violation(format!("answer: expected {}, got {}", self.awaited(), shown(payload)))
    }
}

/// What a packet takes of an answer's bound: empty packets and one-byte NULLs cost us memory too.
fn cost(payload: &[u8], cells: usize) -> usize {
    payload.len() + 8 + 8 * cells
}

/// Status flags of an OK packet, whatever its first byte: affected rows, insert id, status, warnings.
pub(super) fn ok_status(payload: &[u8]) -> Option<u16> {
    let mut rest = payload.get(1..)?;
    take_lenenc_int(&mut rest)?;
    take_lenenc_int(&mut rest)?;
    match *rest {
        [low, high, _, _, ..] => Some(u16::from_le_bytes([low, high])),
        _ => None,
    }
}

/// Status flags of an EOF packet: warnings, status.
fn eof_status(payload: &[u8]) -> Option<u16> {
    match *payload {
        [0xFE, _, _, low, high, ..] => Some(u16::from_le_bytes([low, high])),
        _ => None,
    }
}
