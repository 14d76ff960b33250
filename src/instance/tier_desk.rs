//! What other processes ask of the tier, at the control socket.
//!
//! The tier answers from a thread of its own, so an answer is waited for beside everything else: the engine goes on meanwhile.

use super::shared::Core;
use super::tier::gone;
use crate::control::{Answer, Change, Done, Id};
use crate::engine::Now;
use crate::error::{Error, ErrorCode, Result};
use crate::io::control::ClientId;
use crate::io::tier::Message;
use crate::vip::peer::Order;
use crate::vip::status::TierStatus;
use crate::vip::step::ORDERED;
use crossbeam_channel::{Receiver, TryRecvError, bounded};
use std::time::Duration;

/// How long an answer may take: the tier's loop never blocks, but the machine may be busy.
const ANSWER: Duration = Duration::from_secs(1);

/// What was asked.
#[derive(Debug)]
enum Wanted {
    Status(Receiver<TierStatus>),
    /// Orders of one change, each with its answer; the words of the first one are the change's.
    Orders {
        answers: Vec<Receiver<core::result::Result<String, String>>>,
        words: Option<String>,
    },
}

/// A caller that waits for the tier.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) client: ClientId,
    pub(super) id: Id,
    command: &'static str,
    /// What it changes, for the memory of ids.
    change: Option<Change>,
    wanted: Wanted,
}

impl Asking {
    /// The outcome, once it is there.
    fn poll(&mut self) -> Option<Result<Done>> {
        match &mut self.wanted {
            Wanted::Status(answer) => match answer.try_recv() {
                Ok(status) => {
                    let body = serde_json::to_value(&status).unwrap_or_default();
                    Some(Ok(Done { body, ..Done::default() }))
                }
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => Some(Err(gone())),
            },
            Wanted::Orders { answers, words } => {
                while let Some(answer) = answers.first() {
                    match answer.try_recv() {
                        Ok(Ok(said)) => {
                            words.get_or_insert(said);
                            answers.remove(0);
                        }
                        Ok(Err(why)) => return Some(Err(Error::new(ErrorCode::Refused, why))),
                        Err(TryRecvError::Empty) => return None,
                        Err(TryRecvError::Disconnected) => return Some(Err(gone())),
                    }
                }
                let message = words.take().unwrap_or_default();
                Some(Ok(Done { message, rule: ORDERED, ..Done::default() }))
            }
        }
    }
}

impl Core {
    /// Asks the tier for its state on behalf of a client.
    pub(super) fn ask_tier(
        &mut self,
        now: Now,
        client: ClientId,
        id: Id,
        command: &'static str,
    ) -> Result<()> {
        let (answer, answered) = bounded(1);
        self.line()?.send(Message::Look(answer))?;
        self.await_tier(now, Asking { client, id, command, change: None, wanted: Wanted::Status(answered) });
        Ok(())
    }

    /// Gives the tier an operator's order on behalf of a client. One that comes again under the same id before its answer is carried out again,
    /// which changes nothing: orders say what is to be, not what is to be done.
    pub(super) fn order_tier(
        &mut self,
        now: Now,
        client: ClientId,
        id: Id,
        command: &'static str,
        change: Change,
    ) -> Result<()> {
        let line = self.line()?;
        let orders = match &change {
            Change::VipMove { vip, host } => vec![Order::Want { vip: vip.clone(), host: Some(host.clone()) }],
            Change::VipClear { vip } => self.clearing(vip)?,
            Change::VipStandby { host, standby } => {
                vec![Order::Standby { host: host.clone(), standby: *standby }]
            }
            _ => return Err(Error::new(ErrorCode::State, "this is no order to the tier")),
        };
        let mut answers = Vec::with_capacity(orders.len());
        for order in orders {
            let (answer, answered) = bounded(1);
            line.send(Message::Order(order, answer))?;
            answers.push(answered);
        }
        let wanted = Wanted::Orders { answers, words: None };
        self.await_tier(now, Asking { client, id, command, change: Some(change), wanted });
        Ok(())
    }

    fn await_tier(&mut self, now: Now, asking: Asking) {
        if let Some(driver) = &mut self.driver {
            driver.hold(asking.client, now.mono + ANSWER);
        }
        self.desk.asking.push(asking);
    }

    /// Passes on what the tier has answered.
    pub(super) fn settle_tier(&mut self, now: Now) {
        let mut at = 0;
        while let Some(asking) = self.desk.asking.get_mut(at) {
            match asking.poll() {
                None => at += 1,
                Some(outcome) => {
                    let asking = self.desk.asking.swap_remove(at);
                    self.end_asking(now, asking, outcome);
                }
            }
        }
    }

    /// A client has waited for long enough; whether it is one that waits for the tier.
    pub(super) fn give_up_tier(&mut self, now: Now, client: ClientId) -> bool {
        let Some(at) = self.desk.asking.iter().position(|asking| asking.client == client) else {
            return false;
        };
        let asking = self.desk.asking.swap_remove(at);
        let error =
            Error::new(ErrorCode::Timeout, "the part that owns addresses did not answer within a second");
        self.end_asking(now, asking, Err(error));
        true
    }

    fn end_asking(&mut self, now: Now, asking: Asking, outcome: Result<Done>) {
        let Asking { client, id, command, change, .. } = asking;
        // What was not answered may come again.
        let kept = !matches!(&outcome, Err(error) if error.code() == ErrorCode::Timeout);
        if let Some(change) = change.filter(|_| kept) {
            let answer = outcome.clone().map(|done| crate::engine::Answer {
                message: done.message,
                rule: done.rule,
                sequence: 0,
            });
            self.desk.memory.keep(id, change, answer);
        }
        self.count_request(Some(command), &outcome);
        self.answer(now, client, Answer { id: Some(id), outcome });
    }

    /// The end: nobody answers any more.
    pub(super) fn dismiss_tier(&mut self, now: Now) {
        for asking in core::mem::take(&mut self.desk.asking) {
            self.end_asking(now, asking, Err(gone()));
        }
    }
}
