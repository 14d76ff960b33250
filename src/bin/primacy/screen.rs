//! What `watch` shows: a pure function from what is known to cells.

use crate::terminal::{age, date, event_line, printable};
use crate::tier::Weight;
use primacy::engine::{Event, NodeSnapshot, PoolSnapshot, Severity};
use primacy::pool::{PoolStatus, State, Status};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table, Widget, Wrap};
use std::collections::VecDeque;
use std::time::Duration;

/// Events that are kept for scrolling.
pub const KEPT: usize = 1000;
const UNKNOWN: &str = "-";
const KEYS: &str = "q quit   up/down/tab pool   e explain   PgUp/PgDn scroll";

/// All that is shown.
#[derive(Debug, Default)]
pub struct Model {
    /// As the agent or the cache has them.
    pub pools: Vec<PoolSnapshot>,
    /// The tier of floating addresses; empty without one.
    pub tier: Vec<(Weight, String)>,
    /// Where they come from.
    pub source: String,
    /// What stands in the way of newer ones; empty if nothing.
    pub trouble: String,
    /// The moment that ages are counted to, milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// The oldest first.
    pub events: VecDeque<Event>,
    /// Index of the chosen pool.
    pub chosen: usize,
    /// Why the chosen pool is as it is, in place of the events.
    pub explain: Option<String>,
    /// Lines scrolled back from the end of the events, or on from the beginning of the explanation.
    pub scroll: usize,
    /// Colours may be shown.
    pub colour: bool,
}

impl Model {
    /// Chooses another pool, around the ends.
    pub fn choose(&mut self, step: isize) {
        let count = self.pools.len().max(1) as isize;
        self.chosen = (self.chosen as isize + step).rem_euclid(count) as usize;
        self.scroll = 0;
    }

    /// Takes in new events; what scrolled text shows stays in place.
    pub fn add(&mut self, events: Vec<Event>) {
        if self.scroll > 0 && self.explain.is_none() {
            self.scroll += events.len();
        }
        self.events.extend(events);
        while self.events.len() > KEPT {
            self.events.pop_front();
        }
    }

    fn pool(&self) -> Option<&PoolSnapshot> {
        self.pools.get(self.chosen.min(self.pools.len().saturating_sub(1)))
    }

