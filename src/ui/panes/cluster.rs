//! The cluster pane: stores, PD members, what they serve.

use crate::{
    app::model::{pane::Pane, state::State},
    cluster::{
        ClusterSnapshot, Doubt, Engine, Life, MemberState, PdMember, Regions, Store, StoreState,
        UnknownReason,
    },
    ui::{
        format::{age, lasting, millis, percent, rate},
        pane_name,
        panes::{agent::starting, traffic},
        row::mark,
        text::{left, left_of_both_ends, lines, panel, paragraph, right},
        theme::{Role, Theme},
    },
};
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};
use std::ops::Range;
use unicode_width::UnicodeWidthStr;

/// Rows of the two charts and the gap above them, on a small screen and on a tall one.
const CHARTS: u16 = 3;
const TALL_CHARTS: u16 = 15;
/// Rows from which two charts have axes.
const WITH_AXES: u16 = 13;

/// Rows the pane would like.
pub(crate) fn rows(state: &State, height: u16) -> u16 {
    let charts = if height >= 44 { TALL_CHARTS } else { CHARTS };
    let snapshot = state.cluster.snapshot.as_ref();
    let count = |n: Option<usize>| u16::try_from(n.unwrap_or(1)).unwrap_or(u16::MAX).min(20);
    let stores = count(snapshot.and_then(|s| s.stores.value.as_ref()).map(Vec::len));
    let members = count(snapshot.and_then(|s| s.pd.value.as_ref()).map(Vec::len));
    let unknown = snapshot.is_none_or(|s| s.stores.value.is_none());
    if unknown {
        10
    } else {
        1 + stores + members + charts
    }
}

/// Returns where the stores are.
pub(crate) fn draw(frame: &mut Frame, area: Rect, state: &State, theme: Theme) -> Rect {
    if area.is_empty() {
        return area;
    }
    let cluster = &state.cluster;
    let seen = cluster
        .snapshot
        .as_ref()
        .and_then(|s| s.stores.age(state.now));
    let title_right = match seen {
        None => vec![Span::styled("? unknown", theme.style(Role::Unknown))],
        Some(seen) if seen > cluster.patience => {
            vec![Span::styled(
                format!("? stale {}", age(seen)),
                theme.style(Role::Unknown),
            )]
        }
        Some(seen) => vec![Span::styled(
            format!("{} ago", age(seen)),
            theme.style(Role::Dim),
        )],
    };
    let focused = state.focus == Pane::Cluster;
    let mut title = vec![Span::raw(pane_name(Pane::Cluster))];
    let (all, fit) = (
        cluster.stores().len(),
        window(state, area.height.saturating_sub(2)).0,
    );
    if fit.len() < all {
        let text = format!(" · {}-{} of {all}", fit.start + 1, fit.end);
        title.push(Span::styled(text, theme.style(Role::Dim)));
    }
    let inner = panel(frame, area, title, title_right, focused, theme);
    if inner.is_empty() {
        return inner;
    }
    let columns = usize::from(inner.width);
    let (shown, at) = window(state, inner.height);
    let stores_shown = shown.len();
    let mut text = match &cluster.snapshot {
        Some(snapshot) if snapshot.stores.value.is_some() => {
            table(state, snapshot, shown, columns, theme)
        }
        snapshot => nothing(state, snapshot.as_ref(), columns, theme),
    };
    let table_rows = u16::try_from(text.len()).unwrap_or(u16::MAX);
    let left_over = inner.height.saturating_sub(table_rows);
    if cluster
        .snapshot
        .as_ref()
        .is_some_and(|s| s.stores.value.is_some())
        && (2..WITH_AXES).contains(&left_over)
    {
        traffic::bars(state, columns, left_over, theme, &mut text);
    }
    lines(frame, inner, text);
    if left_over >= WITH_AXES {
        let below = Rect {
            y: inner.y + table_rows + 1,
            height: left_over - 1,
            ..inner
        };
        traffic::with_axes(frame, below, state, theme);
    }
    let rows = u16::try_from(stores_shown).unwrap_or(u16::MAX);
    let stores = Rect {
        y: inner.y + 1,
        height: rows.min(inner.height - 1),
        ..inner
    };
    if let Some(at) = at.filter(|_| focused) {
        mark(frame, stores, at, theme);
    }
    stores
}

