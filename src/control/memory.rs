//! Outcomes of changes by id, so that a request that comes again is not carried out again.

use super::request::{Change, Id};
use crate::error::{Error, ErrorCode, Result};
use std::collections::VecDeque;

/// How many are remembered. A caller asks again within seconds, and no operator gives as many commands in them.
const REMEMBERED: usize = 256;

/// The last outcomes, oldest first.
#[derive(Clone, Debug)]
pub struct Memory<T> {
    entries: VecDeque<(Id, Change, T)>,
}

impl<T> Default for Memory<T> {
    fn default() -> Memory<T> {
        Memory { entries: VecDeque::new() }
    }
}

impl<T: Clone> Memory<T> {
    /// The outcome of the request that had this id; `None` if it is new.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] if the id was that of another change.
    pub fn recall(&self, id: Id, change: &Change) -> Result<Option<T>> {
        match self.entries.iter().rev().find(|(known, ..)| *known == id) {
            None => Ok(None),
            Some((_, known, outcome)) if known == change => Ok(Some(outcome.clone())),
            Some(_) => Err(Error::new(
                ErrorCode::Invalid,
                format!("the id {id} was another command's: take fresh random bytes for each"),
            )),
        }
    }

    /// Keeps an outcome; the oldest one falls out.
    pub fn keep(&mut self, id: Id, change: Change, outcome: T) {
        if self.entries.len() >= REMEMBERED {
            self.entries.pop_front();
        }
        self.entries.push_back((id, change, outcome));
    }
}
