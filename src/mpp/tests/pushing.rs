//! The pusher against a proxy of a few lines, in virtual time: what it holds in the end, in which order, and what is told.

use super::proxy::{Dialect, Proxy, Session, error, packets};
use crate::engine::Time;
use crate::mpp::push::{FIRST_PAUSE, LONGEST_PAUSE};
use crate::mpp::{Account, Action, Evaluation, Pusher, Told};
use crate::pool::{Address, NodeType, State, Status};
use crate::wire::{Secret, Transport};
use core::time::Duration;
use proptest::prelude::*;

const INTERVAL: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_millis(500);

/// How the way to the proxy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Open,
    /// Connections are refused.
    Refused,
    /// Nothing comes back.
    Silent,
    /// The peer closes after its greeting.
    Cut,
}

struct World {
    now: Time,
    pusher: Pusher,
    proxy: Proxy,
    session: Session,
    way: Way,
    connects: Vec<Time>,
    told: Vec<Told>,
    /// The most nodes that the proxy ever held as ACTIVE.
    most_active: usize,
    /// Bytes are handed in so many at a time.
    chunk: usize,
}

impl World {
    fn new(proxy: Proxy) -> World {
        let account = Account {
            user: "admin".into(),
            password: Some(Secret::new("s3cret")),
            transport: Transport::Plain,
            timeout: TIMEOUT,
        };
        World {
            now: Time::from_millis(5_000),
            pusher: Pusher::new(account, INTERVAL),
            proxy,
            session: Session::default(),
            way: Way::Open,
            connects: Vec::new(),
            told: Vec::new(),
            most_active: 0,
            chunk: usize::MAX,
        }
    }

    fn set(&mut self, table: &[Evaluation]) {
        self.pusher.set_table(self.now, table);
        self.drain();
    }

    fn give(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.chunk.min(bytes.len().max(1))) {
            self.pusher.handle_bytes(self.now, piece);
        }
    }

    fn drain(&mut self) {
        enum Step {
            Connect,
            Send(Vec<u8>),
            Close,
        }
        loop {
            while let Some(told) = self.pusher.poll_told() {
                self.told.push(told);
            }
            let step = match self.pusher.poll_action() {
                None => return,
                Some(Action::Connect) => Step::Connect,
                Some(Action::Send(bytes)) => Step::Send(bytes.to_vec()),
                Some(Action::Close) => Step::Close,
            };
            match step {
                Step::Connect => {
                    self.connects.push(self.now);
                    self.session = Session::default();
                    match self.way {
                        Way::Refused => {
                            self.pusher.handle_failed(self.now, "Connection refused (os error 111)")
                        }
                        Way::Silent => {}
                        Way::Open | Way::Cut => {
                            self.pusher.handle_connected(self.now, [7; 20]);
                            self.give(&Session::greeting());
                            if self.way == Way::Cut {
                                self.pusher.handle_eof(self.now);
                            }
                        }
                    }
                }
                Step::Send(bytes) if self.way == Way::Open => {
                    let out = self.session.take(&mut self.proxy, &bytes);
                    self.most_active = self.most_active.max(self.proxy.active().len());
                    self.give(&out);
                    if self.session.closed {
                        self.pusher.handle_eof(self.now);
                    }
                }
                Step::Send(_) => {}
                Step::Close => self.session = Session::default(),
            }
        }
    }

    /// Lets time pass, from deadline to deadline.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let mut turns = 0;
        while let Some(at) = self.pusher.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.pusher.handle_timeout(self.now);
            self.drain();
            turns += 1;
            assert!(turns < 10_000, "the pusher spins");
        }
        self.now = end;
    }

    /// The connection breaks.
    fn break_off(&mut self) {
        self.pusher.handle_eof(self.now);
        self.drain();
    }

    fn told(&mut self) -> Vec<Told> {
        core::mem::take(&mut self.told)
    }

    fn log(&mut self) -> Vec<String> {
        core::mem::take(&mut self.proxy.log)
    }
}

const NODES: [&str; 3] = ["10.0.0.1:3306", "10.0.0.2:3306", "10.0.0.3:3306"];