/// Which stores there is room for, and the row of the chosen one among them.
fn window(state: &State, height: u16) -> (Range<usize>, Option<usize>) {
    let stores = state.cluster.stores();
    let members = state
        .cluster
        .snapshot
        .as_ref()
        .and_then(|s| s.pd.value.as_ref());
    // However many stores there are, what they serve together stays in sight where there is room.
    let charts = if height >= 16 { CHARTS } else { 0 };
    let trouble = regions_now(state).map_or(0, |r| {
        usize::from(r.unserved() > 0) + usize::from(r.in_doubt > 0)
    });
    let others = 1 + members.map_or(1, Vec::len) + usize::from(charts) + trouble;
    let room = usize::from(height).saturating_sub(others).max(3);
    let shown = state.cluster.window(room);
    let chosen = state.cluster.selected().map(|s| s.id);
    let at = stores.iter().position(|s| Some(s.id) == chosen);
    let at = at.map(|at| at - shown.start);
    (shown, at)
}

/// No store was ever seen: what was tried, and what to do.
fn nothing(
    state: &State,
    snapshot: Option<&ClusterSnapshot>,
    columns: usize,
    theme: Theme,
) -> Vec<Line<'static>> {
    let mut text = Vec::new();
    if starting(state) {
        let text = "? The lab is starting: three PD members, three stores.";
        return paragraph(text, columns, theme.style(Role::Unknown));
    }
    if state.replayed {
        let text = "? No cluster data recorded yet.";
        return paragraph(text, columns, theme.style(Role::Unknown));
    }
    let Some(snapshot) = snapshot else {
        text.extend(paragraph(
            &format!("? Asking PD at {} …", state.cluster.pd),
            columns,
            theme.style(Role::Unknown),
        ));
        return text;
    };
    let why = snapshot
        .stores
        .error
        .as_ref()
        .map_or("PD gave no answer", UnknownReason::as_str);
    let tried = &state.cluster.pd;
    text.extend(paragraph(
        &format!("? Unknown. PD at {tried}:"),
        columns,
        theme.style(Role::Unknown),
    ));
    text.extend(
        paragraph(why, columns, theme.style(Role::Plain))
            .into_iter()
            .take(4),
    );
    text.push(Line::default());
    text.extend(paragraph(
        "--pd says where PD is. `operator-tui demo` brings a cluster of its own.",
        columns,
        theme.style(Role::Dim),
    ));
    text
}

fn table(
    state: &State,
    snapshot: &ClusterSnapshot,
    shown: Range<usize>,
    columns: usize,
    theme: Theme,
) -> Vec<Line<'static>> {
    let shape = Shape::new(columns, snapshot);
    let stores_now = state.cluster.current(&snapshot.stores, state.now).is_some();
    let members_now = state.cluster.current(&snapshot.pd, state.now).is_some();
    let mut text = vec![shape.heading(theme)];
    let stores = snapshot.stores.value.iter().flatten();
    for store in stores.skip(shown.start).take(shown.len()) {
        text.push(shape.store(state, store, stores_now, theme));
    }
    let leader = state.cluster.current(&snapshot.pd_leader, state.now);
    if leader.is_some_and(Option::is_none) {
        text.push(Line::styled("✗ PD has no leader", theme.style(Role::Bad)));
    }
    if let Some(regions) = regions_now(state) {
        text.extend(regions_in_trouble(regions, columns, theme));
    }
    if let Some(members) = &snapshot.pd.value {
        text.extend(members.iter().map(|m| shape.member(m, members_now, theme)));
    } else {
        let why = snapshot.pd.error.as_ref();
        let why = why.map_or("", UnknownReason::as_str);
        let line = left(&format!("? PD members: {why}"), columns);
        text.push(Line::styled(line, theme.style(Role::Unknown)));
    }
    if let Some(error) = snapshot
        .stores
        .error
        .as_ref()
        .or(snapshot.pd.error.as_ref())
    {
        let line = left(&format!("? {error}"), columns);
        text.push(Line::styled(line, theme.style(Role::Unknown)));
    }
    text
}

