//! The channel in virtual time: hosts, a network that loses, delays, doubles and splits, and somebody who records and forges.

mod keys;
mod network;
mod orders;
mod replays;
mod wire;
mod world;
