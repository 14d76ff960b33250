//! What is told of datagrams that a peer's configuration explains: once, not once for each.

use super::reject::Reject;
use crate::engine::time::{Duration, Time};

/// A trouble that went away and came back is told again after this.
const PACE: Duration = Duration::from_secs(60);

/// The troubles of one peer.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// What is going on, and when it was told.
    told: Option<(Reject, Time)>,
    /// Whether the peer was understood since.
    over: bool,
}

impl Troubles {
    /// A datagram was taken.
    pub fn well(&mut self) {
        self.over = true;
    }

    /// A datagram was not taken: the sentence to tell, if it is one that people can mend and it is new.
    pub fn told(&mut self, now: Time, reject: Reject, peer: &str) -> Option<String> {
        let sentence = sentence(reject, peer)?;
        if let Some((before, at)) = self.told {
            // While it lasts it is one trouble; and forged ones between good ones are no more than one a minute.
            let same = before == reject && !self.over;
            if same || now.since(at) < PACE {
                return None;
            }
        }
        self.told = Some((reject, now));
        self.over = false;
        Some(sentence)
    }
}

fn sentence(reject: Reject, peer: &str) -> Option<String> {
    Some(match reject {
        Reject::Seal => format!(
            "what comes from the address of {peer} is not sealed with our key: put the same key into key_file on both hosts"
        ),
        Reject::Version => {
            format!(
                "{peer} speaks another version of the peer channel: run versions that understand each other"
            )
        }
        Reject::Sender => {
            format!(
                "what comes from the address of {peer} calls itself otherwise: compare the names and addresses of the hosts"
            )
        }
        Reject::Receiver => {
            format!("{peer} calls this host by another name: compare the names and addresses of the hosts")
        }
        Reject::Body | Reject::Kind | Reject::Bounds => {
            format!(
                "{peer} says what this version does not understand ({reject}): run the same version on both hosts"
            )
        }
        _ => return None,
    })
}
