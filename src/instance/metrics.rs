//! What the instance has counted, gathered at one moment, and its text.

use super::shared::{Core, Handle};
use super::tier::TierHandle;
use crate::control::{Ask, Done};
use crate::engine::{Input, Now, Snapshot};
use crate::error::{ErrorCode, Result};
use crate::io::clock;
use crate::io::driver::Driver;
use crate::metrics::{self, DriverFigures, Figures, Life};

impl Core {
    /// The figures that go with a snapshot.
    pub(super) fn figures(&mut self, snapshot: Snapshot) -> Figures {
        // After a defect nothing that the engine holds is trusted; the snapshot is the last good copy.
        let pools = self.guarded(|engine| engine.figures()).unwrap_or_default();
        let mut driver = self.driver.as_ref().map_or_else(DriverFigures::default, Driver::figures);
        driver.add(&self.counted);
        let mut events = self.hub.tally();
        events.withheld = self.limiter.withheld();
        let life = Life {
            pools,
            driver,
            desk: self.tally.clone(),
            events,
            failed: self.poisoned.is_some(),
            since_ms: self.since_ms,
            tier: self.tier.as_ref().and_then(TierHandle::seen),
        };
        Figures { snapshot, written_ms: self.tally.written_ms, life: Some(life) }
    }

    /// The text, for a caller at the control socket.
    pub(super) fn metrics_text(&mut self, now: Now) -> Result<String> {
        let snapshot = self.guarded(|engine| engine.snapshot(now))?;
        Ok(metrics::text(&self.figures(snapshot)))
    }

    /// Counts a write of the cache that ended.
    pub(super) fn count_write(&mut self, now: Now, input: &Input) {
        let (Input::Persisted { outcome, .. }, Some(_)) = (input, &self.writer) else { return };
        if outcome.is_ok() {
            self.tally.written += 1;
            self.tally.written_ms = now.wall_ms;
        } else {
            self.tally.write_failures += 1;
        }
    }

    /// Counts a request at the control socket and how it ended.
    pub(super) fn count_request(&mut self, command: Option<&'static str>, outcome: &Result<Done>) {
        let command = command.unwrap_or("invalid");
        let outcome = match outcome {
            Ok(_) => "ok",
            Err(error) if error.code() == ErrorCode::Refused => "refused",
            Err(_) => "error",
        };
        *self.tally.requests.entry((command, outcome)).or_default() += 1;
    }
}

impl Handle {
    pub(super) fn metrics_text(&self) -> Result<String> {
        if let Some(done) = self.ask_elsewhere(&Ask::Metrics)? {
            return Ok(done.message);
        }
        let figures = {
            let mut core = self.reading()?;
            let snapshot = match core.guarded(|engine| engine.snapshot(clock::now())) {
                Err(error) if error.code() == ErrorCode::Panic => core.copy().ok_or(error)?,
                other => other?,
            };
            core.figures(snapshot)
        };
        // Thousands of lines are made without the lock.
        Ok(metrics::text(&figures))
    }
}
