//! The text: exposition format 0.0.4 of Prometheus
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>): `# HELP` and `# TYPE` before the samples of a
//! metric, all samples of a metric together, every line ended by a line feed.

use super::figures::{DriverFigures, Figures, Life, NodeFigures, PoolFigures};
use super::table::{self as t, Metric};
use super::{Histogram, LinkTally};
use crate::engine::{EventKind, NodeSnapshot, PoolSnapshot};
use crate::policy::{rules, serving};
use crate::pool::{PoolStatus, State, Status};
use crate::probe::Cause;
use core::fmt::{self, Display, Write};

/// The media type of the text, for who serves it by HTTP.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether TLS is built in.
#[cfg(feature = "tls")]
const TLS: &str = "yes";
#[cfg(not(feature = "tls"))]
const TLS: &str = "no";

/// A duration or time in seconds, printed without floating point.
#[derive(Clone, Copy)]
pub(super) struct Seconds(u64);

impl Seconds {
    pub(super) fn of_millis(ms: u64) -> Seconds {
        Seconds(ms.saturating_mul(1000))
    }

    fn of(span: core::time::Duration) -> Seconds {
        Seconds(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
    }
}

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, mut rest, mut digits) = (self.0 / 1_000_000, self.0 % 1_000_000, 6);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        while rest % 10 == 0 {
            rest /= 10;
            digits -= 1;
        }
        write!(f, "{whole}.{rest:0digits$}")
    }
}

/// The text while it grows.
#[derive(Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    pub(super) fn head(&mut self, metric: &Metric) {
        // Writing to a string does not fail, here and below.
        let _ = writeln!(self.text, "# HELP {} {}", metric.name, Help(metric.help));
        let _ = writeln!(self.text, "# TYPE {} {}", metric.name, metric.kind.name());
    }

    /// One line; `values` go with the metric's labels.
    pub(super) fn line(&mut self, metric: &Metric, values: &[&str], value: impl Display) {
        self.begin(metric, "", values);
        if !values.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    fn begin(&mut self, metric: &Metric, suffix: &str, values: &[&str]) {
        debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
        self.text.push_str(metric.name);
        self.text.push_str(suffix);
        let mut before = '{';
        for (label, value) in metric.labels.iter().zip(values) {
            self.text.push(before);
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(&mut self.text, value);
            self.text.push('"');
            before = ',';
        }
    }

    /// All lines of one histogram.
    fn histogram(&mut self, metric: &Metric, values: &[&str], histogram: &Histogram) {
        let open = if values.is_empty() { '{' } else { ',' };
        for (bound, count) in histogram.up_to() {
            self.begin(metric, "_bucket", values);
            let _ = writeln!(self.text, "{open}le=\"{}\"}} {count}", Seconds(u64::from(bound)));
        }
        self.begin(metric, "_bucket", values);
        let _ = writeln!(self.text, "{open}le=\"+Inf\"}} {}", histogram.count());
        let close = if values.is_empty() { "" } else { "}" };
        self.begin(metric, "_sum", values);
        let _ = writeln!(self.text, "{close} {}", Seconds(histogram.sum()));
        self.begin(metric, "_count", values);
        let _ = writeln!(self.text, "{close} {}", histogram.count());
    }

    /// A metric without labels.
    fn single(&mut self, metric: &Metric, value: impl Display) {
        self.head(metric);
        self.line(metric, &[], value);
    }
}

