//! What the design says in prose about each kind of evidence, written down a second time and in another order
//! than the tables: what an observation counts, what the observed node becomes, who has the role.

use super::world::{Move, Transition, short};
use primacy::config::Failback;
use primacy::policy::safe::{
    Dues, Evidence, Ladder, Member, Model, Occasion, Pin, RoleAction, Settings, Step,
};
use primacy::pool::{NodeType, State, Status};
use primacy::probe::Class;

/// "What may fail an ACTIVE: gone, hung, silent", silent only as its time is up and while others answer, and refusing if `fail_on` lists it.
pub fn fails(e: Evidence) -> bool {
    match e.class {
        Class::Gone | Class::Hung => true,
        Class::Silent => e.silence_due && !e.isolated,
        Class::Refusing => e.fail_on,
        _ => false,
    }
}

/// Evidence that takes the whole ladder: most of the last ones were bad, or the process is known to have ended.
pub fn at_once(e: Evidence) -> bool {
    fails(e) && (e.window_bad || (e.exited && e.class == Class::Gone))
}

/// "Healthy, or with a replication fault that is charged to its source, or with nothing but lag."
pub fn good(e: Evidence) -> bool {
    let charged_to_source = e.source_in_doubt && e.applies;
    e.class == Class::Ok || (e.class == Class::Replication && (charged_to_source || e.lag_only))
}

/// "Only a node with a good observation newer than the ACTIVE's first bad one, SQL thread running, lag within
/// `max_takeover_lag`, and writable"; and a stand-in, neither removed nor waiting for `recover` nor fixed by an operator.
pub fn may_take_over(m: &Member) -> bool {
    let proof =
        m.seen.is_some_and(|e| good(e) && e.fresh && e.applies && e.within_takeover_lag && e.writable);
    proof && m.state == State::Standby && !m.held && !m.removed && m.pin == Pin::Free
}

/// "A good node barred only because it waits for `recover`."
pub fn could_be_last_resort(m: &Member) -> bool {
    m.held && may_take_over(&Member { held: false, state: State::Standby, ..m.clone() })
}

/// Who is preferred: the PRIMARY, then the order of configuration.
pub fn heir_apparent(model: &Model, fit: impl Fn(&Member) -> bool) -> Option<usize> {
    let primary = model.members.iter().position(|m| m.node_type == NodeType::Primary && fit(m));
    primary.or_else(|| model.members.iter().position(fit))
}

/// The ACTIVE node's last sign is one that may fail it, and a step has been counted.
pub fn in_doubt(model: &Model) -> bool {
    let Some(a) = model.members.iter().find(|m| m.state == State::Active) else { return false };
    let bad = a.seen.is_some_and(|e| match e.class {
        Class::Gone | Class::Hung | Class::Silent => true,
        class => class == Class::Refusing && e.fail_on,
    });
    bad && a.ladder.is_down()
}

/// "Before an ACTIVE is failed for hung or silent: only fresh evidence holds; then hold, until the deadline."
pub fn held_by_doubt(active: &Member, dues: Dues) -> bool {
    let says_nothing = active.seen.is_some_and(|e| matches!(e.class, Class::Hung | Class::Silent));
    says_nothing && dues.heard && !dues.doubt_over
}

fn charge(e: Evidence, active: bool) -> (u16, Step) {
    match e.class {
        Class::Gone if e.exited => (296, Step::Foot),
        _ if fails(e) && e.window_bad => (214, Step::Foot),
        Class::Ok if e.backend_bad => (297, Step::Towards(Status::OkWarn)),
        Class::Ok => (212, Step::Up),
        Class::Gone => (203, Step::Down),
        Class::Hung => (204, Step::Down),
        Class::Silent if e.isolated => (213, Step::Hold),
        Class::Silent if e.silence_due => (205, Step::Down),
        Class::Silent => (206, Step::Hold),
        Class::Refusing if e.fail_on => (202, Step::Down),
        Class::Refusing => (207, Step::Towards(Status::OkCritical)),
        Class::Replication if active => (208, Step::Towards(Status::OkWarn)),
        Class::Replication if e.lag_only => (209, Step::Towards(Status::OkWarn)),
        Class::Replication if good(e) => (210, Step::Up),
        Class::Replication => (211, Step::Down),
        Class::Blind => (201, Step::Hold),
    }
}

