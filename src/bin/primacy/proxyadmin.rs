//! `proxyadmin`: MPP commands to proxies, by hand.

use crate::args::{Args, ProxyAdminArgs};
use crate::failure::{Exit, Failure};
use crate::read::plural;
use crate::terminal::{print, printable, warn};
use crate::view::View;
use crate::{Outcome, find, load};
use primacy::config::{Config, PushConfig};
use primacy::instance::proxy::{ProxyAdmin, ProxyLogin, evaluations, read_password};
use primacy::mpp::{Element, Evaluation, Row, proxy_address};
use primacy::pool::{Address, State};
use std::time::Duration;

/// Without another word each step has this long, and this account logs in; as in a configuration.
const TIMEOUT: Duration = Duration::from_secs(1);
const USER: &str = "primacy";

pub fn proxyadmin(args: &Args, asked: &ProxyAdminArgs) -> Outcome {
    let elements = asked.elements();
    let by_state = asked.initialize_all || asked.set_all || (asked.set.is_some() && elements.is_empty());
    // What needs no state and names the proxy works on a machine without a configuration.
    let needed = by_state || asked.proxy.is_empty() || asked.pool.is_some();
    let config = match needed || args.config().exists() {
        true => Some(load::config(args)?),
        false => None,
    };
    let pushes = config.as_ref().map_or(&[][..], |config| &config.push);
    let targets = targets(asked, pushes)?;
    let node = asked.set.as_deref().map(Address::parse).transpose().map_err(Failure::usage)?;
    let view = match &config {
        Some(config) if by_state => Some(view(config, asked)?),
        _ => None,
    };
    let mut failures = Vec::new();
    for (address, push) in &targets {
        let nodes = match (&config, &view) {
            (Some(config), Some(view)) => wanted(config, view, *push, asked, node.as_ref())?,
            _ => Vec::new(),
        };
        let outcome = login(asked, address, *push)
            .and_then(|login| Ok(ProxyAdmin::connect(login)?))
            .and_then(|proxy| work(proxy, asked, node.as_ref(), &elements, &nodes, targets.len() > 1));
        if let Err(failure) = outcome {
            failures.push(failure);
        }
    }
    // Each proxy for itself: one that is gone hinders no other.
    match failures.len() {
        0 => Ok(Exit::Done),
        _ => {
            let exit = failures.iter().map(|failure| failure.exit).max_by_key(|exit| exit.code());
            let texts: Vec<&str> = failures.iter().map(|failure| failure.text.as_str()).collect();
            Err(Failure::new(exit.unwrap_or(Exit::Unreachable), texts.join("; ")))
        }
    }
}

/// The proxies that are meant: those of the command line, else those of the configuration.
fn targets<'c>(
    asked: &ProxyAdminArgs,
    pushes: &'c [PushConfig],
) -> Result<Vec<(Address, Option<&'c PushConfig>)>, Failure> {
    if asked.proxy.is_empty() {
        if pushes.is_empty() {
            return Err(Failure::usage("the configuration has no push: name a proxy by --proxy HOST:PORT"));
        }
        return Ok(pushes.iter().map(|push| (push.address.clone(), Some(push))).collect());
    }
    let of = |text: &String| {
        let address = proxy_address(text).map_err(Failure::usage)?;
        let push = pushes.iter().find(|push| push.address == address);
        Ok((address, push))
    };
    asked.proxy.iter().map(of).collect()
}

fn login(
    asked: &ProxyAdminArgs,
    address: &Address,
    push: Option<&PushConfig>,
) -> Result<ProxyLogin, Failure> {
    let user = asked.user.clone().or(push.map(|push| push.user.clone()));
    let file = asked.password_file.clone().or(push.and_then(|push| push.password_file.clone()));
    Ok(ProxyLogin {
        address: address.clone(),
        user: user.unwrap_or_else(|| USER.into()),
        password: file.as_deref().map(read_password).transpose()?,
        timeout: asked.timeout.or(push.map(|push| push.timeout)).unwrap_or(TIMEOUT),
    })
}

fn view(config: &Config, asked: &ProxyAdminArgs) -> Result<View, Failure> {
    if let Some(pool) = &asked.pool {
        find::pool(config, pool)?;
    }
    let view = View::of(config, None)?;
    if let Some(stale) = view.staleness() {
        warn(&stale);
    }
    Ok(view)
}

/// The nodes that a command by the state is about: an ACTIVE one last, so that a proxy never has two.
fn wanted(
    config: &Config,
    view: &View,
    push: Option<&PushConfig>,
    asked: &ProxyAdminArgs,
    node: Option<&Address>,
) -> Result<Vec<Evaluation>, Failure> {
    let is_wanted = |pool: &str| match &asked.pool {
        Some(name) => name == pool,
        None => push.is_none_or(|push| push.wants(pool)),
    };
    let pools = view.snapshot.pools.iter().filter(|pool| is_wanted(&pool.name));
    let mut nodes: Vec<Evaluation> = pools.flat_map(evaluations).collect();
    nodes.sort_by_key(|is| is.state == State::Active);
    if let Some(node) = node {
        nodes.retain(|is| is.node == *node);
        if nodes.is_empty() {
            let pools: Vec<&str> = config.pools.iter().map(|pool| pool.name.as_str()).collect();
            return Err(Failure::usage(format!(
                "node {node} is in no pool that is pushed there ({}): give --state, --status, --type or --weight",
                pools.join(", ")
            )));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    match nodes.iter().find(|is| !seen.insert(is.node.clone())) {
        Some(twice) => Err(Failure::usage(format!(
            "node {} is in several pools, and a proxy holds one state of it: say which pool by --pool",
            twice.node
        ))),
        None => Ok(nodes),
    }
}

fn work(
    mut proxy: ProxyAdmin,
    asked: &ProxyAdminArgs,
    node: Option<&Address>,
    elements: &[Element],
    nodes: &[Evaluation],
    several: bool,
) -> Result<(), Failure> {
    let name = proxy.proxy().to_string();
    if asked.initialize_all {
        for is in nodes {
            proxy.initialize(is)?;
        }
        print(&format!("{name}: {} initialized\n", plural(nodes.len(), "node")))?;
    }
    if asked.set_all {
        for is in nodes {
            proxy.set_all(is)?;
        }
        print(&format!("{name}: {} set\n", plural(nodes.len(), "node")))?;
    }
    if let Some(node) = node {
        for element in elements {
            proxy.set(node, *element)?;
        }
        if elements.is_empty() {
            for is in nodes {
                proxy.set_all(is)?;
            }
        }
        print(&format!("{name}: {node} set\n"))?;
    }
    if asked.show_nodes {
        let rows = proxy.show()?;
        let head = if several { format!("{name}\n") } else { String::new() };
        print(&format!("{head}{}", table(&rows)))?;
    }
    Ok(())
}

/// Rows as mpp-proxyadmin printed them.
fn table(rows: &[Row]) -> String {
    let head = ["nodename", "group", "element", "value"].map(String::from);
    let cells = |row: &Row| [&row.node, &row.group, &row.element, &row.value].map(|cell| printable(cell));
    let lines: Vec<[String; 4]> = core::iter::once(head).chain(rows.iter().map(cells)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    let mut text = String::new();
    for line in &lines {
        for (cell, width) in line.iter().zip(widths) {
            text.push_str(&format!("| {cell:width$} "));
        }
        text.push_str("|\n");
    }
    text
}