fn evaluation(node: &str, state: State, status: Status) -> Evaluation {
    let node_type = if node == NODES[0] { NodeType::Primary } else { NodeType::Secondary };
    Evaluation { node: Address::parse(node).expect("an address"), node_type, state, status, weight: 2 }
}

/// The first node ACTIVE, the second STANDBY; or the other way round.
fn table(moved: bool) -> [Evaluation; 2] {
    let (a, b) = match moved {
        false => ((State::Active, Status::Ok), (State::Standby, Status::Ok)),
        true => ((State::FailedOffline, Status::Fail), (State::Active, Status::OkWarn)),
    };
    [evaluation(NODES[0], a.0, a.1), evaluation(NODES[1], b.0, b.1)]
}

#[test]
fn a_new_proxy_is_initialized_and_told_everything() {
    let mut world = World::new(Proxy::new(Dialect::Modern, &NODES[..2]));
    world.run(INTERVAL * 3);
    assert!(world.connects.is_empty(), "without a table there is nothing to say");
    world.set(&table(false));
    assert_eq!(world.told(), [Told::Found { initialized: 2 }]);
    assert_eq!(world.proxy.of(NODES[0]), "PRIMARY ACTIVE OK 2");
    assert_eq!(world.proxy.of(NODES[1]), "SECONDARY STANDBY OK 2");
    let log = world.log();
    assert_eq!(log[0], "MPP SHOW ALL");
    assert!(log[1..3].iter().all(|line| line.starts_with("MPP INITIALIZE")), "{log:?}");
    // The one that takes clients hears of it last, when all is known.
    let last = log.iter().position(|line| line.ends_with("STATE ACTIVE")).expect("the state");
    assert_eq!(log.iter().filter(|line| line.starts_with("MPP SET 10.0.0.1")).count(), 4, "{log:?}");
    assert!(log[..last].iter().any(|line| line == "MPP SET 10.0.0.1:3306 STATUS OK"), "{log:?}");
    // Each cycle says everything again: the proxy may count the time since it last heard of us.
    world.run(INTERVAL * 5);
    let log = world.log();
    assert_eq!(log.len(), 5 * 2 * 4, "{log:?}");
    assert!(log.iter().all(|line| line.starts_with("MPP SET ")), "{log:?}");
    let tally = world.pusher.tally();
    assert!(tally.up && tally.cycles == 6 && tally.refused == 0 && tally.initialized == 2, "{tally:?}");
    assert_eq!((world.connects.len(), world.told()), (1, vec![]));
}

#[test]
fn a_change_goes_out_at_once_and_never_two_are_active() {
    let mut world = World::new(Proxy::new(Dialect::Modern, &NODES[..2]));
    world.set(&table(false));
    world.run(INTERVAL / 3);
    world.log();
    world.set(&table(true));
    let log = world.log();
    assert_eq!(
        log,
        [
            "MPP SET 10.0.0.1:3306 STATE FAILED_OFFLINE",
            "MPP SET 10.0.0.1:3306 STATUS FAIL",
            "MPP SET 10.0.0.2:3306 STATUS OK_WARN",
            "MPP SET 10.0.0.2:3306 STATE ACTIVE",
        ]
    );
    assert_eq!(world.proxy.active(), [NODES[1]]);
    world.set(&table(false));
    assert_eq!((world.proxy.active(), world.most_active), (vec![NODES[0]], 1));
    world.set(&table(false));
    world.log();
    world.set(&table(false));
    assert!(world.log().is_empty(), "nothing has changed");
}

#[test]
fn a_proxy_that_was_restarted_is_initialized_again() {
    for dialect in [Dialect::Modern, Dialect::Original] {
        let mut world = World::new(Proxy::new(dialect, &NODES[..2]));
        world.set(&table(false));
        world.told();
        world.proxy.forget();
        world.break_off();
        assert!(matches!(&world.told()[..], [Told::Lost(why)] if why == "it closed the connection"));
        world.run(FIRST_PAUSE);
        assert_eq!(world.told(), [Told::Found { initialized: 2 }], "{dialect:?}");
        assert_eq!(world.proxy.active(), [NODES[0]]);
        assert_eq!(world.pusher.tally().initialized, 4);
    }
}

