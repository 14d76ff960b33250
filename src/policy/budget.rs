//! The worst case from fault to switch, computed from the configuration.
//!
//! Each figure is the sum of what the schedule and the ladder allow at most, plus [`MARGIN`] for what happens
//! outside: the operating system's wake-ups and the candidate's own login. A kernel that takes longer to tear a
//! killed server down begins the fault later.

use crate::config::{CheckConfig, NodeConfig, OnDoubt, PoolConfig, ProbeConfig, ProbeMode, print_duration};
use crate::engine::BACK_OFF;
use crate::engine::time::Duration;
use crate::pool::{PolicyName, PoolKind};
use crate::probe::{CheckMethod, Checkpoint, Class};
use core::fmt;

/// Added to every figure for wake-ups and the candidate's login.
pub const MARGIN: Duration = Duration::from_millis(20);

/// How long a class of fault may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worst {
    /// At most this long from the fault to the switch.
    Within(Duration),
    /// This class never fails an ACTIVE node.
    Never,
    /// The host observes, in its own time.
    HostsPace,
}

impl fmt::Display for Worst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Worst::Within(span) => f.pad(&print_duration(*span)),
            Worst::Never => f.pad("never"),
            Worst::HostsPace => f.pad("host's"),
        }
    }
}

/// One line of the budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetLine {
    /// The class of the fault.
    pub class: Class,
    /// What kind of fault, in words: "server killed, a connection is kept".
    pub fault: &'static str,
    /// Longest time from the fault to the switch.
    pub worst: Worst,
    /// How the figure comes about, in the configuration's words.
    pub formula: String,
}

/// The budget of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The pool's name.
    pub pool: String,
    /// One line for each kind of fault.
    pub lines: Vec<BudgetLine>,
    /// Connections that the prober keeps open at each node.
    pub connections_per_node: u32,
    /// The shortest time between two fresh logins at a node while all is well.
    pub login_interval: Duration,
    /// The longest time that a failed node is left alone.
    pub back_off: Duration,
    /// The most checkpoints that are looked at for one node.
    pub checkpoints: usize,
    /// The longest time that they take, all at once. Under `mpp` a cycle waits for them.
    pub check_time: Duration,
}

/// The budget of a pool. The slowest node's settings count.
pub fn budget(pool: &PoolConfig) -> Budget {
    let external = pool.probe_mode == ProbeMode::External;
    let follows = matches!(pool.kind, PoolKind::Replicated | PoolKind::Group);
    let lines = match (external, pool.policy) {
        (true, _) => external_lines(pool),
        (false, PolicyName::Safe) if pool.kind == PoolKind::Router => router_lines(pool),
        (false, PolicyName::Safe) if follows => follow_lines(pool),
        (false, PolicyName::Safe) => safe_lines(pool),
        (false, PolicyName::Mpp) => mpp_lines(pool),
    };
    // A router's node has one for each check that connects.
    let of_checks = |n: &NodeConfig| n.checks.iter().filter(|check| check.port().is_some()).count();
    let most = pool.nodes.iter().map(of_checks).max().unwrap_or(0).max(1);
    Budget {
        pool: pool.name.clone(),
        lines,
        connections_per_node: if external { 0 } else { u32::try_from(most).unwrap_or(u32::MAX) },
        login_interval: pool.nodes.iter().map(|n| n.probe.login_interval).min().unwrap_or_default(),
        back_off: match pool.policy {
            PolicyName::Safe => worst(pool, |p| p.interval).max(BACK_OFF),
            PolicyName::Mpp => worst(pool, |p| p.interval),
        },
        checkpoints: pool.nodes.iter().map(|n| n.checkpoints.len()).max().unwrap_or_default(),
        check_time: check_time(pool),
    }
}

/// The longest time that a node's checkpoints take: each step has `timeout`, the whole `probe_timeout`.
fn check_time(pool: &PoolConfig) -> Duration {
    let of = |node: &NodeConfig, checkpoint: &Checkpoint| {
        let steps = match checkpoint.method {
            CheckMethod::Simple => node.probe.timeout,
            CheckMethod::Http => node.probe.timeout * 2,
            CheckMethod::Mysql => node.probe.probe_timeout,
        };
        steps.min(node.probe.probe_timeout)
    };
    let times = pool.nodes.iter().flat_map(|node| node.checkpoints.iter().map(move |c| of(node, c)));
    times.max().unwrap_or_default()
}

fn worst(pool: &PoolConfig, of: impl Fn(&ProbeConfig) -> Duration) -> Duration {
    pool.nodes.iter().map(|n| of(&n.probe)).max().unwrap_or_default()
}

fn never(class: Class, fault: &'static str, why: &str) -> BudgetLine {
    BudgetLine { class, fault, worst: Worst::Never, formula: why.to_string() }
}

