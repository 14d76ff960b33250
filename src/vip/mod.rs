//! Ownership of floating addresses, and the tier of hosts that share them.
//!
//! [`ownership`] is the face of what decides who owns: VRRP ([`vrrp`], two families of which move as a [`group`]) or a lease in etcd
//! ([`lease`]); [`who`] is either. Above it, [`machine`] is one VIP on this host: its score and heir by the tables of [`placement`], the
//! [`step`]s in which an address comes and leaves, [`announce`] and [`hooks`]. [`tier`] joins this host's VIPs with what the other hosts say
//! on the peer channel ([`peer`]); [`status`] is all of it as data. Everything is pure: time, bytes and random numbers come in as arguments.

pub mod announce;
pub mod group;
pub mod hooks;
pub mod lease;
pub mod machine;
pub mod ownership;
pub mod peer;
pub mod placement;
pub mod rules;
pub mod status;
pub mod step;
#[cfg(test)]
mod tests;
pub mod tier;
pub mod vrrp;
pub mod who;