/// A label's value: backslash, quotation mark and line feed are escaped.
fn escape(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

/// A metric's sentence: backslash and line feed are escaped.
struct Help(&'static str);

impl Display for Help {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}

/// The figures as text.
pub fn text(figures: &Figures) -> String {
    let mut page = Page::default();
    page.head(&t::BUILD);
    page.line(&t::BUILD, &[env!("CARGO_PKG_VERSION"), TLS], 1);
    page.single(&t::LIVE, u8::from(figures.life.is_some()));
    if let Some(life) = &figures.life {
        page.single(&t::FAILED, u8::from(life.failed));
        if life.since_ms > 0 {
            page.single(&t::SINCE, Seconds::of_millis(life.since_ms));
        }
    }
    if figures.written_ms > 0 {
        page.single(&t::WRITTEN, Seconds::of_millis(figures.written_ms));
    }
    if let Some(life) = &figures.life {
        instance(&mut page, life);
    }
    pools(&mut page, figures);
    nodes(&mut page, figures);
    page.text
}

fn instance(page: &mut Page, life: &Life) {
    let (desk, driver, events) = (&life.desk, &life.driver.tally, &life.events);
    page.head(&t::WRITES);
    page.line(&t::WRITES, &["ok"], desk.written);
    page.line(&t::WRITES, &["failed"], desk.write_failures);
    page.head(&t::LATENESS);
    page.histogram(&t::LATENESS, &[], &driver.lateness);
    page.single(&t::LATE, driver.late);
    page.single(&t::CONNECTIONS, life.driver.connections);
    page.head(&t::RESOLVER);
    page.line(&t::RESOLVER, &["ok"], driver.resolved);
    page.line(&t::RESOLVER, &["failed"], driver.unresolved);
    page.head(&t::REQUESTS);
    for ((command, outcome), count) in &desk.requests {
        page.line(&t::REQUESTS, &[command, outcome], count);
    }
    page.head(&t::REFUSED);
    page.line(&t::REFUSED, &["user"], driver.strangers);
    page.line(&t::REFUSED, &["crowded"], driver.crowded);
    page.head(&t::EVENTS);
    for &kind in EventKind::ALL {
        page.line(&t::EVENTS, &[kind.name()], events.events(kind));
    }
    page.single(&t::LOST, events.lost);
    page.single(&t::SUBSCRIBERS, events.queues);
    page.single(&t::WITHHELD, events.withheld);
}

fn pools(page: &mut Page, figures: &Figures) {
    let pools = &figures.snapshot.pools;
    let each = |page: &mut Page, metric: &Metric, value: fn(&PoolSnapshot) -> u64| {
        page.head(metric);
        for pool in pools {
            page.line(metric, &[&pool.name], value(pool));
        }
    };
    page.head(&t::POOL);
    for pool in pools {
        page.line(&t::POOL, &[&pool.name, pool.kind.name(), pool.policy.name()], 1);
    }
    each(page, &t::POOL_FAILED, |pool| u64::from(pool.status == PoolStatus::Fail));
    each(page, &t::EPOCH, |pool| pool.epoch);
    if figures.life.is_some() {
        each(page, &t::PAUSED, |pool| u64::from(pool.paused));
    }
    page.head(&t::ACTIVE);
    for pool in pools {
        if let Some(active) = pool.active.and_then(|at| pool.nodes.get(at)) {
            page.line(&t::ACTIVE, &[&pool.name, &active.name], 1);
        }
    }
    let Some(life) = &figures.life else { return };
    let counted = || pools.iter().zip(&life.pools);
    page.head(&t::SWITCHES);
    for (pool, PoolFigures { tally, .. }) in counted() {
        page.line(&t::SWITCHES, &[&pool.name], tally.switches);
    }
    page.head(&t::RULES);
    for (pool, PoolFigures { tally, .. }) in counted() {
        let mut rules: Vec<u16> = rules(pool.policy, pool.kind).chain(tally.rules.keys().copied()).collect();
        rules.sort_unstable();
        rules.dedup();
        for rule in rules {
            let count = tally.rules.get(&rule).copied().unwrap_or(0);
            page.line(&t::RULES, &[&pool.name, pool.policy.name(), &rule.to_string()], count);
        }
    }
}

/// Prints a metric for every node for which it has a value.
fn each<V: Display>(
    page: &mut Page,
    figures: &Figures,
    metric: &Metric,
    value: impl Fn(&PoolSnapshot, usize, &NodeSnapshot) -> Option<V>,
) {
    page.head(metric);
    for pool in &figures.snapshot.pools {
        for (i, node) in pool.nodes.iter().enumerate() {
            if let Some(value) = value(pool, i, node) {
                page.line(metric, &[&pool.name, &node.name], value);
            }
        }
    }
}

fn nodes(page: &mut Page, figures: &Figures) {
    let all =
        || figures.snapshot.pools.iter().flat_map(|pool| pool.nodes.iter().map(move |node| (pool, node)));
    let moment = |ms: u64| Some(ms).filter(|&ms| ms > 0).map(Seconds::of_millis);
    page.head(&t::NODE);
    for (pool, node) in all() {
        let flavour = node.facts.flavour.map_or("", |flavour| flavour.name());
        let version = node.facts.version.map(|version| version.to_string()).unwrap_or_default();
        let values = [&pool.name, &node.name, node.node_type.name(), &node.site, flavour, &version];
        page.line(&t::NODE, &values, 1);
    }
    page.head(&t::STATE);
    for (pool, node) in all() {
        for &state in State::ALL {
            page.line(&t::STATE, &[&pool.name, &node.name, state.name()], u8::from(state == node.state));
        }
    }
    page.head(&t::STATUS);
    for (pool, node) in all() {
        for &status in Status::ALL {
            page.line(&t::STATUS, &[&pool.name, &node.name, status.name()], u8::from(status == node.status));
        }
    }
    each(page, figures, &t::UP, |pool, _, node| {
        Some(u8::from(serving::is_up(pool.policy, node.state, node.status)))
    });
    each(page, figures, &t::SERVES, |pool, i, node| {
        let chosen = pool.active == Some(i);
        Some(u8::from(serving::is_active(pool.policy, chosen, node.state, node.status)))
    });
    each(page, figures, &t::BAD, |_, _, node| node.count);
    each(page, figures, &t::WAITS, |_, _, node| Some(u8::from(node.waits_for_recover)));
    each(page, figures, &t::OBSERVED, |_, _, node| moment(node.observed_ms));
    each(page, figures, &t::CHANGED, |_, _, node| moment(node.changed_ms));
    let Some(life) = &figures.life else { return };
    each(page, figures, &t::LAG, |_, _, node| {
        node.facts.channels.iter().flatten().filter_map(|channel| channel.lag).max().map(Seconds::of)
    });
    each(page, figures, &t::ROUND_TRIP, |_, _, node| node.facts.round_trip.map(Seconds::of));
    each(page, figures, &t::BACKEND, |_, _, node| {
        node.facts.backend.as_ref().map(|backend| u8::from(backend.good))
    });
    let counted = || {
        let pools = figures.snapshot.pools.iter().zip(&life.pools);
        pools.flat_map(|(pool, figures)| {
            pool.nodes.iter().zip(&figures.nodes).map(move |(node, f)| (pool, node, f))
        })
    };
    page.head(&t::STRANDED);
    for (pool, node, NodeFigures { stranded, .. }) in counted() {
        if let Some(stranded) = stranded {
            page.line(&t::STRANDED, &[&pool.name, &node.name], stranded);
        }
    }
    each(page, figures, &t::THREADS, |_, _, node| node.facts.threads_connected);
    each(page, figures, &t::CAPACITY, |_, _, node| node.facts.max_connections);
    page.head(&t::OBSERVATIONS);
    for (pool, node, NodeFigures { tally, .. }) in counted() {
        for &cause in Cause::ALL {
            let values = [&pool.name, &node.name, cause.name()];
            page.line(&t::OBSERVATIONS, &values, tally.observations(cause));
        }
    }
    page.head(&t::DISCARDED);
    for (pool, node, NodeFigures { tally, .. }) in counted() {
        page.line(&t::DISCARDED, &[&pool.name, &node.name], tally.discarded);
    }
    page.head(&t::TIMES);
    for (pool, node, NodeFigures { tally, .. }) in counted() {
        page.histogram(&t::TIMES, &[&pool.name, &node.name], &tally.times);
    }
    let linked = |page: &mut Page, metric: &Metric, value: fn(&LinkTally) -> u64| {
        page.head(metric);
        for (pool, node, link) in links(&life.driver, counted()) {
            page.line(metric, &[&pool.name, &node.name], value(link));
        }
    };
    linked(page, &t::CONNECTS, |link| link.connects);
    page.head(&t::LOGINS);
    for (pool, node, link) in links(&life.driver, counted()) {
        page.line(&t::LOGINS, &[&pool.name, &node.name, "no"], link.plain_logins);
        page.line(&t::LOGINS, &[&pool.name, &node.name, "yes"], link.tls_logins);
    }
    linked(page, &t::CUT, |link| link.lost);
    proxies(page, life);
    if let Some(tier) = &life.tier {
        super::tier::addresses(page, tier);
    }
}

/// Proxies that are pushed to.
fn proxies(page: &mut Page, life: &Life) {
    let proxies = &life.driver.proxies;
    page.head(&t::PROXY);
    for (proxy, tally) in proxies {
        page.line(&t::PROXY, &[proxy], u8::from(tally.up));
    }
    page.head(&t::PROXY_COMMANDS);
    for (proxy, tally) in proxies {
        page.line(&t::PROXY_COMMANDS, &[proxy, "done"], tally.done);
        page.line(&t::PROXY_COMMANDS, &[proxy, "refused"], tally.refused);
    }
    let each = |page: &mut Page, metric: &Metric, count: fn(&crate::mpp::Tally) -> u64| {
        page.head(metric);
        for (proxy, tally) in proxies {
            page.line(metric, &[proxy], count(tally));
        }
    };
    each(page, &t::PROXY_INITIALIZED, |tally| tally.initialized);
    each(page, &t::PROXY_CYCLES, |tally| tally.cycles);
    each(page, &t::PROXY_FAILURES, |tally| tally.failures);
}

/// Nodes that the library probes itself.
fn links<'a>(
    driver: &'a DriverFigures,
    counted: impl Iterator<Item = (&'a PoolSnapshot, &'a NodeSnapshot, &'a NodeFigures)>,
) -> impl Iterator<Item = (&'a PoolSnapshot, &'a NodeSnapshot, &'a LinkTally)> {
    counted.filter_map(|(pool, node, figures)| Some((pool, node, driver.links.get(&figures.node)?)))
}