    fn style(&self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    fn of_state(&self, state: State) -> Style {
        match state {
            State::Active => self.style(Color::Green).add_modifier(Modifier::BOLD),
            State::Standby => self.style(Color::Green),
            State::Unknown => self.style(Color::Yellow),
            State::FailedOnline | State::FailedOffline => self.style(Color::Red),
        }
    }

    fn of_status(&self, status: Status) -> Style {
        match status {
            Status::Ok => Style::new(),
            Status::OkInfo | Status::OkWarn => self.style(Color::Yellow),
            Status::OkCritical | Status::Fail => self.style(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    fn of_severity(&self, severity: Severity) -> Style {
        match severity {
            Severity::Info => Style::new(),
            Severity::Warning => self.style(Color::Yellow),
            Severity::Alarm => self.style(Color::Red).add_modifier(Modifier::BOLD),
        }
    }
}

/// Fills the cells. Too small an area shows less, never nothing wrong.
pub fn render(model: &Model, area: Rect, buffer: &mut Buffer) {
    let nodes = model.pool().map_or(0, |pool| pool.nodes.len());
    let height = |rows: usize| u16::try_from(rows + 2).unwrap_or(u16::MAX);
    // The pools take a third at most, and the nodes of the chosen one half of what is left.
    let pools = height(model.pools.len()).min((area.height / 3).max(3));
    let nodes = height(nodes).min((area.height.saturating_sub(pools + 2) / 2).max(3));
    // An agent of floating addresses alone has no pools to show.
    let (pools, nodes) =
        if model.pools.is_empty() && !model.tier.is_empty() { (0, 0) } else { (pools, nodes) };
    let left = area.height.saturating_sub(pools + nodes + 2);
    let tier = match model.tier.len() {
        0 => 0,
        lines => height(lines).saturating_sub(1).min((left * 2 / 3).max(3)),
    };
    let parts = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(pools),
        Constraint::Length(nodes),
        Constraint::Length(tier),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .split(area);
    title(model, parts[0], buffer);
    if pools > 0 {
        pool_table(model, parts[1], buffer);
        node_table(model, parts[2], buffer);
    }
    tier_lines(model, parts[3], buffer);
    match &model.explain {
        Some(text) => explanation(model, text, parts[4], buffer),
        None => event_list(model, parts[4], buffer),
    }
    Line::from(KEYS).style(Style::new().add_modifier(Modifier::DIM)).render(parts[5], buffer);
}

/// The tier, as `vip status` prints it; what does not fit is below.
fn tier_lines(model: &Model, area: Rect, buffer: &mut Buffer) {
    if model.tier.is_empty() || area.height == 0 {
        return;
    }
    let lines: Vec<Line> = model
        .tier
        .iter()
        .map(|(weight, line)| {
            let style = match weight {
                Weight::Head => Style::new().add_modifier(Modifier::BOLD),
                Weight::Plain => Style::new(),
                Weight::Owner => model.style(Color::Green).add_modifier(Modifier::BOLD),
                Weight::Bad => model.style(Color::Red),
            };
            Line::styled(line.clone(), style)
        })
        .collect();
    let block = Block::new().borders(Borders::TOP).title(" tier ");
    Paragraph::new(Text::from(lines)).block(block).render(area, buffer);
}

fn title(model: &Model, area: Rect, buffer: &mut Buffer) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut spans = vec![Span::styled(format!("primacy   {}   ", date(model.now_ms)), bold)];
    // Before the source, whose path may take the rest of the line.
    if !model.trouble.is_empty() {
        let style = model.of_severity(Severity::Alarm);
        spans.push(Span::styled(format!("{}   ", printable(&model.trouble)), style));
    }
    spans.push(Span::styled(model.source.clone(), bold));
    Line::from(spans).render(area, buffer);
}

fn block(title: String) -> Block<'static> {
    Block::new().borders(Borders::TOP | Borders::BOTTOM).title(title)
}

/// The rows of a list that fit, the chosen one among them.
fn window(count: usize, chosen: usize, room: usize) -> core::ops::Range<usize> {
    let first = chosen.saturating_sub(room.saturating_sub(1)).min(count.saturating_sub(room));
    first..(first + room).min(count)
}

/// Columns as wide as what they hold, as far as there is room; the last one takes the rest.
fn table(rows: Vec<Vec<(String, Style)>>) -> Table<'static> {
    const WIDEST: usize = 40;
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|(text, _)| text.chars().count()).max().unwrap_or(0).min(WIDEST)
    };
    let widths: Vec<Constraint> = (0..columns)
        .map(|column| match column + 1 == columns {
            true => Constraint::Fill(1),
            false => Constraint::Length(width(column) as u16),
        })
        .collect();
    let cells = |row: Vec<(String, Style)>| {
        Row::new(row.into_iter().map(|(text, style)| Cell::from(text).style(style)))
    };
    Table::new(rows.into_iter().map(cells), widths)
}

fn pool_table(model: &Model, area: Rect, buffer: &mut Buffer) {
    let chosen = model.chosen.min(model.pools.len().saturating_sub(1));
    let shown = window(model.pools.len(), chosen, usize::from(area.height.saturating_sub(2)).max(1));
    let title = format!(" pools {}/{} ", (chosen + 1).min(model.pools.len()), model.pools.len());
    let rows = model.pools.iter().enumerate().skip(shown.start).take(shown.len()).map(|(i, pool)| {
        let base = if i == chosen { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
        let failed = pool.status == PoolStatus::Fail;
        let status = model.of_status(if failed { Status::Fail } else { Status::Ok });
        let active = match pool.active.and_then(|i| pool.nodes.get(i)) {
            Some(node) => (format!("ACTIVE {}", node.name), base.patch(model.of_status(node.status))),
            None => ("nobody is ACTIVE".to_string(), base.patch(model.of_status(Status::Fail))),
        };
        let mut notes = Vec::new();
        notes.extend(pool.paused.then_some("hand-over, routing pauses"));
        notes.extend(pool.frozen.is_some().then_some("frozen"));
        vec![
            (if i == chosen { ">" } else { " " }.to_string(), base),
            (pool.name.clone(), base),
            (pool.policy.name().to_string(), base),
            (pool.status.name().to_string(), base.patch(status)),
            (format!("epoch {}", pool.epoch), base),
            active,
            (notes.join(", "), base),
        ]
    });
    Widget::render(table(rows.collect()).block(block(title)), area, buffer);
}

/// Four quarters of the way to FAIL.
fn ladder(status: Status) -> &'static str {
    match status {
        Status::Ok => "####",
        Status::OkInfo => "###.",
        Status::OkWarn => "##..",
        Status::OkCritical => "#...",
        Status::Fail => "....",
    }
}

