//! Floating addresses: how the tier is, and operators' orders to it.

use super::guard::call;
use super::instance::{Use, enter, primacy_instance};
use super::slice::{StructOut, TextOut, optional_text, text};
use super::structs::primacy_vip;
use crate::error::{Error, ErrorCode, Result};
use crate::instance::{Instance, TierStatus};
use crate::vip::status::VipStatus;
use core::ffi::c_char;

/// The state of one VIP, and of the tier.
fn look(instance: &Instance, name: &str) -> Result<(TierStatus, VipStatus)> {
    let status = instance.vip_status()?;
    match status.vip(name).cloned() {
        Some(vip) => Ok((status, vip)),
        None => {
            let known: Vec<&str> = status.vips.iter().map(|vip| vip.name.as_str()).collect();
            let text = format!("there is no vip '{name}'; vips are {}", known.join(", "));
            Err(Error::new(ErrorCode::NotFound, text))
        }
    }
}

fn verdict(good: Option<bool>) -> i32 {
    good.map_or(-1, i32::from)
}

/// Gives the whole tier as JSON, seen from this host: {"tier": {"own", "hosts": [...], "vips": [...]}, "vips": [...]}.
///
/// "tier" is what all hosts say on the peer channel, "vips" this host's part in each floating address, in configuration order.
/// docs/vip.md names the keys; keys are only ever added.
///
/// @param p    the instance
/// @param buf  where to write the text; may be NULL if `len` is 0
/// @param len  size of `buf` in bytes
/// @return     the length of the whole text, which may be another one at the next call; PRIMACY_E_NOT_FOUND if no VIP is configured;
///             PRIMACY_E_STATE if the instance is not started; PRIMACY_E_LOCKED if another process decides, and owns the addresses;
///             PRIMACY_E_STOPPED; PRIMACY_E_TIMEOUT; PRIMACY_E_CACHE; PRIMACY_E_IO; PRIMACY_E_PANIC; PRIMACY_E_FORKED;
///             PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Ownership: the text is copied. Waits for a second at most.
/// Thread: any thread. Time: network. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_vip_status_json(
    p: *mut primacy_instance,
    buf: *mut c_char,
    len: usize,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and texts.
        unsafe {
            enter(p, Use::Reads, |instance, _| TextOut::new(buf, len)?.put(&instance.vip_status()?.to_json()))
        }
    })
}

/// Gives this host's part in a floating address.
///
/// @param p    the instance
/// @param vip  the VIP's name
/// @param out  where to write it; `size` is required
/// @return     0; PRIMACY_E_SIZE; otherwise as for primacy_vip_status_json
///
/// Ownership: plain data, copied. Waits for a second at most.
/// Thread: any thread. Time: network. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_vip_get(
    p: *mut primacy_instance,
    vip: *const c_char,
    out: *mut primacy_vip,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles, strings and structures.
        unsafe {
            enter(p, Use::Reads, |instance, _| {
                let (name, out) = (text(vip, "vip")?, StructOut::new(out, "out")?);
                let (tier, vip) = look(instance, name)?;
                let owners =
                    tier.tier.vips.iter().find(|one| one.name == name).map_or(0, |one| one.owners.len());
                out.put(&primacy_vip {
                    size: 0,
                    owns: i32::from(vip.owns),
                    stage: vip.stage() as i32,
                    score: vip.score.into(),
                    score_rule: vip.score_rule.into(),
                    place_rule: vip.place_rule.into(),
                    local: verdict(vip.local),
                    backend: verdict(vip.backend),
                    failures: vip.failures,
                    owner_count: u32::try_from(owners).unwrap_or(u32::MAX),
                    epoch: vip.epoch,
                    highest_epoch: vip.highest_epoch,
                    barred_ms: vip.barred_ms.unwrap_or(0),
                    claims: vip.claims,
                    releases: vip.releases,
                    down_interval_ms: vip.down_interval_ms,
                });
                Ok(0)
            })
        }
    })
}

