//! A new configuration while the engine runs: what stays in it keeps its state.
//!
//! All of it happens or nothing: every row that can refuse is asked before anything changes.

use super::effect::Effect;
use super::event::{EventKind, Severity};
use super::follow::Following;
use super::input::NodeRef;
use super::outbox::{Draft, Outbox};
use super::pool_machine::{EPOCH_RESERVE, PoolMachine, Running};
use super::time::Now;
use super::{Deadlines, Engine, owner_at_start};
use crate::config::{Config, PoolConfig};
use crate::error::{Error, ErrorCode, Result};
use crate::policy::follow::Owner;
use crate::policy::mpp::{Member, Settings};
use crate::policy::{reload, rule_sentence, safe};
use crate::pool::overrides::types_in_force;
use crate::pool::{Address, Judge, Node, NodeType, PoolKind, State, Status};

/// What became of a reload that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconfigured {
    /// One sentence: what came, left and changed.
    pub message: String,
    /// The state as it is persisted is complete once this number is confirmed.
    pub sequence: u64,
    /// Every node that stays: its place before and now.
    pub moved: Vec<(NodeRef, NodeRef)>,
}

/// A pool of the new configuration, and where its nodes were.
struct Plan {
    /// Index of the pool before; `None` for a new one.
    was: Option<usize>,
    /// Index of each node before; `None` for a new one.
    nodes: Vec<Option<usize>>,
    /// Indices before of the nodes that leave.
    leaving: Vec<usize>,
}

impl Engine {
    /// Takes a new configuration into force.
    ///
    /// Pools are the same by name, nodes by address; what is the same keeps state, status, count, epoch, observations
    /// and the probe under way. New nodes and pools begin as UNKNOWN. Nodes that left are forgotten, also that an operator
    /// had removed them. Probes of nodes that stay must be answered with their new place.
    ///
    /// # Errors
    /// [`ErrorCode::Refused`] with the rule: a setting differs that is fixed for an instance's life, or the ACTIVE node
    /// of a pool would leave while nobody who stays may take over. Nothing has changed then.
    pub fn reconfigure(&mut self, now: Now, config: Config) -> Result<Reconfigured> {
        if let Some((row, keys)) = reload::refusal(&self.config, &config) {
            return Err(Error::new(
                ErrorCode::Refused,
                format!(
                    "the reload is refused by rule {}: {} cannot change while the instance lives: {}; the configuration \
                     before stays in force; restart to change it",
                    row.number,
                    keys.join(", "),
                    row.sentence
                ),
            ));
        }
        let plans: Vec<Plan> = config.pools.iter().map(|pool| self.plan(pool)).collect();
        for plan in &plans {
            let Some(pool) = plan.was.and_then(|was| self.pools.get(was)) else { continue };
            reload::take_out(&mut pool.judge.clone(), &plan.leaving).map_err(|no| {
                let active = pool.judge.active().map_or("", |active| pool.nodes[active].name.as_str());
                Error::new(
                    ErrorCode::Refused,
                    format!(
                        "the reload is refused by rule {}: pool {}, node {active}: {}: {}; the configuration before stays in \
                         force",
                        no.rule,
                        pool.config.name,
                        rule_sentence(no.rule).unwrap_or_default(),
                        no.reason
                    ),
                )
            })?;
        }
        let message = self.differences(&config, &plans);
        let changed = self.config != config;
        self.retire(&plans);
        let running = self.started;
        let mut moved = Vec::new();
        let mut old: Vec<Option<PoolMachine>> =
            core::mem::take(&mut self.pools).into_iter().map(Some).collect();
        for (index, (pool_config, plan)) in config.pools.iter().zip(&plans).enumerate() {
            let kept = plan.was.and_then(|was| Some((was, old.get_mut(was)?.take()?)));
            let pool = match kept {
                Some((was, mut pool)) => {
                    let from = plan.nodes.iter().enumerate().filter_map(|(node, was)| Some((node, (*was)?)));
                    moved.extend(from.map(|(node, from)| {
                        (NodeRef { pool: was, node: from }, NodeRef { pool: index, node })
                    }));
                    pool.index = index;
                    if !plan.leaving.is_empty() {
                        // Tried on a copy above.
                        let _ = pool.leave(now, &plan.leaving, &mut self.out);
                    }
                    pool.reconfigured(now, index, pool_config.clone(), &plan.nodes, &mut self.out)
                }
                None => self.begin(now, index, pool_config.clone(), running),
            };
            self.pools.push(pool);
        }
        for mut pool in old.into_iter().flatten() {
            pool.selection.end().into_iter().for_each(|table| self.out.push(Effect::Publish(table)));
        }
        self.vantage.moved(&moved, &self.pools);
        for (pool, pool_config) in self.pools.iter_mut().zip(&config.pools) {
            let before = self.config.pool(&pool_config.name);
            let was = before.is_some_and(|before| owner_at_start(&self.config, before).is_some());
            match owner_at_start(&config, pool_config) {
                Some(untold) => pool.owner = pool.owner.or(Some(untold)),
                // No address goes with it any more: the pool elects again.
                None if was => pool.owner = None,
                None => {}
            }
        }
        self.config = config;
        self.timers = Deadlines::default();
        self.touch_all();
        self.out.dirty |= changed;
        let draft = Draft::about_instance(EventKind::Reload, Severity::Info, message.clone());
        self.out.emit(now, Draft { rule: reload::RELOADED, ..draft });
        self.settle(now);
        Ok(Reconfigured { message, sequence: self.written, moved })
    }

