//! What packages install beside the program, made by the program itself so that it cannot get out of date: man pages
//! and the shells' completions.

use crate::Outcome;
use crate::args::{Args, Generated};
use crate::failure::{Exit, Failure};
use crate::manual;
use crate::terminal::print;
use clap::CommandFactory;
use std::path::Path;

/// The names by which the program is called as a load balancer's check, and what they stand for.
const CALLED: [(&str, &str); 2] = [("is_server_up", "primacy-up"), ("server_is_active", "primacy-is-active")];

pub fn generate(what: &Generated) -> Outcome {
    match what {
        Generated::Man { dir } => {
            man(dir).map_err(|e| {
                Failure::new(Exit::Unreachable, format!("cannot write man pages to {}: {e}", dir.display()))
            })?;
        }
        Generated::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Args::command(), "primacy", &mut text);
            print(&String::from_utf8_lossy(&text))?;
        }
    }
    Ok(Exit::Done)
}

/// `primacy.1`, one page for each command, links for the names of the check, and `primacy.toml.5`.
fn man(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(Args::command(), dir)?;
    for (name, page) in CALLED {
        std::fs::write(dir.join(format!("{name}.1")), format!(".so man1/{page}.1\n"))?;
    }
    std::fs::write(dir.join("primacy.toml.5"), manual::configuration())
}
