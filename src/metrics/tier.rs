//! Floating addresses and the hosts that share them.

use super::table::{self as t, Metric};
use super::text::{Page, Seconds};
use crate::vip::status::{RouterStatus, TierStatus, VipStatus};

/// All lines about the tier.
pub(super) fn addresses(page: &mut Page, tier: &TierStatus) {
    let each = |page: &mut Page, metric: &Metric, value: fn(&VipStatus) -> Option<u64>| {
        page.head(metric);
        for vip in &tier.vips {
            if let Some(value) = value(vip) {
                page.line(metric, &[&vip.name], value);
            }
        }
    };
    each(page, &t::VIP, |vip| Some(u64::from(vip.owns)));
    each(page, &t::VIP_SCORE, |vip| Some(u64::from(vip.score)));
    each(page, &t::VIP_LOCAL, |vip| vip.local.map(u64::from));
    each(page, &t::VIP_BACKEND, |vip| vip.backend.map(u64::from));
    each(page, &t::VIP_FAILURES, |vip| Some(u64::from(vip.failures)));
    each(page, &t::VIP_EPOCH, |vip| Some(vip.highest_epoch));
    each(page, &t::VIP_CLAIMS, |vip| Some(vip.claims));
    each(page, &t::VIP_RELEASES, |vip| Some(vip.releases));
    let of_routers = |vip: &VipStatus, count: fn(&RouterStatus) -> u64| {
        (!vip.routers.is_empty()).then(|| vip.routers.iter().map(count).sum::<u64>())
    };
    page.head(&t::VRRP_SENT);
    for vip in &tier.vips {
        if let Some(sent) = of_routers(vip, |router| router.sent) {
            page.line(&t::VRRP_SENT, &[&vip.name], sent);
        }
    }
    page.head(&t::VRRP_HEARD);
    for vip in &tier.vips {
        if let Some(heard) = of_routers(vip, |router| router.heard) {
            page.line(&t::VRRP_HEARD, &[&vip.name], heard);
        }
    }
    page.head(&t::VRRP_REJECTED);
    for vip in &tier.vips {
        let mut reasons = std::collections::BTreeMap::<&str, u64>::new();
        for (reason, count) in vip.routers.iter().flat_map(|router| &router.rejected) {
            *reasons.entry(reason).or_default() += count;
        }
        for (reason, count) in reasons {
            page.line(&t::VRRP_REJECTED, &[&vip.name, reason], count);
        }
    }
    page.head(&t::LEASE);
    for vip in &tier.vips {
        if let Some(ms) = vip.lease.as_ref().and_then(|lease| lease.valid_ms) {
            page.line(&t::LEASE, &[&vip.name], Seconds::of_millis(ms));
        }
    }
    page.head(&t::TIER_HOST);
    for host in &tier.tier.hosts {
        page.line(&t::TIER_HOST, &[&host.name], u8::from(host.known));
    }
    page.head(&t::TIER_CONFLICT);
    for vip in &tier.tier.vips {
        page.line(&t::TIER_CONFLICT, &[&vip.name], u8::from(vip.conflict));
    }
}
