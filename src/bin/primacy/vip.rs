//! `vip`: the tier as the agent of this host sees it, and operators' orders to it.

use crate::args::{Args, VipCommand};
use crate::failure::{Exit, Failure};
use crate::terminal::print;
use crate::tier::Tier;
use crate::{Outcome, agent, load};
use primacy::config::Config;
use primacy::control::{Ask, Change};
use serde_json::Value;

pub fn vip(args: &Args, what: &VipCommand) -> Outcome {
    let config = load::config(args)?;
    if config.vips.is_empty() {
        return Err(Failure::usage("the configuration has no floating address: add a table [vip.NAME]"));
    }
    match what {
        VipCommand::Status { json } => status(&config, *json),
        VipCommand::Move { host, vip } => {
            let (vip, host) = (name_of(&config, vip.as_deref())?, known(&config, host)?);
            agent::order(&config, &Change::VipMove { vip, host })
        }
        VipCommand::Clear { vip } => {
            agent::order(&config, &Change::VipClear { vip: name_of(&config, vip.as_deref())? })
        }
        VipCommand::Standby { host } => standby(&config, host.as_deref(), true),
        VipCommand::Unstandby { host } => standby(&config, host.as_deref(), false),
    }
}

fn status(config: &Config, json: bool) -> Outcome {
    let document = look(config)?;
    if json {
        print(&format!("{document:#}\n"))?;
        return Ok(Exit::Done);
    }
    let tier = Tier::read(&document).map_err(|words| Failure::new(Exit::Unreachable, words))?;
    print(&tier.text())?;
    Ok(Exit::Done)
}

/// The tier from the agent of this host: nobody else knows it.
fn look(config: &Config) -> Result<Value, Failure> {
    match agent::ask(config, Ask::Vip) {
        Ok(Some(done)) => Ok(done.body),
        Ok(None) => {
            let place = config.control_path().map_or_else(
                || "this configuration has no control_socket".to_string(),
                |path| format!("nobody answers this user at {}", path.display()),
            );
            Err(Failure::new(
                Exit::Unreachable,
                format!("no agent answers: {place}; only an agent knows the tier"),
            ))
        }
        Err(words) => Err(Failure::new(Exit::Unreachable, words)),
    }
}

fn standby(config: &Config, host: Option<&str>, standby: bool) -> Outcome {
    let host = match host {
        Some(host) => known(config, host)?,
        None if !config.tier.host.is_empty() => config.tier.host.clone(),
        // The agent knows by which name it speaks.
        None => Tier::read(&look(config)?).map_err(|words| Failure::new(Exit::Unreachable, words))?.own,
    };
    agent::order(config, &Change::VipStandby { host, standby })
}

/// The VIP of that name, or the only one.
fn name_of(config: &Config, name: Option<&str>) -> Result<String, Failure> {
    let names: Vec<&str> = config.vips.iter().map(|vip| vip.name.as_str()).collect();
    match (name, names.as_slice()) {
        (Some(name), names) if names.contains(&name) => Ok(name.to_string()),
        (Some(name), names) => {
            Err(Failure::usage(format!("there is no vip {name:?}; there is {}", names.join(", "))))
        }
        (None, [only]) => Ok((*only).to_string()),
        (None, names) => {
            Err(Failure::usage(format!("there are several vips: say which by --vip ({})", names.join(", "))))
        }
    }
}

/// A host that the configuration knows, where it names any.
fn known(config: &Config, host: &str) -> Result<String, Failure> {
    let hosts = &config.tier.hosts;
    if hosts.is_empty() || config.tier.host(host).is_some() {
        return Ok(host.to_string());
    }
    let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    Err(Failure::usage(format!("{host:?} is no host of this tier; hosts are {}", names.join(", "))))
}
