//! `primacy_snapshot`: the state of all pools at one moment.

use super::facts::FactsOut;
use super::guard::{call, count};
use super::handle::{Handle, free_idle, give, shell};
use super::instance::{Use, enter, primacy_instance};
use super::orders;
use super::slice::{StructOut, TextOut, c_string, handle_out, text};
use super::structs::{primacy_channel, primacy_node, primacy_pool, primacy_snapshot_info};
use crate::control::document;
use crate::engine::{NodeSnapshot, PoolSnapshot, Snapshot};
use crate::error::{Error, ErrorCode, Result};
use crate::pool::Address;
use core::ffi::c_char;
use serde_json::Value;
use std::ffi::CString;
use std::sync::Arc;

/// The state of all pools at one moment, detached from the instance.
pub struct primacy_snapshot {
    _private: [u8; 0],
}

/// One node with the strings that its structure points to.
struct NodeOut {
    name: CString,
    message: CString,
    site: CString,
    /// Why an operator ordered something.
    reason: CString,
    facts: FactsOut,
}

struct PoolOut {
    name: CString,
    frozen: CString,
    nodes: Vec<NodeOut>,
}

pub(super) struct SnapshotHandle {
    snapshot: Snapshot,
    pools: Vec<PoolOut>,
    /// Made when it is asked for the first time.
    json: Option<String>,
}

impl Handle for SnapshotHandle {
    type Opaque = primacy_snapshot;
    const MAGIC: u64 = 0x8e9a_5407_d1f3_0fe1;
    const NAME: &'static str = "primacy_snapshot";
    type Watched = ();

    fn watched(&self) {}
}

fn node_strings(node: &NodeSnapshot) -> NodeOut {
    NodeOut {
        name: c_string(&node.name),
        message: c_string(&node.message),
        site: c_string(&node.site),
        reason: c_string(node.override_.as_ref().map_or("", |order| &order.reason)),
        facts: FactsOut::new(&node.facts),
    }
}

fn no_element<T>(what: &str, index: u32, of: usize) -> Result<T> {
    Err(Error::new(ErrorCode::End, format!("there is no {what} {index}: there are {of}, counted from 0")))
}

fn pool_at(snapshot: &Snapshot, index: u32) -> Result<&PoolSnapshot> {
    match snapshot.pools.get(index as usize) {
        Some(pool) => Ok(pool),
        None => no_element("pool", index, snapshot.pools.len()),
    }
}

fn index(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

impl SnapshotHandle {
    pub(super) fn new(snapshot: Snapshot) -> SnapshotHandle {
        let pools = snapshot
            .pools
            .iter()
            .map(|pool| PoolOut {
                name: c_string(&pool.name),
                frozen: c_string(pool.frozen.as_ref().map_or("", |freeze| &freeze.reason)),
                nodes: pool.nodes.iter().map(node_strings).collect(),
            })
            .collect();
        SnapshotHandle { snapshot, pools, json: None }
    }

    /// Node `n` of pool `p` as it goes out.
    fn node(&self, p: u32, n: u32) -> Result<primacy_node> {
        let pool = pool_at(&self.snapshot, p)?;
        let strings = self.pools.get(p as usize).and_then(|pool| pool.nodes.get(n as usize));
        let (Some(node), Some(strings)) = (pool.nodes.get(n as usize), strings) else {
            return no_element("node", n, pool.nodes.len());
        };
        let mut out = primacy_node {
            size: 0,
            node_type: node.node_type as i32,
            state: node.state as i32,
            status: node.status as i32,
            count: node.count.map_or(-1, i64::from),
            cause: node.cause.map_or(-1, |cause| cause as i32),
            error_number: node.errno,
            rule: u32::from(node.rule),
            waits_for_recover: i32::from(node.waits_for_recover),
            observed_ms: node.observed_ms,
            changed_ms: node.changed_ms,
            name: strings.name.as_ptr(),
            message: strings.message.as_ptr(),
            site: strings.site.as_ptr(),
            weight: node.weight,
            flavour: 0,
            facts: 0,
            version: 0,
            server_id: 0,
            server_uuid: core::ptr::null(),
            gtids: core::ptr::null(),
            read_only: 0,
            super_read_only: 0,
            channel_count: 0,
            threads_connected: 0,
            max_connections: 0,
            reserved: 0,
            round_trip_us: 0,
            override_set: 0,
            override_state: 0,
            override_status: 0,
            override_type: 0,
            override_weight: 0,
            maintenance_role: 0,
            override_since_ms: 0,
            override_until_ms: 0,
            override_reason: strings.reason.as_ptr(),
        };
        if let Some(order) = &node.override_ {
            orders::fill(&mut out, order);
        }
        strings.facts.fill(&mut out, &node.facts);
        Ok(out)
    }
}

/// Runs `body` on the snapshot behind a handle.
///
/// # Safety
/// As for [`shell`].
unsafe fn read<R>(
    handle: *const primacy_snapshot,
    body: impl FnOnce(&mut SnapshotHandle) -> Result<R>,
) -> Result<R> {
    // SAFETY: the same condition.
    unsafe { shell::<SnapshotHandle>(handle) }?.exclusive(body)
}

/// Takes a snapshot of all pools.
///
/// @param p    the instance
/// @param out  where to write the handle
/// @return     0; PRIMACY_E_LOCKED; PRIMACY_E_CACHE; PRIMACY_E_IO; PRIMACY_E_FORKED; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Ownership: the caller frees the handle with primacy_snapshot_free; it may outlive the instance.
/// Thread: any thread. Time: short lock. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_snapshot_take(
    p: *mut primacy_instance,
    out: *mut *mut primacy_snapshot,
) -> i32 {
    call(|| {
        handle_out(out, "out")?;
        // SAFETY: the contract of handles; `out` is checked above.
        unsafe {
            let (taken, bond) = enter(p, Use::Reads, |instance, bond| {
                Ok((SnapshotHandle::new(instance.snapshot()?), Arc::clone(bond)))
            })?;
            out.write(give(taken, bond));
        }
        Ok(0)
    })
}

