//! Policy `safe`, the default: the same words without the original's faults.

pub mod command;
pub mod evaluation;
pub mod ladder;
pub mod model;
pub mod orders;
pub mod restart;
pub mod table;

pub use evaluation::{Dues, Occasion, Verdict, evaluate};
pub use ladder::{Ladder, Step};
pub use model::{Bar, Evidence, HandOver, Member, Model, Pin, Settings};
pub use table::{RoleAction, Tables};
