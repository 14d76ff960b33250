//! Ownership of floating addresses, and the tier of hosts that share them.
//!
//! [`ownership`] is the face of what decides who owns: VRRP ([`vrrp`]) or a lease in etcd ([`lease`]). Above it, a VIP knows its score, its
//! operators, its heir and the order of claiming and releasing; the tier joins this host's VIPs with what the other hosts say on the
//! peer channel ([`peer`]). All of it is pure: time, bytes and random numbers come in as arguments.

pub mod ownership;