#[test]
fn a_proxy_that_forgets_while_connected_is_initialized_again() {
    for dialect in [Dialect::Modern, Dialect::Original] {
        let mut world = World::new(Proxy::new(dialect, &NODES[..2]));
        world.set(&table(false));
        world.told();
        world.proxy.forget();
        world.run(INTERVAL);
        assert!(matches!(&world.told()[..], [Told::Forgotten(words)] if words.contains("uninitialized")));
        assert_eq!(world.proxy.active(), [NODES[0]], "{dialect:?}");
        assert!(world.proxy.of(NODES[1]).starts_with("SECONDARY STANDBY OK"), "{dialect:?}");
        assert_eq!(world.connects.len(), 1);
        world.run(INTERVAL * 3);
        assert_eq!(world.told(), []);
    }
}

#[test]
fn a_proxy_that_keeps_nothing_is_not_asked_for_ever() {
    let mut world = World::new(Proxy::new(Dialect::Modern, &NODES[..2]));
    world.set(&table(false));
    world.told();
    world.log();
    // Whatever is set, it knows no node.
    world.proxy.instead = Some(packets(1, &[error(1105, "07000", "node x is uninitialized")]));
    world.run(INTERVAL * 3);
    assert!(world.log().len() < 40);
    let told = world.told();
    assert!(matches!(told[0], Told::Forgotten(_)) && matches!(told[1], Told::Refused(_)), "{told:?}");
    world.proxy.instead = None;
    world.proxy.forget();
    world.run(INTERVAL * 2);
    assert_eq!(world.proxy.active(), [NODES[0]]);
}

#[test]
fn what_others_set_at_the_proxy_is_set_back_within_a_cycle() {
    let mut world = World::new(Proxy::new(Dialect::Modern, &NODES[..2]));
    world.set(&table(false));
    world.proxy.answer("MPP SET 10.0.0.2:3306 STATE ACTIVE");
    world.run(INTERVAL);
    assert_eq!(world.proxy.active(), [NODES[0]]);
}

#[test]
fn what_the_proxy_holds_already_is_not_initialized() {
    let mut world = World::new(Proxy::new(Dialect::Modern, &NODES[..2]));
    world.set(&table(false));
    world.log();
    world.break_off();
    world.run(FIRST_PAUSE);
    let log = world.log();
    assert!(!log.iter().any(|line| line.contains("INITIALIZE")), "{log:?}");
    assert_eq!(log.len(), 1 + 2 * 4, "{log:?}");
}

#[test]
fn the_originals_script_takes_no_weights_and_has_its_own_words() {
    let mut world = World::new(Proxy::new(Dialect::Original, &NODES[..2]));
    world.set(&table(true));
    assert_eq!(world.proxy.of(NODES[0]), "PRIMARY FAIL_OFFLINE FAIL 1");
    assert_eq!(world.proxy.of(NODES[1]), "SECONDARY ACTIVE OK_WARN 1");
    let told = world.told();
    assert!(matches!(&told[0], Told::Refused(words) if words.starts_with("it takes no weights: error 1064")));
    assert_eq!(told[1..], [Told::Found { initialized: 2 }]);
    world.log();
    world.run(INTERVAL * 4);
    assert!(!world.log().iter().any(|line| line.contains("WEIGHT")), "once is enough");
    assert_eq!(world.told(), []);
}

#[test]
fn a_node_that_is_no_backend_of_the_proxy_is_told_once_and_hinders_nobody() {
    let mut world = World::new(Proxy::new(Dialect::Modern, &NODES[1..2]));
    world.set(&table(true));
    let told = world.told();
    assert!(
        matches!(&told[0], Told::Refused(words) if words.starts_with("it does not take node 10.0.0.1:3306:"))
    );
    assert_eq!(told[1..], [Told::Found { initialized: 1 }]);
    assert_eq!(world.proxy.active(), [NODES[1]]);
    world.run(INTERVAL * 10);
    assert_eq!(world.told(), []);
    assert_eq!(world.pusher.tally().cycles, 11);
    // It is asked once in each cycle, so a backend that is added is found.
    world.proxy.nodes.insert(NODES[0].into(), None);
    world.run(INTERVAL);
    assert_eq!(world.proxy.of(NODES[0]), "PRIMARY FAILED_OFFLINE FAIL 2");
}