fn safe_lines(pool: &PoolConfig) -> Vec<BudgetLine> {
    let fall = pool.fall;
    let interval = worst(pool, |p| p.interval);
    let confirm = worst(pool, |p| p.confirm_interval);
    let step = worst(pool, |p| p.timeout.max(p.confirm_interval));
    let silence = worst(pool, |p| p.silence);
    // While checkpoints that were asked for the path have not answered, a silent node is held.
    let held = step + check_time(pool);
    let waits = match check_time(pool) {
        Duration::ZERO => String::new(),
        time => format!(" + checkpoints {}", print_duration(time)),
    };
    let [i, c, t, s, m] = [interval, confirm, step, silence, MARGIN].map(print_duration);
    let mut lines = vec![
        BudgetLine {
            class: Class::Gone,
            fault: "server gone, its end closes the kept connection",
            worst: Worst::Within(confirm * fall + MARGIN),
            formula: format!("fall {fall} x confirm_interval {c} + {m}"),
        },
        BudgetLine {
            class: Class::Gone,
            fault: "server gone, nothing tells of it",
            worst: Worst::Within(interval + confirm * fall.saturating_sub(1) + MARGIN),
            formula: format!("interval {i} + {} x confirm_interval {c} + {m}", fall - 1),
        },
        BudgetLine {
            class: Class::Hung,
            fault: "server hangs, its host answers",
            worst: Worst::Within(interval + step * fall + MARGIN),
            formula: format!("interval {i} + fall {fall} x timeout {t} + {m}"),
        },
        BudgetLine {
            class: Class::Silent,
            fault: "host or network silent",
            // One observation may be held until another node has proven the path.
            worst: Worst::Within(interval + (silence + step).max(step * fall + held) + MARGIN),
            formula: if silence + step >= step * fall + held {
                format!("interval {i} + silence {s} + timeout {t} + {m}")
            } else {
                format!("interval {i} + {} x timeout {t}{waits} + {m}", fall + 1)
            },
        },
    ];
    let unheard = (interval + step * fall).max(interval + (silence + step).max(step * fall + held));
    let heard = "hung or silent, but a replica still hears it";
    lines.push(match pool.on_doubt {
        OnDoubt::Hold => never(Class::Silent, heard, "on_doubt hold: held for as long as that lasts"),
        OnDoubt::Fail => BudgetLine {
            class: Class::Silent,
            fault: heard,
            worst: Worst::Within(unheard + pool.doubt_deadline + MARGIN),
            formula: format!(
                "the slower of the two above + doubt_deadline {}",
                print_duration(pool.doubt_deadline)
            ),
        },
    });
    if pool.fail_on.is_empty() {
        lines.push(never(Class::Refusing, "server refuses the prober", "alive: it stops at OK_CRITICAL"));
    } else {
        let causes: Vec<&str> = pool.fail_on.iter().map(|c| c.name()).collect();
        lines.push(BudgetLine {
            class: Class::Refusing,
            fault: "server refuses the prober, cause in fail_on",
            worst: Worst::Within(interval + step * fall + MARGIN),
            formula: format!("{}: interval {i} + fall {fall} x timeout {t} + {m}", causes.join(", ")),
        });
    }
    lines.push(never(
        Class::Replication,
        "replication stopped or late",
        "it stops at OK_WARN on an ACTIVE node",
    ));
    lines.push(never(Class::Blind, "the prober's own fault", "nothing is counted"));
    lines
}

/// Routers hold no data: nothing replicates, and what they refuse, or what is behind them, fails nobody.
fn router_lines(pool: &PoolConfig) -> Vec<BudgetLine> {
    let confirm = worst(pool, |p| p.confirm_interval);
    let [c, m] = [confirm, MARGIN].map(print_duration);
    let mut lines = Vec::new();
    let watched = |node: &NodeConfig| node.checks.iter().any(|c| matches!(c, CheckConfig::Process { .. }));
    if pool.nodes.iter().any(watched) {
        lines.push(BudgetLine {
            class: Class::Gone,
            fault: "process ended, its own host watches it",
            // Nothing is confirmed; the stand-in is looked at once more.
            worst: Worst::Within(confirm + MARGIN),
            formula: format!("a look at the stand-in: confirm_interval {c} + {m}"),
        });
    }
    for line in safe_lines(pool) {
        match line.class {
            Class::Silent if line.fault.contains("replica") => {}
            Class::Refusing => lines.push(never(
                Class::Refusing,
                "router refuses, or what is behind it is down",
                "alive: it stops at OK_WARN or OK_CRITICAL",
            )),
            Class::Replication => {}
            _ => lines.push(line),
        }
    }
    lines
}

