//! The configuration while it is being put together.

use super::draft::{Place, PoolDraft, Section, check_name, pool_key};
use super::keys::{self, Key, Scope};
use super::model::Config;
use super::push::PushDraft;
use super::value::{Raw, read};
use super::vip_check::VipDraft;
use super::{check, document, mpp};
use crate::error::{Error, ErrorCode, Result};

/// A configuration that grows from texts, single keys and pool strings, in any order; what comes later wins.
///
/// Each call checks what it is given and changes nothing on an error. What needs the whole, such as one key's
/// relation to another, is checked by [`ConfigBuilder::build`].
#[derive(Clone, Debug, Default)]
pub struct ConfigBuilder {
    pub(super) instance: Section,
    pub(super) listen: Section,
    pub(super) probe: Section,
    pub(super) pools: Vec<PoolDraft>,
    pub(super) push: Vec<PushDraft>,
    pub(super) tier: Section,
    pub(super) vips: Vec<VipDraft>,
}

impl ConfigBuilder {
    /// An empty configuration.
    pub fn new() -> ConfigBuilder {
        ConfigBuilder::default()
    }

    /// Reads a TOML text; `name`, most often the file's, stands in errors before line and column.
    ///
    /// A key that was set before is overridden. A pool that exists gets the text's keys; if the text has `nodes`
    /// for it, they replace the old ones.
    ///
    /// # Errors
    /// [`ErrorCode::Config`], the text begins `NAME:LINE:COL: key KEY: `, or `NAME:LINE:COL: not valid TOML`. A text
    /// of more than 1 MiB is refused as a whole.
    pub fn load_text(&mut self, text: &str, name: &str) -> Result<()> {
        let mut next = self.clone();
        document::load(&mut next, text, name)?;
        *self = next;
        Ok(())
    }

