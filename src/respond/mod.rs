//! Answers for load balancers that cannot load a library: HTTP checks and HAProxy's agent-check.
//!
//! Pure machines: bytes come in, a [`Request`] or an [`AgentAsk`] comes out, an answer goes back as bytes. What is
//! answered is read from the serve matrix (`policy/serving.rs`) for the node that is asked about; nothing is decided
//! here. `io/respond.rs` has the sockets, `instance/respond.rs` looks the node up.

mod answer;
mod ask;
mod http;
mod session;

#[cfg(test)]
mod tests;

pub use answer::{Found, Known, Miss, Response, Seated, agent_line, node_page, plain};
pub use ask::{AgentAsk, Page, Who, agent_ask, http_ask};
pub use http::{Fault, HEAD_MAX, Method, Request};
pub use session::{Protocol, Question, Session};
