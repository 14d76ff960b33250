//! What a decider publishes for other processes: headers and tables as they come.

use primacy::select::codec::{decode, encode};
use primacy::select::header::Header;

pub fn run(data: &[u8]) {
    if let Ok(header) = Header::decode(data) {
        assert_eq!(Header::decode(&header.encode()), Ok(header));
    }
    match decode(data) {
        Ok(tables) => assert_eq!(decode(&encode(&tables)).as_ref(), Ok(&tables)),
        Err(error) => assert!(error.message().starts_with("byte "), "{error}"),
    }
}