fn becomes(was: &Member, now: &Member, e: Evidence, frozen: bool, s: &Settings) -> (u16, State) {
    if was.pin == Pin::Fixed {
        return (229, was.state);
    }
    if frozen {
        return (230, was.state);
    }
    let at_fail = now.ladder.status(s.fall, s.rise) == Status::Fail;
    // Routers have nothing to catch up with.
    let at_ok =
        now.ladder.status(s.fall, s.rise) == Status::Ok || (s.stateless && now.ladder.steps(s.rise) == 0);
    let answers = matches!(e.class, Class::Ok | Class::Refusing | Class::Replication);
    let failed = if answers { (222, State::FailedOnline) } else { (223, State::FailedOffline) };
    match was.state {
        State::Active => (228, State::Active),
        State::Unknown if good(e) => (221, State::Standby),
        State::Unknown | State::Standby if at_fail => failed,
        State::Unknown | State::Standby => (228, was.state),
        State::FailedOffline if at_fail && e.class == Class::Replication => (224, State::FailedOnline),
        State::FailedOnline if at_fail && !answers && e.class != Class::Blind => (225, State::FailedOffline),
        _ if was.held && good(e) => (226, was.state),
        _ if !was.held && good(e) && at_ok && e.applies && e.within_takeover_lag => (227, State::Standby),
        _ => (228, was.state),
    }
}

fn roles(model: &Model, s: &Settings, dues: Dues, occasion: Occasion) -> Vec<(u16, RoleAction)> {
    let mut done = Vec::new();
    let doubt = in_doubt(model);
    let mut handing_over = false;
    if let Some(h) = model.hand_over {
        let fit = may_take_over(&model.members[h.to]);
        match occasion {
            _ if doubt => done.push((242, RoleAction::AbandonHandOver)),
            _ if !fit => done.push((243, RoleAction::AbandonHandOver)),
            Occasion::Proven => return vec![(241, RoleAction::CompleteHandOver)],
            Occasion::Expired => done.push((244, RoleAction::AbandonHandOver)),
            _ => handing_over = true,
        }
        if occasion == Occasion::Expired {
            return done;
        }
    }
    let candidate = heir_apparent(model, may_take_over);
    let active = model.members.iter().find(|m| m.state == State::Active);
    let fixed = |m: &Member| m.pin == Pin::Fixed;
    let at_fail = active.is_some_and(|a| a.ladder.is_failed(s.fall, s.rise));
    // "Operators outrank rules."
    let order = match active {
        Some(a) if fixed(a) && at_fail => Some((255, RoleAction::KeepByOrder)),
        Some(a)
            if a.pin == Pin::Leave && dues.hand_back && candidate.is_some() && !doubt && !handing_over =>
        {
            Some((256, RoleAction::BeginLeave))
        }
        _ if model.frozen && at_fail => Some((257, RoleAction::KeepByOrder)),
        _ if model.frozen => Some((258, RoleAction::Keep)),
        _ => None,
    };
    if let Some(order) = order {
        done.push(order);
        return done;
    }
    done.push(match active {
        Some(a) if a.ladder.is_failed(s.fall, s.rise) => {
            let held = |m: &Member| m.held && !m.removed && !fixed(m) && m.seen.is_some_and(good);
            let last = dues.last_resort && model.members.iter().any(could_be_last_resort);
            match candidate {
                _ if held_by_doubt(a, dues) && (candidate.is_some() || last) => {
                    (253, RoleAction::KeepDoubted)
                }
                Some(_) => (245, RoleAction::TakeOver),
                None if last => (254, RoleAction::LastResort),
                None if model.members.iter().any(held) => (246, RoleAction::KeepLast),
                None => (247, RoleAction::KeepLast),
            }
        }
        Some(a) => {
            let wanted = |m: &&Member| m.node_type == NodeType::Primary;
            let ready = model.members.iter().find(wanted).is_some_and(|p| {
                let asked = p.owed || s.failback == Failback::Auto;
                asked && may_take_over(p) && p.ladder.status(s.fall, s.rise) == Status::Ok
            });
            let free = !fixed(a) && !model.failback_waits;
            match ready && free && dues.hand_back && !doubt && !handing_over {
                true => (251, RoleAction::BeginHandOver),
                false => (252, RoleAction::Keep),
            }
        }
        None => {
            let looked_at = |m: &Member| {
                m.removed || fixed(m) || m.state != State::Unknown || u32::from(m.tries) >= s.fall
            };
            let best = heir_apparent(model, |m| !m.removed && !fixed(m));
            let last = dues.last_resort && model.members.iter().any(could_be_last_resort);
            let held = |m: &Member| m.held && !m.removed && !fixed(m) && m.seen.is_some_and(good);
            let barred = model.members.iter().any(held) && model.members.iter().all(looked_at);
            match candidate {
                None if last => (294, RoleAction::LastResort),
                None if barred => (295, RoleAction::KeepLast),
                None => (250, RoleAction::Keep),
                Some(_) if candidate == best || model.members.iter().all(looked_at) => {
                    (248, RoleAction::Elect)
                }
                Some(_) => (249, RoleAction::Keep),
            }
        }
    });
    done
}

