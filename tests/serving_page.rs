//! docs/serving.md is printed from the serve matrix. `PRIMACY_WRITE_SERVING=1 cargo test --test serving_page` writes it anew.

use primacy::policy::serving::{ABSENT, RULES, View, rule_for};
use primacy::pool::{PolicyName, State, Status};
use primacy::probe::Class;
use std::fmt::Write;
use std::path::Path;

const HEAD: &str = "# Who is told what

What a node's state, status and last observation mean to those who send clients, for every answer that there is. In the
table the first row of the pool's policy whose condition holds answers for the node, to everybody at once. This page is
printed from the table that the library runs on, and a test holds it to it.

- **role active**, **role standby**: selection for clients that want the ACTIVE node, or a STANDBY. *takes*: it gets new
  clients; *spare*: only where no other node of the role does; *waits*: new clients wait; *no*; *error*: an error that names
  node, time and reason. What `primacy_active` and the bindings give for a pool is the column *role active*: the node,
  nothing, or the error.
- **`up`**, **`is-active`**: the [command](command.md) and the programs of the old names, exit code 0 or 1.
- **agent-check**: what a load balancer's agent-check is told: `ready up W%`, `up drain` or `down`; a node of weight 0 is
  drained.
- **`/primary`**, **`/replica`**, **`/health`**: the HTTP status for checks that look for the ACTIVE node, for a STANDBY to
  read from, and for a node whose clients may stay. `/read-only` is 200 where one of the first two is.

Agent-check and HTTP are answered by `primacy run` ([load-balancers.md](load-balancers.md)). An agent-check that names a role gets
another word: for `primary`, up where `/primary` is 200, else down; for `replica`, up where `/replica` is 200, else drain where
the table says up or drain, else down.

A cache holds no cause: `up`, `is-active` and `/primary` follow from state and status alone.

";

fn page() -> String {
    let mut out = String::from(HEAD);
    for policy in PolicyName::ALL {
        let _ = write!(
            out,
            "## Policy `{policy}`\n\n| rule | condition | role active | role standby | `up` | `is-active` | agent-check | \
             `/primary` | `/replica` | `/health` | why |\n|---|---|---|---|---|---|---|---|---|---|---|\n"
        );
        for rule in RULES.iter().filter(|rule| rule.policy == *policy) {
            let a = rule.then;
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                rule.number,
                rule.condition,
                a.active.name(),
                a.standby.name(),
                if a.up { "UP" } else { "DOWN" },
                if a.is_active { "OK" } else { "NO" },
                a.agent,
                a.primary(),
                a.replica(),
                a.health(),
                rule.sentence
            );
        }
        let heads: Vec<&str> = Class::ALL.iter().map(|class| class.name()).collect();
        let _ = write!(
            out,
            "\nThe row for each state, status and class of the last observation{}:\n\n| state | status | {} |\n|---|---|{}\n",
            if *policy == PolicyName::Safe {
                ", while routing does not pause and the node is in no maintenance"
            } else {
                ""
            },
            heads.join(" | "),
            "---|".repeat(heads.len())
        );
        for &state in State::ALL {
            for &status in Status::ALL {
                let cells: Vec<String> = Class::ALL
                    .iter()
                    .map(|&class| {
                        let view = View {
                            policy: *policy,
                            state,
                            status,
                            class: Some(class),
                            selected: state == State::Active,
                            paused: false,
                            maintenance: false,
                        };
                        rule_for(&view).number.to_string()
                    })
                    .collect();
                let _ = writeln!(out, "| {state} | {status} | {} |", cells.join(" | "));
            }
        }
        out.push('\n');
    }
    out.push_str(
        "## What is no node of a pool\n\n| rule | condition | agent-check | HTTP | why |\n|---|---|---|---|---|\n",
    );
    for absent in ABSENT {
        let word = absent.agent.map_or("no word", |word| word.name());
        let _ = writeln!(
            out,
            "| {} | {} | {word} | {} | {} |",
            absent.number, absent.condition, absent.http, absent.sentence
        );
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

#[test]
fn the_page_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/serving.md");
    let page = page();
    if std::env::var_os("PRIMACY_WRITE_SERVING").is_some() {
        std::fs::write(&path, &page).expect("docs/serving.md");
    }
    let committed = std::fs::read_to_string(&path).expect("docs/serving.md");
    for (at, (is, should)) in committed.lines().zip(page.lines()).enumerate() {
        assert_eq!(is, should, "docs/serving.md:{}; set PRIMACY_WRITE_SERVING=1 to write it anew", at + 1);
    }
    assert_eq!(committed.len(), page.len(), "docs/serving.md ends differently");
}
