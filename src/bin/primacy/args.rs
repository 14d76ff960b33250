//! The command line.

use clap::{Parser, Subcommand};
use primacy::control::MOST_CLIENTS;
use primacy::engine::{LONGEST_LIMIT, SHORTEST_LIMIT};
use primacy::mpp::Element;
use primacy::policy::serving::Role;
use primacy::pool::overrides::reason_fault;
use primacy::pool::{NodeType, State, Status};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The option under which every exit code but 0 and 1 is a weight.
pub const MISC_DYNAMIC: &str = "--misc-dynamic";

const DEFAULT_CONFIG: &str = "/etc/primacy/primacy.toml";

/// Health, state and failover of MySQL and MariaDB pools: command, agent and load balancer's check.
#[derive(Debug, Parser)]
#[command(
    name = "primacy",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done or yes, 1 no, 2 usage or configuration, 3 refused by a rule, 4 cannot reach \
                  (cache, disk, server), 5 locked by another process.\nCalled as is_server_up it is `primacy up`, \
                  called as server_is_active it is `primacy is-active`."
)]
pub struct Args {
    /// The configuration [default: $PRIMACY_CONFIG, else /etc/primacy/primacy.toml]
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Use this cache file instead of the configuration's cache_file
    #[arg(long, global = true, value_name = "FILE")]
    pub cache: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

/// A node, and where it is looked for.
#[derive(Debug, clap::Args)]
pub struct NodeArgs {
    /// NODE, or HOST PORT; four words are what HAProxy's external check gives: its own address and port, then the
    /// server's
    #[arg(required = true, num_args = 1..=4, value_name = "NODE")]
    pub words: Vec<String>,
    /// The pool, where the node is in several
    #[arg(long, value_name = "POOL")]
    pub pool: Option<String>,
    /// Answer with an error (exit code 4) unless an agent keeps the cache up to date
    #[arg(long)]
    pub require_agent: bool,
}

/// Which proxies, and what is said to them.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("said").required(true).multiple(true)))]
pub struct ProxyAdminArgs {
    /// A proxy's admin port, 4041 by default; may be given several times [default: every proxy that the configuration pushes to]
    #[arg(long, value_name = "HOST:PORT")]
    pub proxy: Vec<String>,
    /// The account [default: as configured for the proxy, else primacy]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The file with its password [default: as configured for the proxy, else no password]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// For the connection, the login and each answer, such as 500ms [default: as configured for the proxy, else 1s]
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub timeout: Option<Duration>,
    /// This pool's nodes alone [default: those that are configured for the proxy, else all]
    #[arg(long, value_name = "POOL")]
    pub pool: Option<String>,
    /// Make every node known to the proxy; its state is UNKNOWN there until it is set
    #[arg(long, group = "said")]
    pub initialize_all: bool,
    /// Set type, state, status and weight of every node as the agent has them, else the cache
    #[arg(long, group = "said")]
    pub set_all: bool,
    /// Set one node: what the next four options say, else as --set-all does
    #[arg(long, value_name = "NODE", group = "said", conflicts_with_all = ["initialize_all", "set_all"])]
    pub set: Option<String>,
    /// With --set, UNKNOWN, STANDBY, ACTIVE, FAILED_ONLINE or FAILED_OFFLINE
    #[arg(long, value_name = "STATE", value_parser = element_state, requires = "set")]
    pub state: Option<Element>,
    /// With --set, OK, OK_INFO, OK_WARN, OK_CRITICAL or FAIL
    #[arg(long, value_name = "STATUS", value_parser = element_status, requires = "set")]
    pub status: Option<Element>,
    /// With --set, PRIMARY or SECONDARY
    #[arg(long = "type", value_name = "TYPE", value_parser = element_type, requires = "set")]
    pub node_type: Option<Element>,
    /// With --set, share of the clients, 0 to 1000
    #[arg(long, value_name = "WEIGHT", value_parser = element_weight, requires = "set")]
    pub weight: Option<Element>,
    /// Print what the proxies hold
    #[arg(long, group = "said")]
    pub show_nodes: bool,
}

impl ProxyAdminArgs {
    /// What is set of the node; the state last, so that it takes clients only once all is known of it.
    pub fn elements(&self) -> Vec<Element> {
        [self.node_type, self.status, self.weight, self.state].into_iter().flatten().collect()
    }
}

/// Why and how long.
#[derive(Debug, clap::Args)]
pub struct TermsArgs {
    /// Why, for everybody who meets it later: one line of at most 1000 bytes
    #[arg(long, value_parser = reason, value_name = "TEXT")]
    pub reason: String,
    /// How long, such as 10m; a second to 366 days [default: until it is ended]
    #[arg(long = "for", value_parser = limit, value_name = "TIME")]
    pub limit: Option<Duration>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a configuration, and the secrets that it names
    Check {
        file: PathBuf,
        /// Do not look at password and key files
        #[arg(long)]
        text_only: bool,
    },
    /// Create the cache
    Init {
        /// Begin anew although there is a cache; a copy of it is kept
        #[arg(long)]
        force: bool,
    },
    /// Probe once, with all that a doubt needs to be settled, and store the outcome; for cron
    Poll {
        /// This pool alone
        #[arg(long, value_name = "POOL")]
        pool: Option<String>,
        /// Give up a pool after this time, such as 30s [default: what its configuration can take]
        #[arg(long, value_parser = duration, value_name = "TIME")]
        timeout: Option<Duration>,
        /// Print the table of `status` afterwards
        #[arg(short, long)]
        verbose: bool,
    },
    /// Run the agent in the foreground until SIGTERM or SIGINT; SIGHUP reads the configuration again; events go to standard
    /// error
    Run,
    /// Show all pools
    Status {
        /// For programs; docs/command.md names the keys
        #[arg(long)]
        json: bool,
    },
    /// The pools live in this terminal, with their events
    Watch,
    /// One line about a node: STATUS/STATE (TYPE) : message
    Report {
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Print OK and exit with 0 if the node takes the clients that write, else NO and 1
    IsActive {
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Print UP and exit with 0 if the node may have clients, else DOWN and 1
    Up {
        #[command(flatten)]
        node: NodeArgs,
        /// Exit as keepalived's MISC_CHECK with misc_dynamic wants it: 2 and the weight (at most 253) if the node may have
        /// clients, 2 if it is drained, 1 if it is down and after every error
        #[arg(long = &MISC_DYNAMIC[2..])]
        misc_dynamic: bool,
        /// Ask about clients of one role: primary, replica or any [default: any]
        #[arg(long, value_parser = role, value_name = "ROLE")]
        role: Option<Role>,
    },
    /// Take a failed node back into its pool, or a pool whose status is FAIL
    Recover {
        /// A node, or pool:NAME
        target: String,
        /// The pool, where the node is in several
        #[arg(long, value_name = "POOL")]
        pool: Option<String>,
    },
    /// Give the role to the pool's PRIMARY
    ActivatePrimary {
        /// The pool, where there are several
        #[arg(long, value_name = "POOL")]
        pool: Option<String>,
    },
    /// Take a node out of its pool
    Remove {
        node: String,
        /// The pool, where the node is in several
        #[arg(long, value_name = "POOL")]
        pool: Option<String>,
    },
    /// Figures for Prometheus, from the agent, else what the cache knows
    Metrics {
        /// Answer with an error (exit code 4) where no agent answers, instead of from the cache
        #[arg(long)]
        require_agent: bool,
    },
    /// Set a node's state, status, type or weight above the rules; ACTIVE moves the role to it at once
    #[command(group(clap::ArgGroup::new("what").required(true).multiple(true)))]
    Set {
        node: String,
        /// The pool, where the node is in several
        #[arg(long, value_name = "POOL")]
        pool: Option<String>,
        /// UNKNOWN, STANDBY, ACTIVE, FAILED_ONLINE or FAILED_OFFLINE, whatever is observed
        #[arg(long, value_parser = state, value_name = "STATE", group = "what")]
        state: Option<State>,
        /// OK, OK_INFO, OK_WARN, OK_CRITICAL or FAIL: what is shown, and decides who serves
        #[arg(long, value_parser = status, value_name = "STATUS", group = "what")]
        status: Option<Status>,
        /// PRIMARY or SECONDARY: who is preferred
        #[arg(long = "type", value_parser = node_type, value_name = "TYPE", group = "what")]
        node_type: Option<NodeType>,
        /// Share of the clients; 0 takes none
        #[arg(long, value_name = "N", group = "what")]
        weight: Option<u32>,
        #[command(flatten)]
        terms: TermsArgs,
    },
    /// End what `set` or `maintenance` did; rules decide about the node again
    Unset {
        node: String,
        /// The pool, where the node is in several
        #[arg(long, value_name = "POOL")]
        pool: Option<String>,
    },
    /// Let no rule change a state or the role of a pool
    Freeze {
        /// A pool, or a node of one [default: the only pool]
        target: Option<String>,
        #[command(flatten)]
        terms: TermsArgs,
    },
    /// End a freeze; every node is counted anew
    Unfreeze {
        /// A pool, or a node of one [default: the only pool]
        target: Option<String>,
    },
    /// Take a node out of the candidates and its faults out of the alarms, until `unset`
    #[command(group(clap::ArgGroup::new("role").required(true)))]
    Maintenance {
        node: String,
        /// The pool, where the node is in several
        #[arg(long, value_name = "POOL")]
        pool: Option<String>,
        /// If the node is ACTIVE, hand its role over first
        #[arg(long = "move", group = "role")]
        leave: bool,
        /// If the node is ACTIVE, it keeps its role
        #[arg(long, group = "role")]
        stay: bool,
        #[command(flatten)]
        terms: TermsArgs,
    },
    /// Why a pool is as it is, and what would change it
    Explain { pool: Option<String> },
    /// Which node clients of a service would get now, and why; asks the agent
    Route {
        /// POOL.SERVICE, or SERVICE where one pool alone has one of that name
        service: String,
        /// So many clients, one after the other
        #[arg(short = 'n', value_name = "N", default_value_t = 1,
              value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_CLIENTS)))]
        count: u32,
        /// Transactions that the node must be known to hold
        #[arg(long, value_name = "SET")]
        min_gtid: Option<String>,
        /// Where the clients are [default: the configuration's site]
        #[arg(long, value_name = "SITE")]
        site: Option<String>,
        /// For programs; docs/command.md names the keys
        #[arg(long)]
        json: bool,
    },
    /// The longest time from a fault to the switch, for each kind of fault
    Budget { pool: Option<String> },
    /// The tier of floating addresses: who owns what, and orders to it; asks the agent of this host, which speaks with all others
    Vip {
        #[command(subcommand)]
        what: VipCommand,
    },
    /// Give MPP commands to proxies by hand, as mpp-proxyadmin did
    Proxyadmin(ProxyAdminArgs),
    /// What packages install beside the program
    #[command(hide = true)]
    Generate {
        #[command(subcommand)]
        what: Generated,
    },
}