/// Compares a transition with the prose; the error says where they part.
pub fn check(t: &Transition<'_>) -> Result<(), String> {
    let s = &t.pool.settings;
    if t.action == Move::Restart {
        return Ok(());
    }
    if t.action.is_by_time() {
        return same(t.between, t.after, "the end of a time limit did more than that");
    }
    if matches!(t.command, Some(Err(_))) {
        return same(t.before, t.after, "a refused command changed the pool");
    }
    let mut want = t.between.clone();
    let mut numbers = (0, 0);
    if let Some((node, e)) = t.action.evidence() {
        if t.before.members[node].removed {
            return same(t.before, t.after, "an observation of a removed node changed the pool");
        }
        let was = want.members[node].clone();
        let doubted = in_doubt(&want);
        let frozen = want.frozen;
        let m = &mut want.members[node];
        let (rule, step) = charge(e, was.state == State::Active);
        m.ladder.step(step, s.fall, s.rise);
        if e.class != Class::Blind {
            m.seen = Some(if t.pool.full { e } else { short(e) });
        }
        if was.state == State::Unknown {
            m.tries = (was.tries + 1).min(s.fall as u8);
        }
        let (state_rule, state) = becomes(&was, m, e, frozen, s);
        m.state = state;
        if state != State::Unknown {
            m.tries = 0;
        }
        numbers = (rule, state_rule);
        if !doubted && in_doubt(&want) {
            for (_, other) in want.members.iter_mut().enumerate().filter(|(i, _)| *i != node) {
                if let Some(seen) = &mut other.seen {
                    seen.fresh = false;
                }
            }
        }
    }
    let actions = roles(&want, s, t.action.dues(), t.action.occasion());
    for &(_, action) in &actions {
        carry_out(&mut want, s, action);
    }
    if !t.pool.full {
        for m in &mut want.members {
            m.seen = m.seen.map(short);
        }
    }
    if (t.verdict.charge, t.verdict.state) != numbers {
        return Err(format!("cites {} and {}, not {numbers:?}", t.verdict.charge, t.verdict.state));
    }
    if t.verdict.roles != actions {
        return Err(format!("decides {:?}, not {actions:?}", t.verdict.roles));
    }
    same(&want, t.after, "the pool is not as the prose has it")
}

fn carry_out(m: &mut Model, s: &Settings, action: RoleAction) {
    let active = m.members.iter().position(|m| m.state == State::Active);
    let candidate = heir_apparent(m, may_take_over);
    let mut to = None;
    match action {
        RoleAction::Keep | RoleAction::KeepLast | RoleAction::KeepDoubted | RoleAction::KeepByOrder => {}
        RoleAction::BeginLeave => {
            m.hand_over = candidate.map(|to| primacy::policy::safe::HandOver { to });
        }
        RoleAction::Elect => to = candidate,
        RoleAction::TakeOver | RoleAction::LastResort => {
            to = candidate.or_else(|| heir_apparent(m, could_be_last_resort));
            if let Some(old) = active.map(|a| &mut m.members[a]) {
                let answers = old.seen.is_some_and(|e| matches!(e.class, Class::Refusing));
                old.state = if answers { State::FailedOnline } else { State::FailedOffline };
                old.held = !s.stateless;
                old.ladder = Ladder::failed(s.fall, s.rise);
                // Who was to leave for maintenance is there.
                old.pin = if old.pin == Pin::Leave { Pin::Fixed } else { old.pin };
            }
        }
        RoleAction::BeginHandOver => {
            m.hand_over = heir_apparent(m, |m| m.node_type == NodeType::Primary)
                .map(|to| primacy::policy::safe::HandOver { to });
        }
        RoleAction::CompleteHandOver => {
            to = m.hand_over.take().map(|h| h.to);
            if let Some(old) = active.map(|a| &mut m.members[a]) {
                let leaves = old.pin == Pin::Leave;
                old.state = if leaves { State::Unknown } else { State::Standby };
                old.pin = if leaves { Pin::Fixed } else { old.pin };
                old.ladder.clear();
            }
        }
        RoleAction::AbandonHandOver => m.hand_over = None,
    }
    m.failback_waits &= to.is_none();
    if let Some(new) = to.map(|to| &mut m.members[to]) {
        new.state = State::Active;
        new.held = false;
        new.owed = false;
        new.ladder.clear();
    }
}

fn same(want: &Model, got: &Model, what: &str) -> Result<(), String> {
    if want == got { Ok(()) } else { Err(format!("{what}: expected {want:?}")) }
}