/// Frees a snapshot and every string that came from it.
///
/// @param snapshot  the snapshot, or NULL
/// @return          0; PRIMACY_E_HANDLE; PRIMACY_E_BUSY and nothing is freed
///
/// Thread: one call at a time. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_snapshot_free(snapshot: *mut primacy_snapshot) -> i32 {
    if snapshot.is_null() {
        return 0;
    }
    call(|| {
        // SAFETY: the contract of handles. In a child too this frees memory and closes numbers, no more.
        drop(unsafe { free_idle::<SnapshotHandle>(snapshot) }?);
        Ok(0)
    })
}

/// Says how many pools a snapshot has and when it was taken.
///
/// @param snapshot  the snapshot
/// @param out       the structure to fill; its `size` is set
/// @return          0; PRIMACY_E_SIZE; PRIMACY_E_FORKED; PRIMACY_E_BUSY; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Thread: one call at a time. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_snapshot_get(
    snapshot: *const primacy_snapshot,
    out: *mut primacy_snapshot_info,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and structures.
        unsafe {
            read(snapshot, |this| {
                StructOut::new(out, "out")?.put(&primacy_snapshot_info {
                    size: 0,
                    pool_count: u32::try_from(this.pools.len()).unwrap_or(u32::MAX),
                    wall_ms: this.snapshot.wall_ms,
                });
                Ok(0)
            })
        }
    })
}

/// Reads one pool of a snapshot.
///
/// @param snapshot  the snapshot
/// @param pool      index of the pool, from 0, in configuration order
/// @param out       the structure to fill; its `size` is set
/// @return          0; PRIMACY_E_END behind the last pool; PRIMACY_E_SIZE; PRIMACY_E_FORKED; PRIMACY_E_BUSY;
///                  PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Ownership: strings belong to the snapshot.
/// Thread: one call at a time. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_snapshot_pool(
    snapshot: *const primacy_snapshot,
    pool: u32,
    out: *mut primacy_pool,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and structures.
        unsafe {
            read(snapshot, |this| {
                let out = StructOut::new(out, "out")?;
                let from = pool_at(&this.snapshot, pool)?;
                let strings = this.pools.get(pool as usize);
                let name = strings.map_or(c"".as_ptr(), |pool| pool.name.as_ptr());
                let frozen = from.frozen.as_ref();
                out.put(&primacy_pool {
                    size: 0,
                    kind: from.kind as i32,
                    policy: from.policy as i32,
                    status: from.status as i32,
                    epoch: from.epoch,
                    active: from.active.map_or(-1, index),
                    paused: i32::from(from.paused),
                    node_count: u32::try_from(from.nodes.len()).unwrap_or(u32::MAX),
                    reserved: 0,
                    name,
                    frozen: i32::from(frozen.is_some()),
                    reserved2: 0,
                    frozen_since_ms: frozen.map_or(0, |freeze| freeze.since_ms),
                    frozen_until_ms: frozen.and_then(|freeze| freeze.until_ms).unwrap_or(0),
                    frozen_reason: strings.map_or(c"".as_ptr(), |pool| pool.frozen.as_ptr()),
                });
                Ok(0)
            })
        }
    })
}

/// Finds a pool of a snapshot by its name.
///
/// @param snapshot  the snapshot
/// @param name      the pool's name
/// @return          its index; PRIMACY_E_NOT_FOUND; PRIMACY_E_FORKED; PRIMACY_E_BUSY; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Thread: one call at a time. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_snapshot_find_pool(
    snapshot: *const primacy_snapshot,
    name: *const c_char,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and strings.
        unsafe {
            read(snapshot, |this| {
                let name = text(name, "name")?;
                match this.snapshot.pools.iter().position(|pool| pool.name == name) {
                    Some(at) => count(at),
                    None => Err(Error::new(ErrorCode::NotFound, format!("there is no pool {name:?}"))),
                }
            })
        }
    })
}