/// Gives the name of the host that owns a floating address, as far as this host knows.
///
/// @param p    the instance
/// @param vip  the VIP's name
/// @param buf  where to write the name; may be NULL if `len` is 0
/// @param len  size of `buf` in bytes
/// @return     the length of the whole name; 0 if no owner is known; otherwise as for primacy_vip_status_json
///
/// Ownership: the text is copied. Waits for a second at most.
/// Thread: any thread. Time: network. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_vip_owner(
    p: *mut primacy_instance,
    vip: *const c_char,
    buf: *mut c_char,
    len: usize,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles, strings and texts.
        unsafe {
            enter(p, Use::Reads, |instance, _| {
                let (name, out) = (text(vip, "vip")?, TextOut::new(buf, len)?);
                out.put(&look(instance, name)?.1.owner.unwrap_or_default())
            })
        }
    })
}

/// Moves a floating address to a host, and holds it there until primacy_vip_clear: if that host cannot have it, the others can.
///
/// It returns once the move has begun. The order reaches all hosts, now or when they are heard again, and outlives restarts.
///
/// @param p     the instance
/// @param vip   the VIP's name
/// @param host  the host's name, as in `[tier] hosts`
/// @return      0; PRIMACY_E_REFUSED for a VIP or host that is not known, and for a host that is not heard or could not own the VIP now;
///              otherwise as for primacy_vip_status_json
///
/// Ownership: everything is copied. Waits for a second at most.
/// Thread: any thread. Time: network. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_vip_move(
    p: *mut primacy_instance,
    vip: *const c_char,
    host: *const c_char,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and strings.
        unsafe {
            enter(p, Use::Decides, |instance, _| {
                let (vip, host) = (text(vip, "vip")?, text(host, "host")?);
                instance.vip_move(vip, host).map(|_| 0)
            })
        }
    })
}

/// Ends a move, and forgets the failures of a floating address on all hosts, so that `failure_timeout` bars none.
///
/// Nothing moves by that alone, unless the stickiness lets it.
///
/// @param p    the instance
/// @param vip  the VIP's name
/// @return     0; otherwise as for primacy_vip_move
///
/// Ownership: everything is copied. Waits for a second at most for each host.
/// Thread: any thread. Time: network. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_vip_clear(p: *mut primacy_instance, vip: *const c_char) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and strings.
        unsafe { enter(p, Use::Decides, |instance, _| instance.vip_clear(text(vip, "vip")?).map(|_| 0)) }
    })
}

/// Takes a host of the tier out, or lets it in again: in standby it owns no address, not even as the last one. Outlives restarts.
///
/// @param p     the instance
/// @param host  the host's name, as in `[tier] hosts`
/// @param on    1 to take it out, 0 to let it in
/// @return      0; otherwise as for primacy_vip_move
///
/// Ownership: everything is copied. Waits for a second at most.
/// Thread: any thread. Time: network. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_vip_standby(p: *mut primacy_instance, host: *const c_char, on: i32) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and strings.
        unsafe {
            enter(p, Use::Decides, |instance, _| {
                let (host, on) = (text(host, "host")?, truth(on, "on")?);
                instance.vip_standby(host, on).map(|_| 0)
            })
        }
    })
}

/// Says what the service on this host is, for a floating address without a pool; before the first report it counts as in order.
///
/// @param p      the instance
/// @param vip    the VIP's name
/// @param good   1 if it is in order, 0 if it is not
/// @param words  one sentence for people; NULL for none
/// @return       0; PRIMACY_E_NOT_FOUND; PRIMACY_E_STATE for a VIP whose pool the library looks at, and if the instance is not started;
///               PRIMACY_E_LOCKED; PRIMACY_E_STOPPED; PRIMACY_E_CACHE; PRIMACY_E_IO; PRIMACY_E_PANIC; PRIMACY_E_FORKED;
///               PRIMACY_E_INVALID; PRIMACY_E_HANDLE
///
/// Ownership: everything is copied.
/// Thread: any thread. Time: disk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn primacy_vip_report(
    p: *mut primacy_instance,
    vip: *const c_char,
    good: i32,
    words: *const c_char,
) -> i32 {
    call(|| {
        // SAFETY: the contract of handles and strings.
        unsafe {
            enter(p, Use::Decides, |instance, _| {
                let (vip, good) = (text(vip, "vip")?, truth(good, "good")?);
                let words = optional_text(words, "words")?.unwrap_or_default();
                instance.vip_report(vip, good, words).map(|()| 0)
            })
        }
    })
}

/// 1 or 0: any other number is a mistake, and here it would move an address.
fn truth(number: i32, name: &str) -> Result<bool> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Error::new(ErrorCode::Invalid, format!("`{name}` is {other}: give 1 or 0"))),
    }
}
