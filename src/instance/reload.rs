//! A new configuration for an instance that lives: files and names first, then everything in one moment under the lock.

use super::open::{self, Names};
use super::opened;
use super::shared::{Core, Handle, Life};
use super::tier;
use crate::config::Config;
use crate::engine::{Answer, Now};
use crate::error::{Error, ErrorCode, Result};
use crate::io::checkpoint::CheckSetup;
use crate::io::clock;
use crate::io::driver::NodeSetup;
use crate::io::push::ProxySetup;
use crate::policy::reload::RELOADED;

/// What the driver must know of nodes, their checkpoints, and proxies.
type Setups = (Vec<NodeSetup>, Vec<CheckSetup>, Vec<ProxySetup>);

impl Handle {
    pub(super) fn reload(&self, config: Config) -> Result<Answer> {
        let (known, mut handed) = {
            let mut core = self.open()?;
            core.may_reload()?;
            (core.known_names(), core.handed.clone())
        };
        // Blocks on disk and resolver: the engine goes on meanwhile.
        let (nodes, checks) = open::setups(&config, known, &mut handed)?;
        let proxies = open::proxies(&config, &self.shared.core.lock().proxies.clone())?;
        let keys = tier::keys_of(&config)?;
        let fingerprint = config.fingerprint();
        let located = open::located(&config, &nodes);
        let mut core = self.open()?;
        core.may_reload()?;
        core.located = located;
        if core.follower.is_some() {
            let answer = core.reload_follower(config, (nodes, checks, proxies))?;
            core.handed = handed;
            opened::changed(self, fingerprint)?;
            return Ok(answer);
        }
        let answer = core.reload(clock::now(), config, (nodes, checks, proxies))?;
        core.handed = handed;
        core.renew_tier_keys(keys);
        // With the lock in hand, so that two reloads leave the table as they leave the instance.
        opened::changed(self, fingerprint)?;
        Ok(answer)
    }
}

impl Core {
    /// A cycle counts who was observed, by place.
    fn may_reload(&self) -> Result<()> {
        self.check()?;
        match self.life {
            Life::Cycle => {
                Err(Error::new(ErrorCode::State, "run_cycle() is at work; reload when it has ended"))
            }
            _ => Ok(()),
        }
    }

    fn known_names(&mut self) -> Names {
        let mut known = Names::new();
        for setup in self.nodes.iter().chain(self.checks.iter().map(|check| &check.link)) {
            if let Some(name) = &setup.name {
                known.insert(name.clone(), setup.book.clone());
            }
        }
        for (node, book) in self.driver.as_mut().map(|driver| driver.books()).unwrap_or_default() {
            let setup = self.nodes.iter().find(|setup| setup.node == node);
            if let Some(name) = setup.and_then(|setup| setup.name.clone()) {
                known.insert(name, book);
            }
        }
        for (place, book) in self.driver.as_mut().map(|driver| driver.check_books()).unwrap_or_default() {
            let check = self.checks.iter().find(|check| check.place == place);
            if let Some(name) = check.and_then(|check| check.link.name.clone()) {
                known.insert(name, book);
            }
        }
        // A question belongs to the link that asked it.
        known.values_mut().for_each(crate::probe::AddressBook::forget_question);
        known
    }

    /// What a follower would decide by: the decider's configuration, once that has it.
    fn reload_follower(&mut self, config: Config, setups: Setups) -> Result<Answer> {
        let fingerprint = config.fingerprint();
        self.same_as_decider(fingerprint)?;
        if config.cache_file != self.config.cache_file || config.on_locked != self.config.on_locked {
            let text = "a follower keeps its cache_file and on_locked: stop it, and make a new one";
            return Err(Error::new(ErrorCode::Refused, text));
        }
        (self.fingerprint, self.config) = (fingerprint, config);
        (self.nodes, self.checks, self.proxies) = setups;
        let message = "the decider's configuration is this one's too".to_owned();
        Ok(Answer { message, rule: RELOADED, sequence: 0 })
    }

    fn reload(&mut self, now: Now, config: Config, setups: Setups) -> Result<Answer> {
        // What has come in speaks of the places before.
        self.pump(now, usize::MAX)?;
        let done = self.guarded(|engine| engine.reconfigure(now, config.clone()))??;
        self.fingerprint = config.fingerprint();
        if let Some(tables) = &mut self.tables {
            tables.set_fingerprint(self.fingerprint);
        }
        self.config = config;
        (self.nodes, self.checks, self.proxies) = setups;
        // They go by place.
        self.copies.clear();
        if let Some(driver) = &mut self.driver {
            driver.reconfigure(now.mono, self.nodes.clone(), self.checks.clone(), &done.moved);
            driver.set_proxies(now.mono, self.proxies.clone());
        }
        self.locate(now)?;
        self.pump(now, usize::MAX)?;
        self.unpushed = true;
        self.feed_proxies(now);
        self.set_deadline();
        Ok(Answer { message: done.message, rule: RELOADED, sequence: done.sequence })
    }
}
