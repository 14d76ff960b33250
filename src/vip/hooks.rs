//! Programs that are told: one at a time for each VIP, in order, and none that a newer claim has overtaken.

use std::collections::VecDeque;

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookKind {
    /// `on_claim`.
    Claim,
    /// `on_release`.
    Release,
    /// `on_fault`.
    Fault,
    /// `restart`: beside the others, since it belongs to the service and not to the address.
    Restart,
}

impl HookKind {
    /// The word of the event, as the program reads it in PRIMACY_EVENT.
    pub const fn name(self) -> &'static str {
        match self {
            HookKind::Claim => "claim",
            HookKind::Release => "release",
            HookKind::Fault => "fault",
            HookKind::Restart => "restart",
        }
    }
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookEnd {
    /// With this exit code, and this first line.
    Exit(i32, String),
    /// It was still running at its timeout, and was killed.
    TimedOut,
    /// It was cancelled.
    Cancelled,
    /// It could not be started, or its end is not known; why.
    Failed(String),
}

impl HookEnd {
    /// Whether it did what it should.
    pub fn is_good(&self) -> bool {
        matches!(self, HookEnd::Exit(0, _))
    }

    /// In words.
    pub fn words(&self) -> String {
        match self {
            HookEnd::Exit(code, line) if line.is_empty() => format!("exit code {code}"),
            HookEnd::Exit(code, line) => format!("exit code {code}: {line}"),
            HookEnd::TimedOut => "it was still running at hook_timeout, and was killed".into(),
            HookEnd::Cancelled => "it was ended".into(),
            HookEnd::Failed(why) => why.clone(),
        }
    }
}

/// One call of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which one.
    pub kind: HookKind,
    /// The ownership that it is about.
    pub epoch: u64,
    /// The row behind it.
    pub rule: u16,
    /// Why, one sentence.
    pub reason: String,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookAction {
    /// Run it under this number.
    Run(u64, Call),
    /// End the one of this number: its group is killed.
    Cancel(u64),
}

/// The most calls that wait.
const MOST: usize = 8;

/// The programs of one VIP.
#[derive(Clone, Debug, Default)]
pub struct Hooks {
    running: Option<(u64, Call)>,
    waiting: VecDeque<Call>,
    /// Whether the running one was told to end.
    ending: bool,
    last: u64,
    actions: VecDeque<HookAction>,
    skipped: u32,
}

impl Hooks {
    /// Asks for a call. A claim or a release overtakes what waits or runs of the other one.
    pub fn call(&mut self, call: Call) {
        match call.kind {
            HookKind::Claim => self.overtake(HookKind::Release),
            HookKind::Release => self.overtake(HookKind::Claim),
            // One that waits will read the newest state anyway.
            HookKind::Fault | HookKind::Restart => self.waiting.retain(|c| c.kind != call.kind),
        }
        self.waiting.retain(|c| c.kind != call.kind);
        if self.waiting.len() < MOST {
            self.waiting.push_back(call);
        }
        self.next();
    }

    /// Another host has claimed since: a release hook of ours would undo its claim.
    pub fn overtaken(&mut self) -> bool {
        let before = self.skipped;
        self.overtake(HookKind::Release);
        self.next();
        self.skipped != before
    }

    /// The ownership is lost: its `on_claim` is not run any more, or ended.
    pub fn lost(&mut self) {
        self.overtake(HookKind::Claim);
        self.next();
    }

    fn overtake(&mut self, kind: HookKind) {
        let waiting = self.waiting.len();
        self.waiting.retain(|call| call.kind != kind);
        self.skipped += (waiting - self.waiting.len()) as u32;
        if let Some((job, call)) = &self.running
            && call.kind == kind
            && !self.ending
        {
            self.ending = true;
            self.skipped += 1;
            self.actions.push_back(HookAction::Cancel(*job));
        }
    }

    /// A call ended. The call, if it was the one that ran and was not overtaken.
    pub fn ended(&mut self, job: u64) -> Option<Call> {
        let (number, _) = self.running.as_ref()?;
        if *number != job {
            return None;
        }
        let (_, call) = self.running.take()?;
        let counts = !core::mem::take(&mut self.ending);
        self.next();
        counts.then_some(call)
    }

    fn next(&mut self) {
        if self.running.is_some() {
            return;
        }
        if let Some(call) = self.waiting.pop_front() {
            self.last += 1;
            self.running = Some((self.last, call.clone()));
            self.actions.push_back(HookAction::Run(self.last, call));
        }
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<HookAction> {
        self.actions.pop_front()
    }

    /// Whether nothing runs and nothing waits.
    pub fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(kind: HookKind, epoch: u64) -> Call {
        Call { kind, epoch, rule: 0, reason: String::new() }
    }

    fn drain(hooks: &mut Hooks) -> Vec<HookAction> {
        std::iter::from_fn(|| hooks.poll()).collect()
    }

    #[test]
    fn one_at_a_time_and_in_order() {
        let mut hooks = Hooks::default();
        hooks.call(call(HookKind::Claim, 1));
        hooks.call(call(HookKind::Fault, 1));
        assert_eq!(drain(&mut hooks), [HookAction::Run(1, call(HookKind::Claim, 1))]);
        assert_eq!(hooks.ended(7), None);
        assert_eq!(hooks.ended(1), Some(call(HookKind::Claim, 1)));
        assert_eq!(drain(&mut hooks), [HookAction::Run(2, call(HookKind::Fault, 1))]);
        assert!(hooks.ended(2).is_some() && hooks.is_idle());
    }

    #[test]
    fn a_newer_claim_overtakes_a_release() {
        let mut hooks = Hooks::default();
        hooks.call(call(HookKind::Release, 1));
        drain(&mut hooks);
        hooks.call(call(HookKind::Claim, 2));
        assert_eq!(drain(&mut hooks), [HookAction::Cancel(1)], "never two at a time");
        assert_eq!(hooks.ended(1), None, "the cancelled one does not count");
        assert_eq!(drain(&mut hooks), [HookAction::Run(2, call(HookKind::Claim, 2))]);
        // One that only waits is dropped.
        hooks.call(call(HookKind::Release, 2));
        hooks.call(call(HookKind::Claim, 3));
        assert_eq!(drain(&mut hooks), [HookAction::Cancel(2)]);
        hooks.ended(2);
        assert_eq!(drain(&mut hooks), [HookAction::Run(3, call(HookKind::Claim, 3))]);
    }

    #[test]
    fn another_hosts_claim_ends_a_release() {
        let mut hooks = Hooks::default();
        assert!(!hooks.overtaken());
        hooks.call(call(HookKind::Release, 1));
        drain(&mut hooks);
        assert!(hooks.overtaken());
        assert!(!hooks.overtaken(), "told once");
        assert_eq!(drain(&mut hooks), [HookAction::Cancel(1)]);
        assert_eq!(hooks.ended(1), None);
        assert!(hooks.is_idle());
    }
}
