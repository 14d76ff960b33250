//! The built command: every subcommand, bad input, locks, a full disk, and its page in the documentation.
#![cfg(feature = "cli")]

#[path = "command/agent.rs"]
mod agent;
#[path = "command/answers.rs"]
mod answers;
#[path = "command/bad_input.rs"]
mod bad_input;
#[path = "command/control.rs"]
mod control;
#[path = "command/documents.rs"]
mod documents;
#[path = "command/generated.rs"]
mod generated;
#[path = "command/life.rs"]
mod life;
#[path = "mpp_proxy/mod.rs"]
mod mpp_proxy;
#[path = "command/orders.rs"]
mod orders;
#[path = "command/page.rs"]
mod page;
#[path = "command/proxyadmin.rs"]
mod proxyadmin;
#[path = "command/respond.rs"]
mod respond;
#[path = "command/route.rs"]
mod route;
#[path = "command/serve.rs"]
mod serve;
#[path = "command/site.rs"]
mod site;
#[path = "command/vip.rs"]
mod vip;
