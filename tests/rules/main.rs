//! Rules 5, 8, 9 and 11 to 15 of policy `safe`, in a small world around the engine: who is sick, the server, the
//! network or the prober itself?

mod checkpoints;
mod doubt;
mod follow_group;
mod follow_replicated;
mod isolation;
mod last_resort;
mod late;
mod no_harm;
mod operators;
mod recovery;
mod reports;
mod window;
mod world;
