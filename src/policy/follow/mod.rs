//! Following: pools whose members, or whose operators, decide themselves who takes writes.
//!
//! The ladder and the states of the nodes are those of policy `safe`; who is ACTIVE is decided by what the nodes say of
//! themselves and of their group, never by the ladder alone. Where a host owns the address of a pool of routers, who holds it
//! decides ([`owner`]).

pub mod command;
pub mod evaluation;
pub mod owner;
pub mod table;
pub mod voice;

pub use evaluation::{Verdict, evaluate};
pub use owner::{OWNER, Owner, OwnerAction, OwnerVerdict, OwnerView, evaluate_owned};
pub use table::{Action, FOLLOW, FollowView};
pub use voice::{Names, Rank, Said, Voice, Voices, Word};