/// Where the pool follows: from the moment in which another node takes writes, or a failed one is known to have failed.
fn follow_lines(pool: &PoolConfig) -> Vec<BudgetLine> {
    let interval = worst(pool, |p| p.interval);
    let timeout = worst(pool, |p| p.timeout);
    let [i, t, m] = [interval, timeout, MARGIN].map(print_duration);
    let (moved, failed) = match pool.kind {
        PoolKind::Group => ("the group names another node", "until the group names another: ACTIVE at FAIL"),
        _ => {
            ("another node takes writes, the old one does not", "until another takes writes: ACTIVE at FAIL")
        }
    };
    let mut lines = vec![BudgetLine {
        class: Class::Ok,
        fault: moved,
        // The last node to be asked may be the one; and one that does not answer holds nobody up for longer than this.
        worst: Worst::Within(interval + timeout + MARGIN),
        formula: format!("interval {i} + timeout {t} + {m}"),
    }];
    for line in safe_lines(pool) {
        let unread = line.class == Class::Silent && line.fault.contains("replica");
        match line.class {
            Class::Gone | Class::Hung | Class::Silent if !unread => {
                let formula = format!("{}; {failed}", line.formula);
                lines.push(BudgetLine { formula, ..line });
            }
            Class::Refusing | Class::Blind => lines.push(line),
            _ => {}
        }
    }
    lines
}

fn mpp_lines(pool: &PoolConfig) -> Vec<BudgetLine> {
    let levels = pool.levels;
    let interval = worst(pool, |p| p.interval);
    let probe = worst(pool, |p| p.timeout);
    let checks = check_time(pool);
    let [i, t, m] = [interval, probe, MARGIN].map(print_duration);
    // A cycle in which a node cannot be reached ends when its checkpoints have been looked at, after the probe.
    let within = |look: Duration| {
        Worst::Within(interval + interval.max(look) * levels.saturating_sub(1) + look + MARGIN)
    };
    let (hanging, quick) = (within(probe + checks), within(checks));
    let waits = match checks {
        Duration::ZERO => String::new(),
        time => format!(" + checkpoints {}", print_duration(time)),
    };
    let in_cycles = |look: Duration, steps: String| match look <= interval {
        true => format!("levels {levels} x interval {i}{steps} + {m}"),
        // Each cycle is as long as its looks.
        false => format!("interval {i} + levels {levels} x ({}) + {m}", steps.trim_start_matches(" + ")),
    };
    let slow = in_cycles(probe + checks, format!(" + timeout {t}{waits}"));
    let fast = in_cycles(checks, waits.clone());
    let line =
        |class, fault, worst, formula: &String| BudgetLine { class, fault, worst, formula: formula.clone() };
    vec![
        line(Class::Gone, "server gone", quick, &fast),
        line(Class::Hung, "server hangs, its host answers", hanging, &slow),
        line(Class::Silent, "host or network silent", hanging, &slow),
        line(Class::Refusing, "server refuses the prober", quick, &fast),
        never(Class::Replication, "replication stopped or late", "an ACTIVE node is never failed for that"),
        never(Class::Blind, "the prober's own fault", "nothing is counted"),
    ]
}

fn external_lines(pool: &PoolConfig) -> Vec<BudgetLine> {
    let (count, what) = match pool.policy {
        PolicyName::Safe => (pool.fall, "observations"),
        PolicyName::Mpp => (pool.levels, "cycles"),
    };
    let classes = [
        (Class::Gone, "server gone"),
        (Class::Hung, "server hangs, its host answers"),
        (Class::Silent, "host or network silent"),
    ];
    let formula = format!("{count} bad {what}, at the pace of the host that makes them");
    let line =
        |(class, fault)| BudgetLine { class, fault, worst: Worst::HostsPace, formula: formula.clone() };
    classes.into_iter().map(line).collect()
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pool {}: longest time from a fault of the ACTIVE node to the switch", self.pool)?;
        for line in &self.lines {
            writeln!(
                f,
                "  {:<12} {:>8}  {:<48} {}",
                line.class.name(),
                line.worst,
                line.fault,
                line.formula
            )?;
        }
        write!(f, "  connections kept at each node: {}", self.connections_per_node)?;
        if self.connections_per_node > 0 {
            let (login, back_off) = (print_duration(self.login_interval), print_duration(self.back_off));
            write!(
                f,
                "; a fresh login every {login} and with each probe of a doubt; \
                 a failed node is probed every {back_off} at the slowest"
            )?;
        }
        if self.checkpoints > 0 {
            write!(
                f,
                "; checkpoints looked at for a node that cannot be reached: {}, within {}",
                self.checkpoints,
                print_duration(self.check_time)
            )?;
        }
        writeln!(f)
    }
}
