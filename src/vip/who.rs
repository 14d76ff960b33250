//! Who decides: VRRP or a lease, as one type.

use super::group::Group;
use super::lease;
use super::ownership::{Leaving, Output, Ownership, Score};
use super::vrrp;
use crate::engine::time::{Duration, Time};

/// What a machine of ownership asks its driver for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// An advertisement.
    Send(vrrp::Send),
    /// A question to etcd.
    Ask(lease::Ask),
}

/// A machine of ownership.
pub enum Who {
    /// By advertisements.
    Vrrp(Group),
    /// By a lease.
    Lease(Box<lease::Lease>),
}

/// The same output with another action.
fn map<A>(output: Output<A>, action: impl FnOnce(A) -> Action) -> Output<Action> {
    match output {
        Output::Own { rule, why, epoch } => Output::Own { rule, why, epoch },
        Output::Valid { until } => Output::Valid { until },
        Output::Lose { rule, why } => Output::Lose { rule, why },
        Output::Announce { rule } => Output::Announce { rule },
        Output::Do(it) => Output::Do(action(it)),
        Output::Notice(notice) => Output::Notice(notice),
    }
}

macro_rules! each {
    ($self:expr, $machine:ident => $call:expr) => {
        match $self {
            Who::Vrrp($machine) => $call,
            Who::Lease($machine) => $call,
        }
    };
}

impl Ownership for Who {
    type Action = Action;

    fn wish(&mut self, now: Time, score: Score) {
        each!(self, m => m.wish(now, score));
    }

    fn leave(&mut self, now: Time, leaving: Leaving) {
        each!(self, m => m.leave(now, leaving));
    }

    fn released(&mut self, now: Time) {
        each!(self, m => m.released(now));
    }

    fn claim(&mut self, now: Time) {
        each!(self, m => m.claim(now));
    }

    fn handle_timer(&mut self, now: Time) {
        each!(self, m => m.handle_timer(now));
    }

    fn poll(&mut self) -> Option<Output<Action>> {
        match self {
            Who::Vrrp(m) => m.poll().map(|output| map(output, Action::Send)),
            Who::Lease(m) => m.poll().map(|output| map(output, Action::Ask)),
        }
    }

    fn poll_timeout(&self) -> Time {
        each!(self, m => m.poll_timeout())
    }

    fn owns(&self) -> bool {
        each!(self, m => m.owns())
    }

    fn down_interval(&self) -> Duration {
        each!(self, m => m.down_interval())
    }
}
