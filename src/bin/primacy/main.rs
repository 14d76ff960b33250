//! The command, the agent and the load balancer's check, in one binary over the Rust API.

mod agent;
mod args;
mod failure;
mod find;
mod generate;
mod json;
mod live;
mod load;
mod manual;
mod notify;
mod offline;
mod orders;
mod proxyadmin;
mod read;
mod screen;
mod serve;
mod table;
mod terminal;
mod tier;
mod view;
mod vip;
mod watch;

use args::{Args, Command};
use clap::Parser;
use failure::{Exit, Failure};
use primacy::control::Ask;
use primacy::pool::{MaintenanceRole, Override};
use std::process::ExitCode;

type Outcome = Result<Exit, Failure>;

fn main() -> ExitCode {
    let args = match Args::try_parse_from(args::canonical(std::env::args_os())) {
        Ok(args) => args,
        Err(error) => return misused(&error),
    };
    let exit = run(&args).unwrap_or_else(|failure| {
        terminal::complain(&failure.text);
        // Any other number would be a weight there.
        if args.wants_weight() { Exit::No } else { failure.exit }
    });
    ExitCode::from(exit.code())
}

/// Help and version go where they were asked for; what cannot be understood is one message like every other.
fn misused(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    match text.strip_prefix("error: ") {
        Some(message) => terminal::complain(message.trim_end()),
        None => {
            // Nothing can be told if nobody reads.
            let _ = error.print();
        }
    }
    let wants_weight = std::env::args_os().any(|word| word == args::MISC_DYNAMIC);
    let exit = match error.use_stderr() {
        true if wants_weight => Exit::No,
        true => Exit::Usage,
        false => Exit::Done,
    };
    ExitCode::from(exit.code())
}

fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::Check { file, text_only } => read::check(file, *text_only),
        Command::Init { force } => offline::init(args, *force),
        Command::Poll { pool, timeout, verbose } => live::poll(args, pool.as_deref(), *timeout, *verbose),
        Command::Run => serve::run(args),
        Command::Status { json } => read::status(args, *json),
        Command::Watch => watch::watch(args),
        Command::Report { node } => read::report(args, node),
        Command::IsActive { node } => read::is_active(args, node),
        Command::Up { node, misc_dynamic, role } => match (*misc_dynamic, *role) {
            (false, None) => read::up(args, node),
            (misc_dynamic, role) => read::up_for(args, node, role.unwrap_or_default(), misc_dynamic),
        },
        Command::Recover { target, pool } => offline::recover(args, target, pool.as_deref()),
        Command::ActivatePrimary { pool } => live::activate_primary(args, pool.as_deref()),
        Command::Remove { node, pool } => live::remove(args, node, pool.as_deref()),
        Command::Metrics { require_agent } => read::metrics(args, *require_agent),
        Command::Set { node, pool, state, status, node_type, weight, terms } => {
            let set = Override { state: *state, status: *status, node_type: *node_type, weight: *weight };
            orders::set(args, node, pool.as_deref(), set, terms)
        }
        Command::Unset { node, pool } => orders::unset(args, node, pool.as_deref()),
        Command::Freeze { target, terms } => orders::freeze(args, target.as_deref(), terms),
        Command::Unfreeze { target } => orders::unfreeze(args, target.as_deref()),
        Command::Maintenance { node, pool, leave, terms, .. } => {
            let role = if *leave { MaintenanceRole::Move } else { MaintenanceRole::Stay };
            orders::maintenance(args, node, pool.as_deref(), role, terms)
        }
        Command::Explain { pool } => read::explain(args, pool.as_deref()),
        Command::Generate { what } => generate::generate(what),
        Command::Route { service, count, min_gtid, site, json } => {
            let (service, min_gtid, site) = (service.clone(), min_gtid.clone(), site.clone());
            read::route(args, Ask::Route { service, count: *count, min_gtid, site }, *json)
        }
        Command::Budget { pool } => read::budget(args, pool.as_deref()),
        Command::Vip { what } => vip::vip(args, what),
        Command::Proxyadmin(asked) => proxyadmin::proxyadmin(args, asked),
    }
}