/// Reads one node of a snapshot.
///
/// @param snapshot  the snapshot
/// @param pool      index of the pool, from 0
/// @param node      index of the node in it, from 0, in configuration order
/// @param out       the structure to fill; its `size` is set
/// @return          0; PRIMACY_E_END behind the last pool or node; PRIMACY_E_SIZE; PRIMACY_E_FORKED; PRIMACY_E_BUSY;
///                  PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Ownership: strings belong to the snapshot.
/// Thread: one call at a time. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_snapshot_node(
    snapshot: *const primacy_snapshot,
    pool: u32,
    node: u32,
    out: *mut primacy_node,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and structures.
        unsafe {
            read(snapshot, |this| {
                let out = StructOut::new(out, "out")?;
                out.put(&this.node(pool, node)?);
                Ok(0)
            })
        }
    })
}

/// Finds a node of a snapshot by its address.
///
/// @param snapshot  the snapshot
/// @param pool      index of the pool, from 0
/// @param address   the node's address in any spelling
/// @return          its index; PRIMACY_E_NOT_FOUND; PRIMACY_E_END behind the last pool; PRIMACY_E_FORKED; PRIMACY_E_BUSY;
///                  PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Thread: one call at a time. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_snapshot_find_node(
    snapshot: *const primacy_snapshot,
    pool: u32,
    address: *const c_char,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and strings.
        unsafe {
            read(snapshot, |this| {
                let given = text(address, "address")?;
                let address = Address::parse(given)
                    .map_err(|why| Error::new(ErrorCode::Invalid, format!("`address`: {why}")))?
                    .to_string();
                let pool = pool_at(&this.snapshot, pool)?;
                match pool.nodes.iter().position(|node| node.name == address) {
                    Some(at) => count(at),
                    None => Err(Error::new(
                        ErrorCode::NotFound,
                        format!("there is no node {address} in pool {:?}", pool.name),
                    )),
                }
            })
        }
    })
}

/// Reads the node of a pool that takes the clients.
///
/// @param snapshot  the snapshot
/// @param pool      index of the pool, from 0
/// @param out       the structure to fill; its `size` is set
/// @return          1 and `out` is written; 0 if there is none, or routing pauses for a hand-over; PRIMACY_E_END behind the
///                  last pool; PRIMACY_E_SIZE; PRIMACY_E_FORKED; PRIMACY_E_BUSY; PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Ownership: strings belong to the snapshot.
/// Thread: one call at a time. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_snapshot_active(
    snapshot: *const primacy_snapshot,
    pool: u32,
    out: *mut primacy_node,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and structures.
        unsafe {
            read(snapshot, |this| {
                let out = StructOut::new(out, "out")?;
                let from = pool_at(&this.snapshot, pool)?;
                let Some(active) = from.active.filter(|_| !from.paused) else { return Ok(0) };
                out.put(&this.node(pool, u32::try_from(active).unwrap_or(u32::MAX))?);
                Ok(1)
            })
        }
    })
}

/// Reads one replication channel of a node.
///
/// @param snapshot  the snapshot
/// @param pool      index of the pool, from 0
/// @param node      index of the node in it, from 0
/// @param channel   index of the channel, from 0; primacy_node says how many there are
/// @param out       the structure to fill; its `size` is set
/// @return          0; PRIMACY_E_END behind the last pool, node or channel; PRIMACY_E_SIZE; PRIMACY_E_FORKED; PRIMACY_E_BUSY;
///                  PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Ownership: strings belong to the snapshot.
/// Thread: one call at a time. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_snapshot_channel(
    snapshot: *const primacy_snapshot,
    pool: u32,
    node: u32,
    channel: u32,
    out: *mut primacy_channel,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and structures.
        unsafe {
            read(snapshot, |this| {
                let out = StructOut::new(out, "out")?;
                let from = pool_at(&this.snapshot, pool)?;
                let nodes = this.pools.get(pool as usize).map_or(&[][..], |pool| &pool.nodes);
                let Some(found) = nodes.get(node as usize) else {
                    return no_element("node", node, from.nodes.len());
                };
                match found.facts.channels.get(channel as usize) {
                    Some(channel) => out.put(channel.channel()),
                    None => return no_element("channel", channel, found.facts.channels.len()),
                }
                Ok(0)
            })
        }
    })
}

/// Writes a snapshot as JSON, names instead of numbers: the document of `primacy status --json`, whose keys docs/command.md
/// lists, without `source`, `cache` and `agent`.
///
/// @param snapshot  the snapshot
/// @param buf       where to write the text; may be NULL if `len` is 0
/// @param len       size of `buf` in bytes
/// @return          the length of the whole text without the NUL; PRIMACY_E_FORKED; PRIMACY_E_BUSY; PRIMACY_E_INVALID;
///                  PRIMACY_E_HANDLE
///
/// Ownership: the text is copied.
/// Thread: one call at a time. Time: never blocks. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_snapshot_json(
    snapshot: *const primacy_snapshot,
    buf: *mut c_char,
    len: usize,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and texts.
        unsafe {
            read(snapshot, |this| {
                let out = TextOut::new(buf, len)?;
                out.put(this.json.get_or_insert_with(|| Value::Object(document(&this.snapshot)).to_string()))
            })
        }
    })
}
