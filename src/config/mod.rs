//! Configuration: its model and the texts it is read from.
//!
//! [`ConfigBuilder`] gathers TOML texts, single keys and pool strings; [`ConfigBuilder::build`] checks them and
//! gives the [`Config`] that engine and driver read. The room opens no file: whoever reads one hands its text in.
//! Every key is in `docs/configuration.md`, which a test holds against the table in the code.

mod builder;
mod check;
mod checkpoints;
pub mod checks;
mod document;
mod draft;
mod dump;
mod foreign;
mod keys;
mod listen;
pub mod model;
mod mpp;
mod push;
pub mod service;
mod service_check;
pub mod tier;
mod value;
pub mod vip;
mod vip_check;

#[cfg(test)]
mod tests;

pub use builder::ConfigBuilder;
pub use checks::{CheckConfig, CheckVerdict, PortProtocol, PortRole};
pub use listen::{Listen, ListenAddress};
pub use model::{
    AutoRecover, ClientCertificate, Config, ControlSocket, Failback, LastResort, NodeConfig, OnDoubt,
    OnLocked, PoolConfig, ProbeConfig, ProbeMode, PushConfig, RsaPublicKey, TlsMode,
};
pub use service::{OnDemotion, OnStale, Role, ServiceConfig, Strategy};
pub use tier::{TierConfig, TierHost};
pub use value::{parse_duration, print_duration};
pub use vip::{
    ChecksumV4, ClaimOrder, HookConfig, HookFailure, LastHost, LeaseConfig, NoQuorum, OwnershipConfig,
    VipAddress, VipConfig, VrrpConfig,
};
