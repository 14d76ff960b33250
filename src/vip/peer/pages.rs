//! The bodies of messages: a state on as many pages as it needs, orders likewise.

use super::message::{LARGEST_BODY, OrdersBody, OwnState, StateBody, VipState};
use std::collections::BTreeMap;

/// What every page says.
pub(super) struct Front<'a> {
    pub revision: u64,
    pub interval_ms: u64,
    pub digest: u64,
    pub state: &'a OwnState,
}

/// The state as bodies, each of which fits into a datagram.
pub(super) fn state(front: &Front<'_>) -> Vec<Vec<u8>> {
    let empty = |after: Option<String>| StateBody {
        revision: front.revision,
        interval_ms: front.interval_ms,
        digest: front.digest,
        agent: front.state.agent.clone(),
        standby: front.state.standby,
        count: front.state.vips.len(),
        after,
        until: None,
        vips: BTreeMap::new(),
    };
    // The length without addresses, with the longest names at both ends.
    let longest = Some("x".repeat(super::message::LONGEST_NAME));
    let frame = json(&StateBody { until: longest.clone(), ..empty(longest) }).len();
    let mut pages = Vec::new();
    let (mut page, mut length) = (empty(None), frame);
    for (name, vip) in &front.state.vips {
        let row = row_length(name, vip);
        if length + row > LARGEST_BODY && !page.vips.is_empty() {
            let last = page.vips.keys().next_back().cloned();
            page.until = last.clone();
            pages.push(json(&page));
            (page, length) = (empty(last), frame);
        }
        page.vips.insert(name.clone(), vip.clone());
        length += row;
    }
    pages.push(json(&page));
    pages
}

/// The orders as bodies.
pub(super) fn orders(lines: impl Iterator<Item = String>) -> Vec<Vec<u8>> {
    let frame = json(&OrdersBody { orders: Vec::new() }).len();
    let mut pages = Vec::new();
    let (mut page, mut length) = (OrdersBody { orders: Vec::new() }, frame);
    for line in lines {
        // Two quotes and a comma; nothing in a line needs an escape.
        let row = line.len() + 3;
        if length + row > LARGEST_BODY {
            pages.push(json(&page));
            (page, length) = (OrdersBody { orders: Vec::new() }, frame);
        }
        page.orders.push(line);
        length += row;
    }
    if !page.orders.is_empty() {
        pages.push(json(&page));
    }
    pages
}

/// Bytes of an address on a page, with quotes, colon and comma.
fn row_length(name: &str, vip: &VipState) -> usize {
    name.len() + 4 + json(vip).len()
}

/// Our own types with texts as keys are always JSON.
pub(super) fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
