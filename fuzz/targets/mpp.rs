//! MPP: commands as text, and what comes back from a proxy while its table is kept.

use super::input::Input;
use primacy::engine::Time;
use primacy::engine::time::Duration;
use primacy::mpp::{Account, Action, Command, Evaluation, Pusher};
use primacy::pool::{Address, NodeType, State, Status};
use primacy::wire::Transport;

/// The first byte chooses, the rest is the command, or what the proxy sends.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 2 {
        0 => command(input.take(usize::MAX)),
        _ => pushing(&mut input),
    }
}

fn command(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Command::parse(&text) {
        Ok(command) => {
            let written = command.to_string();
            // A path with a blank cannot be written, and cannot have been read.
            assert_eq!(Command::parse(&written).as_ref(), Ok(&command), "{written}");
        }
        Err(problem) => {
            assert!(!problem.is_empty() && problem.len() < 4000 && !problem.contains('\n'), "{problem}")
        }
    }
}

fn pushing(input: &mut Input<'_>) {
    let account = Account {
        user: "u".into(),
        password: None,
        transport: Transport::Plain,
        timeout: Duration::from_millis(100),
    };
    let mut pusher = Pusher::new(account, Duration::from_millis(200));
    let mut now = Time::from_millis(1000);
    let node = |name: &str, state| Evaluation {
        node: Address::parse(name).expect("an address"),
        node_type: NodeType::Secondary,
        state,
        status: Status::Ok,
        weight: 1,
    };
    pusher.set_table(now, &[node("10.0.0.1:3306", State::Active), node("10.0.0.2:3306", State::Standby)]);
    let mut sent = 0;
    for _ in 0..200 {
        loop {
            match pusher.poll_action() {
                None => break,
                Some(Action::Connect) => pusher.handle_connected(now, [1; 20]),
                Some(Action::Send(bytes)) => sent += bytes.len(),
                Some(Action::Close) => {}
            }
            assert!(sent < 1 << 20, "it talks without end");
        }
        while let Some(told) = pusher.poll_told() {
            assert!(!format!("{told:?}").contains('\n'));
        }
        let choice = input.byte();
        match choice % 8 {
            0 => pusher.handle_eof(now),
            1 => pusher.handle_failed(now, "words"),
            2 => {
                let state = if choice & 8 == 0 { State::Active } else { State::FailedOffline };
                pusher.set_table(now, &[node("10.0.0.2:3306", state)]);
            }
            3 => {
                now = now + Duration::from_millis(u64::from(choice));
                pusher.handle_timeout(now);
            }
            _ => {
                let count = usize::from(input.byte());
                pusher.handle_bytes(now, input.take(count));
            }
        }
        if input.is_empty() {
            break;
        }
    }
}
