//! Ownership of floating addresses, and the tier of hosts that share them.
//!
//! [`ownership`] is the face of what decides who owns: VRRP or a lease in etcd. Above it, [`machine`] is one VIP on this host: its score and
//! heir by the tables of [`placement`], the [`step`]s in which an address comes and leaves, [`announce`] and [`hooks`]; and the hosts tell each other on
//! the peer channel ([`peer`]). All of it is pure: time, bytes and random numbers come in as arguments.

pub mod announce;
pub mod hooks;
pub mod machine;
pub mod ownership;
pub mod peer;
pub mod placement;
pub mod step;
