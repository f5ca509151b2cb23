//! One store: its state, what it holds and serves, its latency and throughput over time, when it was
//! last heard, the end of its log where that is in reach.

use crate::{
    app::model::{overlay::StoreView, state::State},
    cluster::{Engine, Store},
    transcript::{Size, wrap::wrap},
    ui::{
        chart::{self, History},
        format::{age, bytes, lasting, millis, percent, rate},
        panes::{self, cluster::state_words},
        row,
        text::{clear, left, lines, panel, paragraph},
        theme::{Role, Theme},
    },
};
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

pub(super) fn draw(
    frame: &mut Frame,
    area: Rect,
    view: &StoreView,
    state: &State,
    theme: Theme,
) -> (Size, Rect) {
    clear(frame, area);
    let store = state.cluster.stores().iter().find(|s| s.id == view.id);
    let snapshot = state.cluster.snapshot.as_ref();
    let known = snapshot.is_some_and(|s| state.cluster.current(&s.stores, state.now).is_some());
    let seen = snapshot.and_then(|s| s.stores.age(state.now));
    let mut title = vec![Span::raw(format!("Store {}", view.name))];
    if let Some(store) = store {
        let (glyph, word, role) = state_words(store);
        let (text, role) = if known {
            (format!(" · {glyph} {word}"), role)
        } else {
            (format!(" · ? was {word}"), Role::Unknown)
        };
        title.push(Span::styled(text, theme.style(role)));
    }
    let (seen, role) = match seen {
        Some(seen) if known => (format!("{} ago", age(seen)), Role::Dim),
        Some(seen) => (format!("? stale {}", age(seen)), Role::Unknown),
        None => ("? never seen".into(), Role::Unknown),
    };
    let right = vec![Span::styled(seen, theme.style(role))];
    let inner = panel(frame, area, title, right, true, theme);
    let columns = usize::from(inner.width);
    let Some(store) = store else {
        let text = "? PD does not name this store any more.";
        lines(
            frame,
            inner,
            paragraph(text, columns, theme.style(Role::Unknown)),
        );
        return (Size::default(), inner);
    };
    let facts = facts(store, known, state, columns, theme);
    let rows = u16::try_from(facts.len()).unwrap_or(0).min(inner.height);
    let (top, rest) = split(inner, rows);
    lines(frame, top, facts);
    let tall = if rest.height >= 22 { 10 } else { 7 };
    let (charts, rest) = split(rest, tall.min(rest.height));
    draw_charts(frame, charts, store.id, state, theme);
    draw_log(frame, rest, view, state, theme)
}

fn split(area: Rect, top: u16) -> (Rect, Rect) {
    (
        Rect {
            height: top,
            ..area
        },
        Rect {
            y: area.y + top,
            height: area.height - top,
            ..area
        },
    )
}

