//! The machine alone, against a model of etcd.

mod steps;
mod table;
mod tier;
mod world;