fn regions_now(state: &State) -> Option<&Regions> {
    let snapshot = state.cluster.snapshot.as_ref()?;
    state.cluster.current(&snapshot.regions, state.now)
}

/// What is not served, and what nobody knows of.
fn regions_in_trouble(regions: &Regions, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    let (total, lost, doubt) = (regions.total, regions.unserved(), regions.in_doubt);
    let mut text = Vec::new();
    if lost > 0 {
        let line = left(&format!("✗ {lost} of {total} regions not served"), columns);
        text.push(Line::styled(line, theme.style(Role::Bad)));
    }
    if doubt > 0 {
        let line = left(&format!("? {doubt} of {total} regions in doubt"), columns);
        text.push(Line::styled(line, theme.style(Role::Unknown)));
    }
    text
}

/// How wide each column is; 0: it is left out.
struct Shape {
    name: usize,
    state: usize,
    leaders: usize,
    regions: usize,
    disk: usize,
    rates: usize,
    address: usize,
}

impl Shape {
    /// Names and counts of a real cluster are long. A count is shown whole or not at all; a name
    /// gives up its middle before it takes the room of a column.
    fn new(columns: usize, snapshot: &ClusterSnapshot) -> Self {
        const DISK: usize = 5;
        const RATES: usize = 16;
        let stores = || snapshot.stores.value.iter().flatten();
        let members = snapshot.pd.value.iter().flatten();
        let names = stores()
            .map(|s| s.name.width())
            .chain(members.map(|m| m.name.width()));
        let longest = names.max().unwrap_or(0).clamp(5, 40);
        let widest = |count: fn(&Store) -> Option<u64>| {
            let most = stores().filter_map(count).max().unwrap_or(0);
            (most.to_string().len() + 1).max(4)
        };
        let name = longest.min(if columns < 34 { 7 } else { 12 });
        // "? no answer 0:02" is long, and must not lose its time.
        let doubt = stores().any(|s| matches!(s.life(), Life::Suspect(_)));
        let state = match columns {
            _ if doubt => 17,
            ..34 => 14,
            _ => 15,
        };
        let mut left = columns.saturating_sub(name + state);
        let mut room = |wide: usize| {
            let wide = if wide <= left { wide } else { 0 };
            left -= wide;
            wide
        };
        let leaders = room(widest(|s| s.leaders));
        let disk = room(DISK);
        let regions = room(widest(|s| s.regions));
        let rates = room(RATES);
        let grown = name + left.min(longest - name);
        let address = (columns.saturating_sub(state + leaders + disk + regions + rates))
            .saturating_sub(grown);
        Self {
            name: grown,
            state,
            leaders,
            regions,
            disk,
            rates,
            address: if address >= 18 { address } else { 0 },
        }
    }

    /// Columns between a state and an address.
    fn numbers(&self) -> usize {
        self.leaders + self.regions + self.disk + self.rates
    }