fn facts(
    store: &Store,
    known: bool,
    state: &State,
    columns: usize,
    theme: Theme,
) -> Vec<Line<'static>> {
    let unknown = || "?".to_owned();
    let count = |n: Option<u64>| n.filter(|_| known).map_or_else(unknown, |n| n.to_string());
    let ago = |at| format!("{} ago", lasting(state.since(at)));
    let traffic = state
        .cluster
        .current(&store.traffic, state.now)
        .copied()
        .unwrap_or_default();
    // Two columns where there is room.
    let wide = columns >= 70;
    let half = if wide { columns / 2 } else { columns };
    let roomy = half >= 50;
    let disk = match (store.disk_used(), store.capacity, store.available) {
        (Some(used), Some(capacity), _) if known && !roomy => {
            format!("{} of {}", percent(used), bytes(capacity))
        }
        (Some(used), Some(capacity), Some(available)) if known => format!(
            "{} used: {} of {}",
            percent(used),
            bytes(capacity - available.min(capacity)),
            bytes(capacity)
        ),
        _ => unknown(),
    };
    // TiFlash counts its queries in metrics of its own, which are not read.
    let tiflash = store.engine == Engine::Tiflash;
    let none = || match traffic.ops_per_s {
        _ if tiflash => "TiFlash: not measured".into(),
        Some(_) => "-".into(),
        None => unknown(),
    };
    let a_second = |v| format!("{}/s", rate(v));
    let served = traffic.ops_per_s.map_or_else(none, a_second);
    let refused = match (panes::traffic::refused(&traffic), traffic.refused_per_s) {
        (Some((share, v)), _) => format!(
            "{} ({})",
            a_second(v),
            panes::traffic::percent_of_some(share)
        ),
        (None, known) => known.map_or_else(none, a_second),
    };
    let pairs = [
        (
            "last heartbeat",
            store.last_heartbeat.map_or_else(unknown, ago),
        ),
        ("started", store.started.map_or_else(unknown, ago)),
        ("leaders", count(store.leaders)),
        ("regions", count(store.regions)),
        ("disk", disk),
        ("served", served),
        ("p99", traffic.p99_ms.map_or_else(none, millis)),
        ("refused", refused),
        ("slow score", score(store)),
        ("id", store.id.to_string()),
    ];
    let cell = |(name, value): &(&str, String)| -> Vec<Span<'static>> {
        let role = if value == "?" {
            Role::Unknown
        } else {
            Role::Plain
        };
        vec![
            Span::styled(left(name, 16), theme.style(Role::Dim)),
            Span::styled(left(value, half.saturating_sub(17)), theme.style(role)),
            Span::raw(" "),
        ]
    };
    let mut text: Vec<Line<'static>> = if wide {
        pairs
            .chunks(2)
            .map(|pair| Line::from(pair.iter().flat_map(cell).collect::<Vec<_>>()))
            .collect()
    } else {
        pairs.iter().map(|pair| Line::from(cell(pair))).collect()
    };
    // Names can be long, and here they are whole.
    let names = [
        ("name", Some(&store.name)),
        ("address", Some(&store.address)),
        ("status address", store.status_address.as_ref()),
    ];
    for (what, name) in names {
        let Some(name) = name else { continue };
        for (row, range) in wrap(name, columns.saturating_sub(17).max(1), 0, false)
            .into_iter()
            .enumerate()
        {
            let what = left(if row == 0 { what } else { "" }, 16);
            text.push(Line::from(vec![
                Span::styled(what, theme.style(Role::Dim)),
                Span::raw(name[range].to_owned()),
            ]));
        }
    }
    if let Some(error) = &store.traffic.error {
        let line = format!("? its metrics: {error}");
        text.extend(paragraph(&line, columns, theme.style(Role::Unknown)));
    }
    text
}

/// How it keeps up, by its own word to PD.
fn score(store: &Store) -> String {
    let strain = &store.strain;
    let score = strain.slow_score.map(|score| format!("{score} of 100"));
    let busy = strain.busy.then(|| "busy".to_owned());
    let behind = strain.pending_peers.filter(|peers| *peers > 0);
    let behind = behind.map(|peers| format!("{peers} pending"));
    let said: Vec<_> = [score, busy, behind].into_iter().flatten().collect();
    if said.is_empty() {
        "?".into()
    } else {
        said.join(", ")
    }
}

fn draw_charts(frame: &mut Frame, area: Rect, store: u64, state: &State, theme: Theme) {
    let Some(history) = state.cluster.history(store) else {
        return;
    };
    let p99: Vec<_> = history.p99.iter().copied().collect();
    let ops: Vec<_> = history.ops.iter().copied().collect();
    let latency = History {
        title: "p99 latency",
        values: &p99,
        unit: millis,
    };
    let throughput = History {
        title: "requests a second",
        values: &ops,
        unit: rate,
    };
    if area.width >= 70 {
        let half = area.width / 2;
        let first = Rect {
            width: half - 1,
            ..area
        };
        let second = Rect {
            x: area.x + half,
            width: area.width - half,
            ..area
        };
        chart::draw(frame, first, &latency, theme);
        chart::draw(frame, second, &throughput, theme);
    } else {
        chart::draw(frame, area, &latency, theme);
    }
}

fn draw_log(
    frame: &mut Frame,
    area: Rect,
    view: &StoreView,
    state: &State,
    theme: Theme,
) -> (Size, Rect) {
    if area.height < 2 {
        return (Size::default(), area);
    }
    let (heading, log) = split(area, 1);
    let size = Size {
        width: log.width,
        height: log.height,
        cut: state.view_options.no_wrap,
    };
    let (text, role) = match &view.log {
        None if state.replayed => (
            "its log is not in the ledger: what the agent read of it is in the agent's pane"
                .to_owned(),
            Role::Dim,
        ),
        None if !state.lab => (
            "its log is where it runs: only a lab's is in reach from here".to_owned(),
            Role::Dim,
        ),
        None => ("log: reading …".to_owned(), Role::Dim),
        Some(Err(why)) => (format!("? no log: {why}"), Role::Unknown),
        Some(Ok(_)) => ("log, the newest last".to_owned(), Role::Dim),
    };
    let line = crate::ui::text::shorten(&text, usize::from(area.width));
    lines(frame, heading, vec![Line::styled(line, theme.style(role))]);
    if let Some(Ok(doc)) = &view.log {
        let page = doc.page(size, state.needle.as_ref());
        row::page(frame, log, &page, size, theme);
    }
    (size, log)
}