fn span_of(time: Option<Duration>) -> String {
    time.map_or_else(
        || UNKNOWN.into(),
        |time| match time.as_micros() {
            us @ 0..=9_999 => format!("{us}us"),
            us @ 10_000..=9_999_999 => format!("{}ms", us / 1000),
            us => format!("{}s", us / 1_000_000),
        },
    )
}

fn node_table(model: &Model, area: Rect, buffer: &mut Buffer) {
    let Some(pool) = model.pool() else { return block(" no pools ".into()).render(area, buffer) };
    let since = |ms: u64| if ms == 0 { UNKNOWN.into() } else { age(model.now_ms.saturating_sub(ms)) };
    let plain = Style::new();
    let row = |node: &NodeSnapshot| {
        let lag = node.facts.channels.iter().flatten().filter_map(|channel| channel.lag).max();
        let ordered = node.override_.as_ref().map(|order| format!("[{order}] ")).unwrap_or_default();
        vec![
            (node.name.clone(), plain),
            (node.node_type.name().to_string(), plain),
            (node.state.name().to_string(), model.of_state(node.state)),
            (ladder(node.status).to_string(), model.of_status(node.status)),
            (node.status.name().to_string(), model.of_status(node.status)),
            (node.count.map_or_else(|| UNKNOWN.into(), |count| count.to_string()), plain),
            (span_of(node.facts.round_trip), plain),
            (span_of(lag), plain),
            (since(node.observed_ms), plain),
            (since(node.changed_ms), plain),
            (printable(&format!("{ordered}{}", node.message)), plain),
        ]
    };
    let heads =
        ["NODE", "TYPE", "STATE", "LADDER", "STATUS", "COUNT", "RTT", "LAG", "SEEN", "FOR", "MESSAGE"];
    let head = heads.map(|head| (head.to_string(), plain.add_modifier(Modifier::DIM))).to_vec();
    let rows = core::iter::once(head).chain(pool.nodes.iter().map(row));
    let title = format!(" {} ", pool.name);
    let block = Block::new().borders(Borders::TOP).title(title);
    Widget::render(table(rows.collect()).block(block), area, buffer);
}

fn event_list(model: &Model, area: Rect, buffer: &mut Buffer) {
    let room = usize::from(area.height.saturating_sub(1));
    let back = model.scroll.min(model.events.len().saturating_sub(room));
    let end = model.events.len() - back;
    let shown = model.events.range(end.saturating_sub(room)..end);
    let lines: Vec<Line> = shown
        .map(|event| {
            Line::styled(event_line(event).trim_end().to_string(), model.of_severity(event.severity))
        })
        .collect();
    let title = match back {
        0 => " events ".to_string(),
        back => format!(" events, {back} newer below "),
    };
    let block = Block::new().borders(Borders::TOP).title(title);
    Paragraph::new(Text::from(lines)).block(block).render(area, buffer);
}