    fn heading(&self, theme: Theme) -> Line<'static> {
        let mut text = left("store", self.name) + &left(" state", self.state);
        text += &right("lead", self.leaders);
        text += &right("reg", self.regions);
        text += &right("disk", self.disk);
        text += &right("ops/s", self.rates / 2);
        text += &right("p99", self.rates / 2);
        text += &left("  address", self.address);
        Line::styled(text, theme.style(Role::Dim))
    }

    fn store(&self, state: &State, store: &Store, known: bool, theme: Theme) -> Line<'static> {
        let (glyph, word, role) = state_words(store);
        let mut spans = vec![Span::raw(left_of_both_ends(&store.name, self.name))];
        if known {
            // A store that is silent has been so since it was last heard.
            let since = match (store.life(), store.state) {
                (Life::Suspect(Doubt::NoAnswer(at) | Doubt::NoHeartbeat(at)), _) => Some(at),
                (Life::Silent, _) => store.last_heartbeat.or(state.cluster.store_since(store.id)),
                (Life::Alive, StoreState::Offline | StoreState::Tombstone) | (Life::Joining, _) => {
                    state.cluster.store_since(store.id)
                }
                (Life::Alive, _) => None,
                _ => state.cluster.store_since(store.id),
            };
            let time = since.map_or(String::new(), |at| format!(" {}", lasting(state.since(at))));
            let text = left(&format!(" {glyph} {word}{time}"), self.state);
            spans.push(Span::styled(text, theme.style(role)));
        } else {
            let text = left(&format!(" ? was {word}"), self.state);
            spans.push(Span::styled(text, theme.style(Role::Unknown)));
        }
        let mut numbers = String::new();
        let count = |n: Option<u64>| n.filter(|_| known).map_or("?".into(), |n| n.to_string());
        numbers += &right(&count(store.leaders), self.leaders);
        numbers += &right(&count(store.regions), self.regions);
        let disk = store
            .disk_used()
            .filter(|_| known && matches!(store.life(), Life::Alive | Life::Suspect(_)));
        numbers += &right(&disk.map_or("?".into(), percent), self.disk);
        if self.rates > 0 && store.engine == Engine::Tiflash {
            numbers += &right("TiFlash", self.rates);
        } else if self.rates > 0 {
            let traffic = state
                .cluster
                .current(&store.traffic, state.now)
                .copied()
                .unwrap_or_default();
            let ops = traffic.ops_per_s.filter(|_| known);
            let p99 = traffic.p99_ms.filter(|_| known).map(millis);
            let none = match traffic::refused(&traffic) {
                Some(_) => "refuses",
                None if ops.is_some_and(|ops| ops < 0.05) => "-",
                None => "?",
            };
            numbers += &right(&ops.map_or("?".into(), rate), 8);
            numbers += &right(&p99.unwrap_or(none.into()), 8);
        }
        spans.push(Span::raw(numbers));
        if self.address > 0 {
            let text = left(&format!("  {}", store.address), self.address);
            spans.push(Span::styled(text, theme.style(Role::Dim)));
        }
        Line::from(spans)
    }

    fn member(&self, member: &PdMember, known: bool, theme: Theme) -> Line<'static> {
        let (text, role) = match member.state {
            _ if !known => ("? unknown", Role::Unknown),
            MemberState::Leader => ("● leader", Role::Ok),
            MemberState::Follower => ("● follower", Role::Ok),
            MemberState::Down => ("✗ down", Role::Bad),
            MemberState::NeverStarted => ("✗ never ran", Role::Bad),
            MemberState::Unknown => ("? unknown", Role::Unknown),
        };
        let mut spans = vec![
            Span::raw(left_of_both_ends(&member.name, self.name)),
            Span::styled(left(&format!(" {text}"), self.state), theme.style(role)),
        ];
        if self.address > 0 {
            spans.push(" ".repeat(self.numbers()).into());
            let text = left(&format!("  {}", member.address), self.address);
            spans.push(Span::styled(text, theme.style(Role::Dim)));
        }
        Line::from(spans)
    }
}

/// Glyph, word and look of how a store is: whether it lives first, what PD calls it then.
pub(crate) fn state_words(store: &Store) -> (char, &'static str, Role) {
    match (store.life(), store.state) {
        (Life::Alive, StoreState::Offline) => ('‖', "leaving", Role::Warn),
        (Life::Alive, StoreState::Tombstone) => ('·', "removed", Role::Dim),
        (Life::Alive, _) => ('●', "up", Role::Ok),
        (Life::Joining, _) => ('‖', "joining", Role::Warn),
        (Life::Suspect(Doubt::NoHeartbeat(_)), _) => ('?', "late", Role::Unknown),
        (Life::Suspect(_), _) => ('?', "no answer", Role::Unknown),
        (Life::Silent, StoreState::Disconnected) => ('!', "silent", Role::Warn),
        (Life::Silent, StoreState::Down) => ('✗', "down", Role::Bad),
        // It was to leave, and died before its data had.
        (Life::Silent, _) => ('✗', "silent", Role::Bad),
        (Life::Unknown(_), _) => ('?', "unknown", Role::Unknown),
    }
}