    fn plan(&self, config: &PoolConfig) -> Plan {
        let was = self.pools.iter().position(|pool| pool.config.name == config.name);
        let before = was.and_then(|was| self.pools.get(was)).map_or(&[][..], |pool| pool.nodes.as_slice());
        let place = |address: &Address| before.iter().position(|node| node.config.address == *address);
        Plan {
            was,
            nodes: config.nodes.iter().map(|node| place(&node.address)).collect(),
            leaving: (0..before.len())
                .filter(|&i| config.node(&before[i].config.address).is_none())
                .collect(),
        }
    }

    /// Remembers the epochs of pools that end: one of the same name may come back in this life.
    fn retire(&mut self, plans: &[Plan]) {
        let stays = |index: usize| plans.iter().any(|plan| plan.was == Some(index));
        let ended = self.pools.iter().enumerate().filter(|(index, _)| !stays(*index));
        self.retired = ended.map(|(_, pool)| pool.epoch_reserved).fold(self.retired, u64::max);
    }

    fn begin(&self, now: Now, index: usize, config: PoolConfig, running: bool) -> PoolMachine {
        let mut pool = PoolMachine::new(index, config, None, 0, now);
        pool.epoch = pool.epoch.max(self.retired);
        pool.epoch_floor = pool.epoch_floor.max(self.retired);
        pool.epoch_reserved = pool.epoch_floor.saturating_add(EPOCH_RESERVE);
        pool.running = if running { Running::Yes } else { Running::No };
        pool
    }

    /// What comes, leaves and changes, for people.
    fn differences(&self, config: &Config, plans: &[Plan]) -> String {
        let mut parts = Vec::new();
        for (pool, plan) in config.pools.iter().zip(plans) {
            let name = &pool.name;
            let Some(before) = plan.was.and_then(|was| self.pools.get(was)) else {
                parts.push(format!("pool {name} comes"));
                continue;
            };
            let places = || pool.nodes.iter().zip(&plan.nodes);
            let comes = places().filter(|(_, was)| was.is_none()).map(|(n, _)| n.address.to_string());
            let leaves = plan.leaving.iter().map(|&i| before.nodes[i].name.clone());
            for (word, names) in [("comes", comes.collect::<Vec<_>>()), ("leaves", leaves.collect())] {
                parts.extend(names.iter().map(|node| format!("pool {name}: {node} {word}")));
            }
            let node_changed = places().any(|(node, was)| {
                was.and_then(|was| before.nodes.get(was)).is_some_and(|was| was.config != *node)
            });
            parts.extend(services(&before.config, pool));
            let settings =
                |pool: &PoolConfig| PoolConfig { nodes: Vec::new(), services: Vec::new(), ..pool.clone() };
            if node_changed || settings(&before.config) != settings(pool) {
                parts.push(format!("pool {name}: settings change"));
            }
        }
        let ended = self.pools.iter().filter(|pool| config.pool(&pool.config.name).is_none());
        parts.extend(ended.map(|pool| format!("pool {} leaves", pool.config.name)));
        if self.config.site != config.site {
            parts.push(format!("site changes from \"{}\" to \"{}\"", self.config.site, config.site));
        }
        let sentence = rule_sentence(reload::RELOADED).unwrap_or_default();
        match parts.is_empty() {
            true => format!("{sentence}: nothing differs from the one before"),
            false => format!("{sentence}: {}", parts.join("; ")),
        }
    }
}

/// What becomes of a pool's services, for people.
fn services(before: &PoolConfig, after: &PoolConfig) -> Vec<String> {
    let find = |pool: &PoolConfig, name: &str| pool.services.iter().find(|s| s.name == name).cloned();
    let say = |name: &str, what| format!("pool {}: service {name} {what}", after.name);
    let mut parts = Vec::new();
    for service in &after.services {
        match find(before, &service.name) {
            None => parts.push(say(&service.name, "comes")),
            Some(was) if was != *service => parts.push(say(&service.name, "changes")),
            Some(_) => {}
        }
    }
    let left = before.services.iter().filter(|was| find(after, &was.name).is_none());
    parts.extend(left.map(|was| say(&was.name, "leaves")));
    parts
}

