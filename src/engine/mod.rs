//! The engine: inputs in, effects out, no clock and no socket.

pub mod time;