fn explanation(model: &Model, text: &str, area: Rect, buffer: &mut Buffer) {
    let lines: Vec<Line> = text.lines().map(|line| Line::from(printable(line))).collect();
    let top = model.scroll.min(lines.len().saturating_sub(1));
    let block = Block::new().borders(Borders::TOP).title(" explain (e: back to the events) ");
    let paragraph = Paragraph::new(Text::from(lines)).wrap(Wrap { trim: false }).block(block);
    paragraph.scroll((u16::try_from(top).unwrap_or(u16::MAX), 0)).render(area, buffer);
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Model, Weight, render};
    use primacy::engine::{Event, EventKind, NodeSnapshot, PoolSnapshot, Severity, Time};
    use primacy::pool::{NodeType, PolicyName, PoolKind, PoolStatus, State, Status};
    use primacy::probe::{Cause, Facts};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::buffer::Buffer;
    use ratatui::style::{Color, Modifier};
    use std::time::Duration;

    const NOW: u64 = 1_700_000_000_000;

    fn node(n: u8, state: State, status: Status, message: &str) -> NodeSnapshot {
        NodeSnapshot {
            name: format!("10.0.0.{n}:3306"),
            node_type: if n == 1 { NodeType::Primary } else { NodeType::Secondary },
            state,
            status,
            count: Some(u32::from(n)),
            cause: Some(Cause::Ok),
            errno: 0,
            message: message.into(),
            rule: 252,
            waits_for_recover: false,
            observed_ms: NOW - 400,
            changed_ms: NOW - 3_600_000 * 3,
            weight: 1,
            site: String::new(),
            facts: Facts { round_trip: Some(Duration::from_micros(230)), ..Facts::default() },
            checkpoints: Vec::new(),
            label: status,
            override_: None,
        }
    }

    fn pool(name: &str, nodes: Vec<NodeSnapshot>) -> PoolSnapshot {
        PoolSnapshot {
            name: name.into(),
            kind: PoolKind::Ring,
            policy: PolicyName::Safe,
            status: PoolStatus::Ok,
            epoch: 17,
            active: nodes.iter().position(|n| n.state == State::Active),
            paused: false,
            frozen: None,
            removed: Vec::new(),
            nodes,
        }
    }

    fn event(n: u64, severity: Severity, message: &str) -> Event {
        Event {
            kind: EventKind::Switch,
            severity,
            sequence: n,
            mono: Time(0),
            wall_ms: NOW - 1000 + n,
            pool: "orders".into(),
            node: String::new(),
            epoch: 17,
            rule: 245,
            old_state: State::Unknown,
            new_state: State::Unknown,
            old_status: Status::Ok,
            new_status: Status::Ok,
            cause: Cause::Ok,
            message: message.into(),
            count: 0,
        }
    }

    fn model() -> Model {
        let failed = node(1, State::FailedOffline, Status::Fail, "nothing listens\u{1b}[2J");
        let active = node(2, State::Active, Status::OkWarn, "the ACTIVE node keeps the role");
        let mut model = Model {
            pools: vec![pool("orders", vec![failed, active]), pool("users", Vec::new())],
            source: "agent 4711".into(),
            now_ms: NOW,
            colour: true,
            ..Model::default()
        };
        model.add(vec![event(1, Severity::Info, "first"), event(2, Severity::Alarm, "ACTIVE was A, is B")]);
        model
    }

    #[test]
    fn the_tier_stands_below_the_pools_or_alone() {
        let mut model = model();
        model.tier = vec![
            (Weight::Head, "hosts, seen from rt1".into()),
            (Weight::Owner, "  owner rt1, epoch 7".into()),
            (Weight::Bad, "  rt2  not heard".into()),
        ];
        let find = |lines: &[String], what: &str| lines.iter().position(|line| line.contains(what));
        let shown = lines(&drawn(&model, 100, 30));
        let (orders, tier) = (find(&shown, "orders"), find(&shown, "hosts, seen from rt1"));
        assert!(orders.is_some() && orders < tier && tier < find(&shown, "ACTIVE was A, is B"), "{shown:#?}");
        assert!(find(&shown, "rt2  not heard").is_some(), "{shown:#?}");
        // Without pools the tier has the room.
        model.pools.clear();
        let shown = lines(&drawn(&model, 100, 30));
        assert!(find(&shown, " pools ").is_none() && find(&shown, " tier ") == Some(1), "{shown:#?}");
        assert!(
            find(&shown, "owner rt1, epoch 7").is_some() && find(&shown, "first").is_some(),
            "{shown:#?}"
        );
        for (width, height) in [(1, 1), (3, 4), (20, 6)] {
            drawn(&model, width, height);
        }
    }

    fn drawn(model: &Model, width: u16, height: u16) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| render(model, frame.area(), frame.buffer_mut())).unwrap();
        terminal.backend().buffer().clone()
    }

    fn lines(buffer: &Buffer) -> Vec<String> {
        let area = buffer.area;
        let line =
            |y| (0..area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_string();
        (0..area.height).map(line).collect()
    }

    #[test]
    fn the_whole_picture() {
        let expected = "\
primacy   2023-11-14T22:13:20.000Z   agent 4711
 pools 1/2 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
> orders safe OK epoch 17 ACTIVE 10.0.0.2:3306
  users  safe OK epoch 17 nobody is ACTIVE
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
 orders ────────────────────────────────────────────────────────────────────────────────────────────────────────────────
NODE          TYPE      STATE          LADDER STATUS  COUNT RTT   LAG SEEN FOR MESSAGE
10.0.0.1:3306 PRIMARY   FAILED_OFFLINE ....   FAIL    1     230us -   0s   3h  nothing listens [2J
10.0.0.2:3306 SECONDARY ACTIVE         ##..   OK_WARN 2     230us -   0s   3h  the ACTIVE node keeps the role
 events ────────────────────────────────────────────────────────────────────────────────────────────────────────────────
2023-11-14T22:13:19.001Z info    orders switch rule 245: first
2023-11-14T22:13:19.002Z ALARM   orders switch rule 245: ACTIVE was A, is B



q quit   up/down/tab pool   e explain   PgUp/PgDn scroll";
        let drawn = lines(&drawn(&model(), 120, 16));
        assert_eq!(drawn, expected.lines().collect::<Vec<_>>(), "\n{}", drawn.join("\n"));
    }

    /// The style of the first cell of a word.
    fn style(buffer: &Buffer, word: &str) -> (Color, Modifier) {
        for (y, line) in lines(buffer).iter().enumerate() {
            if let Some(at) = line.find(word) {
                let x = line[..at].chars().count();
                let cell = &buffer[(x as u16, y as u16)];
                return (cell.fg, cell.modifier);
            }
        }
        panic!("{word} is not shown");
    }

    #[test]
    fn colours_mean_something_and_can_be_done_without() {
        let mut model = model();
        let coloured = drawn(&model, 120, 16);
        assert_eq!(style(&coloured, "FAILED_OFFLINE").0, Color::Red);
        assert_eq!(style(&coloured, "ACTIVE         ##"), (Color::Green, Modifier::BOLD));
        assert_eq!(style(&coloured, "OK_WARN").0, Color::Yellow);
        assert_eq!(style(&coloured, "2023-11-14T22:13:19.002Z").0, Color::Red);
        model.colour = false;
        let plain = drawn(&model, 120, 16);
        assert!(plain.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
        assert_eq!(lines(&plain), lines(&coloured), "nothing is told by colour alone");
    }

    #[test]
    fn keys_choose_scroll_and_explain() {
        let mut model = model();
        model.choose(1);
        assert!(lines(&drawn(&model, 100, 16))[3].starts_with("> users"));
        model.choose(1);
        assert!(lines(&drawn(&model, 100, 16))[2].starts_with("> orders"));
        model.choose(-1);
        assert_eq!(model.chosen, 1);
        model.choose(-1);
        model.add((3..50).map(|n| event(n, Severity::Info, &format!("event {n}."))).collect());
        let shown = |model: &Model| lines(&drawn(model, 100, 20)).join("\n");
        assert!(shown(&model).contains("event 49."));
        model.scroll = 10;
        assert!(!shown(&model).contains("event 40.") && shown(&model).contains("event 39."));
        assert!(shown(&model).contains("10 newer below"));
        model.add(vec![event(50, Severity::Info, "event 50.")]);
        assert!(
            shown(&model).contains("event 39.") && !shown(&model).contains("event 40."),
            "it stays in place"
        );
        model.scroll = usize::MAX;
        assert!(shown(&model).contains("first"), "no further than the beginning");
        model.scroll = 0;
        model.explain = Some("pool orders\n  because\u{7} of this".into());
        assert!(shown(&model).contains("  because  of this") && !shown(&model).contains("event 49."));
        model.explain = None;
        model.add((0..2 * KEPT as u64).map(|n| event(n, Severity::Info, "x")).collect());
        assert_eq!(model.events.len(), KEPT);
    }

    #[test]
    fn any_size_and_any_number_of_pools() {
        let mut model = model();
        model.trouble = "the agent does not answer".into();
        assert!(lines(&drawn(&model, 120, 16))[0].contains("the agent does not answer   "));
        let many: Vec<NodeSnapshot> = (1..200).map(|n| node(n, State::Standby, Status::Ok, "")).collect();
        model.pools = (0..90).map(|n| pool(&format!("pool{n}"), many.clone())).collect();
        model.chosen = 89;
        for (width, height) in [(1, 1), (2, 3), (10, 5), (80, 24), (300, 100)] {
            let drawn = lines(&drawn(&model, width, height));
            assert!(height < 24 || drawn.iter().any(|line| line.starts_with("> pool89")), "{drawn:?}");
        }
        // A pool that went away while it was chosen.
        model.pools.truncate(1);
        assert!(lines(&drawn(&model, 80, 24)).iter().any(|line| line.starts_with("> pool0")));
        model.pools.clear();
        assert!(lines(&drawn(&model, 80, 24)).iter().any(|line| line.contains("no pools")));
    }
}