#[derive(Debug, Subcommand)]
pub enum VipCommand {
    /// Hosts, addresses, owners, scores and verdicts of the whole tier
    Status {
        /// For programs; docs/vip.md names the keys
        #[arg(long)]
        json: bool,
    },
    /// Move an address to a host, and hold it there until `clear`
    Move {
        host: String,
        /// The VIP, where there are several
        #[arg(long, value_name = "NAME")]
        vip: Option<String>,
    },
    /// End a move, and forget failures on all hosts
    Clear {
        /// The VIP, where there are several
        #[arg(long, value_name = "NAME")]
        vip: Option<String>,
    },
    /// Take a host out: it owns no address until `unstandby`
    Standby {
        /// [default: this one]
        host: Option<String>,
    },
    /// Let a host own addresses again
    Unstandby {
        /// [default: this one]
        host: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Generated {
    /// Write man pages to a folder
    Man { dir: PathBuf },
    /// Print the completions of a shell
    Completions { shell: clap_complete::Shell },
}

impl Args {
    /// Whether the exit code is a weight.
    pub fn wants_weight(&self) -> bool {
        matches!(self.command, Command::Up { misc_dynamic: true, .. })
    }

    /// The configuration file to read.
    pub fn config(&self) -> PathBuf {
        let from_environment = || std::env::var_os("PRIMACY_CONFIG").filter(|v| !v.is_empty());
        match &self.config {
            Some(path) => path.clone(),
            None => from_environment().unwrap_or_else(|| DEFAULT_CONFIG.into()).into(),
        }
    }
}

/// The arguments as if the program had been called by its own name.
pub fn canonical(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = given.collect();
    let called = words.first().and_then(|word| Path::new(word).file_name());
    let command = match called.and_then(|name| name.to_str()) {
        Some("is_server_up") => Some("up"),
        Some("server_is_active") => Some("is-active"),
        _ => None,
    };
    if let Some(command) = command {
        words.insert(1, command.into());
    }
    words
}

fn duration(text: &str) -> Result<Duration, String> {
    primacy::config::parse_duration(text)
}

/// A time limit of an order.
fn limit(text: &str) -> Result<Duration, String> {
    let limit = duration(text)?;
    match (SHORTEST_LIMIT..=LONGEST_LIMIT).contains(&limit) {
        true => Ok(limit),
        false => Err("give one second to 366 days, or leave it out".to_string()),
    }
}

fn reason(text: &str) -> Result<String, String> {
    reason_fault(text).map_or_else(|| Ok(text.to_string()), Err)
}

fn word<T: std::fmt::Display>(found: Option<T>, all: &[T]) -> Result<T, String> {
    let words = || all.iter().map(T::to_string).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("it must be one of {}", words()))
}

fn state(text: &str) -> Result<State, String> {
    word(State::from_name(text), State::ALL)
}

fn status(text: &str) -> Result<Status, String> {
    word(Status::from_name(text), Status::ALL)
}

fn role(text: &str) -> Result<Role, String> {
    Role::from_name(text).ok_or_else(|| "it must be one of primary, replica, any".to_string())
}

fn node_type(text: &str) -> Result<NodeType, String> {
    word(NodeType::from_name(text), NodeType::ALL)
}

fn element_state(text: &str) -> Result<Element, String> {
    Element::parse("STATE", text)
}

fn element_status(text: &str) -> Result<Element, String> {
    Element::parse("STATUS", text)
}

fn element_type(text: &str) -> Result<Element, String> {
    Element::parse("TYPE", text)
}

fn element_weight(text: &str) -> Result<Element, String> {
    Element::parse("WEIGHT", text)
}
