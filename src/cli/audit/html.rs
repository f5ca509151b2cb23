//! A session as one HTML page that needs nothing else: no script, no font, no picture from
//! elsewhere. Every output is in it, folded.
//!
//! The page is written piece by piece, for it may be longer than memory: `templates/head.html`, an
//! `entry.html` for each item, `tail.html`. Whatever a template is given is cleaned and escaped.

use super::{
    item::{self, AuditItem, items},
    story::{Story, clock},
};
use minijinja::{
    AutoEscape, Environment, context, escape_formatter,
    value::{Serde, Value},
};
use operator_ledger::{EntryKind, EntryRow, Reader, clean::clean};
use serde::Serialize;
use std::io::Write;

/// Lines of a text that are shown unfolded.
const MAX_OPEN: usize = 6;

const TEMPLATES: [(&str, &str); 3] = [
    ("head.html", include_str!("templates/head.html")),
    ("entry.html", include_str!("templates/entry.html")),
    ("tail.html", include_str!("templates/tail.html")),
];

/// What `entry.html` shows; what is empty is left out.
#[derive(Default, Serialize)]
struct Entry {
    class: &'static str,
    at: Option<String>,
    /// What kind of entry it is, in front of a text that stands by itself; of a call, what it does.
    kind: String,
    why: String,
    end: String,
    /// In the line, without a block of its own.
    inline: String,
    text: Option<String>,
    /// What is shown in place of the text while it is folded.
    summary: Option<String>,
}

pub(super) fn write(
    out: &mut impl Write,
    story: &Story,
    ledger: &Reader,
) -> color_eyre::Result<()> {
    let page = environment()?;
    let timed = |lines: Vec<(_, String)>| -> Vec<_> {
        lines
            .into_iter()
            .map(|(at, text)| (clock(at), text))
            .collect()
    };
    let (timeline, left) = (timed(story.timeline()), timed(story.left()));
    let head = page.get_template("head.html")?.render(context! {
        title => story.title(),
        facts => Value::from(Serde(story.facts())),
        timeline => Value::from(Serde(timeline)),
        said => Value::from(Serde(story.said())),
        diagnosis => story.diagnosis(),
        left => Value::from(Serde(left)),
    })?;
    out.write_all(head.as_bytes())?;
    let template = page.get_template("entry.html")?;
    for item in items(ledger, &story.session.session_id) {
        let entry = Entry::of(&item?, ledger)?;
        let entry = template.render(Value::from(Serde(entry)))?;
        out.write_all(entry.as_bytes())?;
    }
    let gaps = Value::from(Serde(story.gaps()));
    let tail = page.get_template("tail.html")?.render(context! { gaps })?;
    Ok(out.write_all(tail.as_bytes())?)
}

fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut page = Environment::new();
    page.set_auto_escape_callback(|_| AutoEscape::Html);
    page.set_formatter(|out, state, value| match value.as_str() {
        Some(text) => escape_formatter(out, state, &clean(text).into()),
        None => escape_formatter(out, state, value),
    });
    for (name, source) in TEMPLATES {
        page.add_template(name, source)?;
    }
    Ok(page)
}

impl Entry {
    fn of(item: &AuditItem, ledger: &Reader) -> color_eyre::Result<Self> {
        Ok(match item {
            AuditItem::Call(e) => Self {
                class: "call",
                kind: item::effect_line(e).unwrap_or_default().to_owned(),
                why: e.reasoning().to_owned(),
                text: Some(item::call_line(e)),
                ..Self::at(e)
            },
            AuditItem::Result(e) => {
                let mut text = String::new();
                if item::hidden_from_model(e) > 0 {
                    text = item::text_of(&item::output(ledger, e)?);
                }
                if text.is_empty() {
                    e.text().clone_into(&mut text);
                }
                Self {
                    class: if e.exit_code == Some(0) {
                        "good"
                    } else {
                        "bad"
                    },
                    end: item::ending(e),
                    ..Self::at(e)
                }
                .folded(&e.content, text)
            }
            AuditItem::Text(e) => match e.entry_type.known() {
                Some(EntryKind::Reasoning) => Self {
                    text: Some(e.text().to_owned()),
                    ..Self::at(e)
                },
                Some(
                    EntryKind::System
                    | EntryKind::Ticket
                    | EntryKind::Compaction
                    | EntryKind::Thinking,
                ) => Self {
                    inline: e.entry_type.to_string(),
                    ..Self::at(e)
                }
                .folded(&e.content, e.text().to_owned()),
                _ => Self {
                    kind: e.entry_type.to_string(),
                    inline: e.text().to_owned(),
                    ..Self::at(e)
                },
            },
            AuditItem::CutOff(printed) => Self {
                class: "bad",
                end: item::NO_END.to_owned(),
                ..Self::default()
            }
            .folded(item::NO_END, item::text_of(printed)),
        })
    }

    fn at(e: &EntryRow) -> Self {
        Self {
            at: Some(clock(e.at)),
            ..Self::default()
        }
    }

    /// With a text that unfolds, if it is long.
    fn folded(self, summary: &str, text: String) -> Self {
        let is_long = clean(&text).lines().count() > MAX_OPEN;
        Self {
            summary: is_long.then(|| summary.to_owned()),
            text: Some(text),
            ..self
        }
    }
}