#[test]
fn a_node_that_left_takes_no_clients() {
    let mut world = World::new(Proxy::new(Dialect::Modern, &NODES));
    let third = evaluation(NODES[2], State::Standby, Status::Ok);
    world.set(&[&table(false)[..], std::slice::from_ref(&third)].concat());
    assert_eq!(world.proxy.of(NODES[2]), "SECONDARY STANDBY OK 2");
    world.set(&table(false));
    assert_eq!(world.proxy.of(NODES[2]), "SECONDARY UNKNOWN FAIL 0");
    assert_eq!(world.proxy.active(), [NODES[0]]);
    // And it comes back.
    world.set(&[&table(false)[..], &[third]].concat());
    assert_eq!(world.proxy.of(NODES[2]), "SECONDARY STANDBY OK 2");
}

#[test]
fn a_dead_proxy_is_tried_ever_more_seldom_and_told_once() {
    let mut world = World::new(Proxy::new(Dialect::Modern, &NODES[..2]));
    world.way = Way::Refused;
    world.set(&table(false));
    assert_eq!(world.told(), [Told::Lost("connect: Connection refused (os error 111)".into())]);
    world.run(Duration::from_secs(60));
    let pauses: Vec<Duration> = world.connects.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    assert_eq!(pauses[0], FIRST_PAUSE);
    assert!(pauses.windows(2).all(|p| p[0] <= p[1]), "{pauses:?}");
    assert_eq!(pauses.last(), Some(&LONGEST_PAUSE));
    assert_eq!(world.told(), []);
    world.way = Way::Open;
    world.run(LONGEST_PAUSE);
    assert_eq!(world.told(), [Told::Found { initialized: 2 }]);
    assert_eq!(world.proxy.active(), [NODES[0]]);
    // The next outage begins with short pauses again.
    world.way = Way::Refused;
    world.break_off();
    let before = world.connects.len();
    world.run(FIRST_PAUSE);
    assert_eq!(world.connects.len(), before + 1);
}

#[test]
fn silence_ends_after_the_timeout_wherever_it_falls() {
    let why = |world: &mut World| match &world.told()[..] {
        [Told::Lost(why)] => why.clone(),
        other => panic!("{other:?}"),
    };
    let mut world = World::new(Proxy::new(Dialect::Modern, &NODES[..2]));
    world.way = Way::Silent;
    world.set(&table(false));
    world.run(TIMEOUT);
    assert_eq!(why(&mut world), "connect: nothing came within 500 ms");
    let mut world = World::new(Proxy::new(Dialect::Modern, &NODES[..2]));
    world.set(&table(false));
    world.told();
    world.way = Way::Silent;
    world.set(&table(true));
    world.run(TIMEOUT);
    assert_eq!(why(&mut world), "answer: nothing came within 500 ms");
    // What it did not answer is said again once it is back.
    world.way = Way::Open;
    world.run(LONGEST_PAUSE);
    assert_eq!(world.proxy.active(), [NODES[1]]);
}

#[test]
fn what_is_no_proxy_is_left_and_says_why() {
    for (instead, word) in [
        (packets(1, &[error(1064, "42000", "You have an error in your SQL syntax")]), "error 1064"),
        (packets(1, &[vec![0, 0, 0, 2, 0, 0, 0]]), "no column nodename; it has none"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "answer: a packet of"),
        (packets(9, &[vec![0, 0, 0, 2, 0, 0, 0]]), "packet number 1 expected, 9 came"),
    ] {
        let mut world = World::new(Proxy::new(Dialect::Modern, &NODES[..2]));
        world.proxy.instead = Some(instead);
        world.set(&table(false));
        world.run(Duration::from_secs(30));
        match &world.told()[..] {
            [Told::Lost(why)] => assert!(why.contains(word), "{why}"),
            other => panic!("{word}: {other:?}"),
        }
        assert!(!world.pusher.tally().up);
        assert!(world.connects.len() < 20, "{}", world.connects.len());
        assert!(!world.proxy.log.iter().any(|line| line.contains("SET")), "nothing is set there");
    }
    let mut world = World::new(Proxy::new(Dialect::Modern, &NODES[..2]));
    world.proxy.user = "somebody else".into();
    world.set(&table(false));
    assert!(matches!(&world.told()[..], [Told::Lost(why)] if why.contains("login was refused: error 1045")));
    let mut world = World::new(Proxy::new(Dialect::Modern, &NODES[..2]));
    world.way = Way::Cut;
    world.set(&table(false));
    assert!(matches!(&world.told()[..], [Told::Lost(why)] if why.contains("during the login")));
}