    /// Sets one key from plain text: `probe.interval` to `100ms`, `pool.orders.policy` to `mpp`.
    ///
    /// Keys are those of the text, joined by dots: `KEY`, `listen.KEY`, `probe.KEY`, `tier.KEY`, `vip.NAME.KEY`, `pool.NAME.KEY`, `pool.NAME.probe.KEY`,
    /// `pool.NAME.service.SERVICE.KEY`; `pool.NAME.probe` is short for `pool.NAME.probe.mode`. Where a pool's name contains dots, the longest name
    /// of a pool that exists is taken; the name may also stand in double quotes. A pool that does not exist yet
    /// is begun; without nodes in the end it is an error of [`ConfigBuilder::build`]. `nodes`, `checkpoints`, `checks`
    /// and `push` take a TOML list, `fail_on` a list of causes with commas between them.
    ///
    /// # Errors
    /// [`ErrorCode::Config`], the text begins `key KEY: `.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        // The error is about the key as the caller wrote it.
        let place = Place::new("", key);
        let fail = |problem: String| Err(place.error(problem));
        let (scope, pool, name) = match key.split_once('.') {
            Some(("probe", name)) => (Scope::Probe, None, name),
            Some(("listen", name)) => (Scope::Listen, None, name),
            Some(("tier", name)) => (Scope::Tier, None, name),
            Some(("vip", rest)) => {
                let Some((vip, name)) = rest.split_once('.') else {
                    return fail("this names a vip: a key must follow, as in vip.NAME.interface".into());
                };
                let Some(known) = find(Scope::Vip, name) else {
                    return fail(keys::unknown(Scope::Vip, name));
                };
                let value = read(&known.kind, Raw::Plain(value)).map_err(|problem| place.error(problem))?;
                self.vip_mut(vip, place.clone())?.set(known.name, value, place);
                return Ok(());
            }
            Some(("pool", rest)) => match self.split_pool_key(rest) {
                Some((pool, name)) => {
                    let scope = if name.starts_with("probe.") { Scope::Probe } else { Scope::Pool };
                    (scope, Some(pool), name.strip_prefix("probe.").unwrap_or(name))
                }
                None => return fail("this names a pool: a key must follow, as in pool.NAME.policy".into()),
            },
            _ if matches!(key, "listen" | "probe" | "pool" | "tier" | "vip") => {
                return fail(format!(
                    "this is a table: name a key in it, as in {}",
                    match key {
                        "listen" => "listen.http",
                        "probe" => "probe.interval",
                        "tier" => "tier.host",
                        "vip" => "vip.NAME.interface",
                        _ => "pool.NAME.policy",
                    }
                ));
            }
            _ => (Scope::Instance, None, key),
        };
        let (scope, name) = match (scope, name) {
            (Scope::Pool, "probe") => (Scope::Probe, "mode"),
            other => other,
        };
        if let (Some(pool), Scope::Pool, Some(rest)) = (pool, scope, below_service(name)) {
            let Some((service, name)) = rest.split_once('.') else {
                return fail(
                    "this is a table: name a service and a key in it, as in pool.NAME.service.rw.role".into(),
                );
            };
            return self.set_service(pool, service, name, value, place);
        }
        let Some(known) = find(scope, name) else { return fail(keys::unknown(scope, name)) };
        if let (Some(pool), "nodes", Scope::Pool) = (pool, name, scope) {
            let nodes = document::nodes_from_text(value, &format!("{}.nodes", pool_key(pool)))?;
            self.pool_mut(pool, place)?.nodes = Some(nodes);
            return Ok(());
        }
        if let (Some(pool), "checkpoints", Scope::Pool) = (pool, name, scope) {
            let sets = document::checkpoints_from_text(value, &format!("{}.checkpoints", pool_key(pool)))?;
            self.pool_mut(pool, place)?.checkpoints = sets;
            return Ok(());
        }
        if let (Some(pool), "checks", Scope::Pool) = (pool, name, scope) {
            let checks = document::checks_from_text(value, &format!("{}.checks", pool_key(pool)))?;
            self.pool_mut(pool, place)?.checks = Some(checks);
            return Ok(());
        }
        if let ("push", Scope::Instance) = (name, scope) {
            self.push = document::proxies_from_text(value)?;
            return Ok(());
        }
        let value = read(&known.kind, Raw::Plain(value)).map_err(|problem| place.error(problem))?;
        let section = match (scope, pool) {
            (Scope::Probe, Some(pool)) => &mut self.pool_mut(pool, place.clone())?.probe,
            (_, Some(pool)) => &mut self.pool_mut(pool, place.clone())?.settings,
            (Scope::Probe, None) => &mut self.probe,
            (Scope::Listen, None) => &mut self.listen,
            (Scope::Tier, None) => &mut self.tier,
            (_, None) => &mut self.instance,
        };
        section.set(known.name, value, place);
        Ok(())
    }

    fn set_service(
        &mut self,
        pool: &str,
        service: &str,
        name: &str,
        value: &str,
        place: Place,
    ) -> Result<()> {
        let fail = |problem: String| place.error(problem);
        let known = find(Scope::Service, name).ok_or_else(|| fail(keys::unknown(Scope::Service, name)))?;
        let value = read(&known.kind, Raw::Plain(value)).map_err(fail)?;
        // Before the pool: what is refused leaves no pool behind either.
        check_name(service, "service", false).map_err(fail)?;
        let section = self.pool_mut(pool, place.clone())?.service_mut(service, place.clone())?;
        section.set(known.name, value, place);
        Ok(())
    }

    /// Adds a pool by a pool string of MySQL Proxy Plus: `name:POOL;primary:H[:P];secondary:H[:P];…`. The pool is
    /// of kind `ring` and has the default policy, `safe`, unless a key says otherwise.
    ///
    /// # Errors
    /// [`ErrorCode::Config`], the text begins `pool string, position N: key KEY: `; also if the pool has nodes
    /// already.
    pub fn add_pool(&mut self, spec: &str) -> Result<()> {
        let parsed = mpp::parse(spec)?;
        if self.pools.iter().any(|pool| pool.name == parsed.name && pool.nodes.is_some()) {
            return Err(parsed.place.error(format!("a pool {} exists already", parsed.name)));
        }
        let pool = self.pool_mut(&parsed.name, parsed.place.clone())?;
        pool.nodes = parsed.nodes;
        Ok(())
    }

    /// Checks the whole and fills in the defaults.
    ///
    /// # Errors
    /// [`ErrorCode::Config`]: no pool, a pool without nodes, keys that contradict each other or that the pool's
    /// policy would ignore. The text names the place where the key was set.
    pub fn build(&self) -> Result<Config> {
        check::build(self)
    }

    /// The draft of that name, a new one if there is none.
    pub(super) fn pool_mut(&mut self, name: &str, place: Place) -> Result<&mut PoolDraft> {
        let index = match self.pools.iter().position(|pool| pool.name == name) {
            Some(index) => index,
            None => {
                self.pools.push(PoolDraft::new(name, place)?);
                self.pools.len() - 1
            }
        };
        let missing = || Error::new(ErrorCode::Config, "a pool vanished while it was configured");
        self.pools.get_mut(index).ok_or_else(missing)
    }

    /// The keys of the VIP of that name, of a new one if there is none.
    pub(super) fn vip_mut(&mut self, name: &str, place: Place) -> Result<&mut Section> {
        check_name(name, "vip", false).map_err(|problem| place.error(problem))?;
        let index = match self.vips.iter().position(|vip| vip.name == name) {
            Some(index) => index,
            None => {
                self.vips.push(VipDraft { name: name.into(), place, settings: Section::default() });
                self.vips.len() - 1
            }
        };
        let missing = || Error::new(ErrorCode::Config, "a vip vanished while it was configured");
        self.vips.get_mut(index).map(|vip| &mut vip.settings).ok_or_else(missing)
    }

    /// Splits `NAME.KEY`, where both may contain dots.
    fn split_pool_key<'k>(&self, rest: &'k str) -> Option<(&'k str, &'k str)> {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (name, key) = quoted.split_once('"')?;
            return Some((name, key.strip_prefix('.')?));
        }
        let splits =
            || rest.match_indices('.').filter_map(|(at, _)| Some((rest.get(..at)?, rest.get(at + 1..)?)));
        let exists = |name: &str| self.pools.iter().any(|pool| pool.name == name);
        // A pool that exists, the longest name first; then a key that exists, the longest key first.
        splits()
            .rfind(|(name, key)| exists(name) && is_pool_key(key))
            .or_else(|| splits().find(|(_, key)| is_pool_key(key)))
            .or_else(|| splits().rfind(|(name, _)| exists(name)))
            .or_else(|| splits().next())
    }
}

fn is_pool_key(key: &str) -> bool {
    if let Some(rest) = below_service(key) {
        // Whatever the last part is: an unknown one is a mistake in the service, and no pool of another name.
        return rest.split_once('.').is_some_and(|(_, name)| !name.contains('.'));
    }
    match key.strip_prefix("probe.") {
        Some(name) => find(Scope::Probe, name).is_some(),
        None => key == "probe" || find(Scope::Pool, key).is_some(),
    }
}

/// What follows `service` in a pool's key.
fn below_service(key: &str) -> Option<&str> {
    let rest = key.strip_prefix("service")?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
}

/// The key of that name; a key below one that has not landed is that one.
fn find(scope: Scope, name: &str) -> Option<&'static Key> {
    keys::find(scope, name).or_else(|| {
        let (head, _) = name.split_once('.')?;
        keys::find(scope, head).filter(|key| !key.is_usable())
    })
}