impl PoolMachine {
    /// The pool under its new configuration, `from` telling where each node was. Who is not among them has left already.
    ///
    /// Taken apart field by field, so that whatever is added later has to be thought of here.
    fn reconfigured(
        self,
        now: Now,
        index: usize,
        config: PoolConfig,
        from: &[Option<usize>],
        out: &mut Outbox,
    ) -> PoolMachine {
        let PoolMachine {
            index: _,
            config: _,
            judge,
            nodes,
            epoch,
            epoch_reserved,
            epoch_floor,
            status,
            running,
            doubt_since,
            held_since,
            barred_since,
            bucket,
            cut_off,
            alarmed,
            checks,
            mut gate,
            mut orders,
            mut selection,
            findings,
            cycle_started,
            cycle_open,
            following,
            owner,
            tally,
        } = self;
        // What nodes say goes by place; who has another place is heard anew.
        let same = from.len() == nodes.len() && from.iter().enumerate().all(|(i, was)| *was == Some(i));
        let following = if same { following } else { Following::new(config.kind, config.nodes.len()) };
        // The owner keeps its address, whatever its node's place is now.
        let owner = owner.filter(|_| config.kind == PoolKind::Router).map(|owner| match owner {
            Owner::Node(was) => {
                from.iter().position(|from| *from == Some(was)).map_or(Owner::Nobody, Owner::Node)
            }
            other => other,
        });
        let mut nodes: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
        let alike: Vec<bool> = from
            .iter()
            .zip(&config.nodes)
            .map(|(was, is)| {
                let was = was.and_then(|was| nodes.get(was)?.as_ref());
                was.is_some_and(|was| was.config.checkpoints == is.checkpoints)
            })
            .collect();
        let counts: Vec<usize> = config.nodes.iter().map(|node| node.checkpoints.len()).collect();
        let kept = from.iter().zip(&config.nodes).map(|(was, config)| {
            let node = was.and_then(|was| nodes.get_mut(was)?.take());
            match node {
                Some(mut node) => {
                    node.config = config.clone();
                    node
                }
                None => Node::new(config.clone()),
            }
        });
        let nodes: Vec<Node> = kept.collect();
        orders.would =
            from.iter().map(|was| was.and_then(|was| orders.would.get(was).copied().flatten())).collect();
        orders.nodes = from.iter().map(|was| orders.nodes.get_mut((*was)?)?.take()).collect();
        let sets = config.nodes.iter().zip(&orders.nodes);
        let sets: Vec<_> = sets
            .map(|(node, order)| (node.node_type, order.as_ref().and_then(|o| o.order.set.node_type)))
            .collect();
        let judge = moved(judge, &config, &types_in_force(&sets), from);
        if !matches!(&judge, Judge::Safe { model, .. } if model.hand_over.is_some()) {
            gate.close();
        }
        for table in selection.reconfigure(&config.services) {
            out.push(Effect::Publish(table));
        }
        let mut pool = PoolMachine {
            index,
            judge,
            nodes,
            epoch,
            epoch_reserved,
            epoch_floor,
            status,
            running,
            doubt_since,
            held_since,
            barred_since,
            bucket,
            cut_off,
            alarmed,
            checks: checks.moved(from, &counts, &alike),
            owner,
            gate,
            orders,
            selection,
            findings: from.iter().map(|was| was.and_then(|was| *findings.get(was)?)).collect(),
            cycle_started,
            cycle_open,
            following,
            tally,
            config,
        };
        // It may have waited for nodes that have left.
        pool.close_if_complete(now, out);
        pool
    }
}

/// The same decisions about nodes at new places, under new settings.
fn moved(judge: Judge, config: &PoolConfig, types: &[NodeType], from: &[Option<usize>]) -> Judge {
    let types = types.iter().copied();
    match judge {
        Judge::Mpp { members, settings } => Judge::Mpp {
            members: from
                .iter()
                .zip(types)
                .map(|(was, node_type)| match was.and_then(|was| members.get(was)) {
                    Some(member) => Member { node_type, ..*member },
                    None => Member {
                        node_type,
                        state: State::Unknown,
                        status: Status::Ok,
                        count: None,
                        removed: false,
                        fixed: false,
                    },
                })
                .collect(),
            settings: Settings {
                levels: config.levels,
                hostile_takeover: config.hostile_takeover,
                ..settings
            },
        },
        Judge::Safe { model, settings: old, counts } => {
            let settings = safe::Settings::of(config);
            let member = |(was, node_type): (&Option<usize>, NodeType)| {
                let Some(member) = was.and_then(|was| model.members.get(was)) else {
                    return safe::Member::new(node_type);
                };
                let ladder = member.ladder.rescaled((old.fall, old.rise), (settings.fall, settings.rise));
                let owed = member.owed && node_type == NodeType::Primary;
                safe::Member { node_type, ladder, owed, ..member.clone() }
            };
            let members: Vec<safe::Member> = from.iter().zip(types).map(member).collect();
            let hand_over = model.hand_over.and_then(|h| from.iter().position(|was| *was == Some(h.to)));
            let hand_over = hand_over
                // Who takes over from a node that leaves for maintenance may be anybody.
                .filter(|&to| members[to].node_type == NodeType::Primary || model.is_leaving())
                .map(|to| safe::HandOver { to });
            let counts =
                from.iter().map(|was| was.and_then(|was| counts.get(was).copied().flatten())).collect();
            Judge::Safe { model: safe::Model { members, hand_over, ..model }, settings, counts }
        }
    }
}