#[test]
fn a_proxy_that_comes_and_goes_does_not_fill_the_log() {
    let mut world = World::new(Proxy::new(Dialect::Modern, &NODES[..2]));
    world.set(&table(false));
    world.told();
    for _ in 0..100 {
        world.break_off();
        world.run(FIRST_PAUSE);
        assert!(world.pusher.tally().up);
    }
    let told = world.told();
    assert!(told.len() <= 8, "{told:?}");
    assert!(matches!(told.last(), Some(Told::Found { .. })), "the last word is the truth: {told:?}");
    assert_eq!(world.pusher.tally().failures, 100);
}

#[test]
fn nothing_shows_the_password() {
    let mut world = World::new(Proxy::new(Dialect::Modern, &NODES[..2]));
    world.set(&table(false));
    assert!(!format!("{:?}", world.pusher).contains("s3cret"));
    assert!(!format!("{:?} {:?}", world.told, world.proxy.log).contains("s3cret"));
}

#[derive(Clone, Debug)]
enum Step {
    Table(Vec<(usize, usize, u32)>),
    Run(u64),
    Break,
    Forget,
    Foreign(usize, usize),
    Way(Way),
}

fn step() -> impl Strategy<Value = Step> {
    let node = (0..State::ALL.len(), 0..Status::ALL.len(), 0u32..5);
    prop_oneof![
        prop::collection::vec(node, 3).prop_map(Step::Table),
        (1u64..3000).prop_map(Step::Run),
        Just(Step::Break),
        Just(Step::Forget),
        (0..3usize, 0..State::ALL.len()).prop_map(|(node, state)| Step::Foreign(node, state)),
        prop::sample::select(&[Way::Open, Way::Refused, Way::Silent, Way::Cut][..]).prop_map(Step::Way),
    ]
}

fn evaluations(values: &[(usize, usize, u32)]) -> Vec<Evaluation> {
    let mut active = false;
    values
        .iter()
        .zip(NODES)
        .map(|(&(state, status, weight), node)| {
            let mut state = State::ALL[state];
            // A pool has one ACTIVE node at most.
            if state == State::Active && core::mem::replace(&mut active, true) {
                state = State::Standby;
            }
            Evaluation { weight, ..evaluation(node, state, Status::ALL[status]) }
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    /// Whatever happened, some time after it ends the proxy holds the table, and it never had two ACTIVE nodes by our doing.
    #[test]
    fn in_the_end_the_proxy_holds_the_table(
        steps in prop::collection::vec(step(), 0..25),
        last in prop::collection::vec((0..State::ALL.len(), 0..Status::ALL.len(), 0u32..5), 3),
        chunk in 1usize..200,
    ) {
        let mut world = World::new(Proxy::new(Dialect::Modern, &NODES));
        world.chunk = chunk;
        let mut foreign = false;
        for step in steps {
            match step {
                Step::Table(values) => world.set(&evaluations(&values)),
                Step::Run(ms) => world.run(Duration::from_millis(ms)),
                Step::Break => world.break_off(),
                Step::Forget => world.proxy.forget(),
                Step::Foreign(node, state) => {
                    foreign |= State::ALL[state] == State::Active;
                    world.proxy.answer(&format!("MPP SET {} STATE {}", NODES[node], State::ALL[state]));
                }
                Step::Way(way) => world.way = way,
            }
            world.drain();
        }
        prop_assert!(foreign || world.most_active <= 1);
        world.way = Way::Open;
        let table = evaluations(&last);
        world.set(&table);
        world.run(LONGEST_PAUSE + TIMEOUT + INTERVAL * 2);
        for is in &table {
            let expected = format!("{} {} {} {}", is.node_type, is.state, is.status, is.weight);
            prop_assert_eq!(world.proxy.of(&is.node.to_string()), expected);
        }
        prop_assert!(world.pusher.tally().up);
        prop_assert!(!matches!(world.told.last(), Some(Told::Lost(_))), "{:?}", world.told);
    }
}
