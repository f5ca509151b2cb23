//! The walkthrough without a terminal: one line for each chapter, ticket, command and outcome,
//! with the time since the start, and a last line that sums it up.
//!
//! A front end like the screen: it is shown the state and prints what is new in it.

use crate::{
    app::{
        event::{Event, Frontend},
        model::{app::App, pane::Drawn, state::State},
    },
    demo::{Fault, Injected, walkthrough::Stand},
    span,
    transcript::Kind,
};
use jiff::Timestamp;
use operator_ledger::{
    Status, Ticket,
    clean::{CleanWriter, one_line},
};
use std::{
    collections::{BTreeMap, HashSet},
    io::{self, Write},
    time::{Duration, Instant},
};

/// What is remembered of the run, for telling what is new and for the summary.
#[derive(Debug)]
pub struct Headless {
    started: Instant,
    /// The chapter last told, and whether its end was.
    chapter: Option<usize>,
    ended: HashSet<usize>,
    progress: Option<String>,
    fault: Option<(String, String, Timestamp)>,
    /// Tickets that were there before this run.
    old: Option<HashSet<i64>>,
    tickets: BTreeMap<i64, Told>,
    fault_ticket: Option<i64>,
    next_line: u64,
    met: Option<bool>,
    failure: Option<String>,
    missed: Vec<String>,
    chapters: usize,
}

/// What was told of a ticket, and how long after the fault.
#[derive(Debug, Default, Clone)]
struct Told {
    state: &'static str,
    opened: Option<Duration>,
    proven: Option<Duration>,
    closed: bool,
}

impl Default for Headless {
    fn default() -> Self {
        Self::new()
    }
}

impl Headless {
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            chapter: None,
            ended: HashSet::new(),
            progress: None,
            fault: None,
            old: None,
            tickets: BTreeMap::new(),
            fault_ticket: None,
            next_line: 0,
            met: None,
            failure: None,
            missed: Vec::new(),
            chapters: 0,
        }
    }

    /// One line, after the time since the start. A reader that is gone is no reason to stop: the
    /// ledger has it all.
    pub fn say(&self, text: &str) {
        let mut out = CleanWriter::of(io::stdout().lock());
        let at = self.started.elapsed().as_secs_f64();
        let _ = writeln!(out, "{at:6.1} s  {}", one_line(text));
        let _ = out.flush();
    }

    fn stage(&mut self, state: &State) {
        let Some(demo) = &state.demo else { return };
        if let Some(p) = &demo.progress
            && self.progress.as_ref() != Some(&p.step)
        {
            self.say(&format!("lab           {}", p.step));
            self.progress = Some(p.step.clone());
        }
        if let Some(i) = demo.walk.injected()
            && self.fault.is_none()
        {
            self.say(&format!("fault         {} {}", i.kind, i.node));
            self.fault = Some((i.kind.clone(), i.node.clone(), i.at));
        }
        self.chapters = demo.walk.chapters().len();
        for (i, stand) in demo.walk.stands().iter().enumerate() {
            let title = &demo.walk.chapters()[i].title;
            if *stand != Stand::Ahead && self.chapter.is_none_or(|told| told < i) {
                self.say(&format!("chapter {}/{}   {title}", i + 1, self.chapters));
                self.chapter = Some(i);
            }
            let end = match stand {
                Stand::Done(took) => format!("  ✓ {title}, {}", span::exact(*took)),
                Stand::Missed(took) => format!("  ✗ {title}: not in {}", span::exact(*took)),
                Stand::Ahead | Stand::Now | Stand::Skipped => continue,
            };
            if self.ended.insert(i) {
                if matches!(stand, Stand::Missed(_)) {
                    self.missed.push(title.clone());
                }
                self.say(&end);
            }
        }
        if demo.walk.finished() {
            self.met = Some(demo.walk.all_met());
        }
        if let Some(why) = demo.walk.failure()
            && self.failure.is_none()
        {
            self.say(&format!("demo          {why}"));
            self.failure = Some(why.to_owned());
        }
    }

    fn tickets(&mut self, state: &State) {
        if state.tickets.view.is_none() {
            return;
        }
        let tickets = state.tickets.list();
        let injected = state.demo.as_ref().and_then(|d| d.walk.injected());
        let old = self
            .old
            .get_or_insert_with(|| tickets.iter().map(|t| t.id).collect());
        let fresh: Vec<&Ticket> = tickets
            .iter()
            .filter(|t| !old.contains(&t.id))
            .rev()
            .collect();
        for ticket in fresh {
            let word = word(ticket);
            let told = self.tickets.entry(ticket.id).or_default();
            if told.state == word {
                continue;
            }
            told.state = word;
            told.closed = ticket.status == Status::Resolved;
            let after = self.fault.as_ref().map(|(_, _, at)| span::since(*at));
            told.opened = told.opened.or(after);
            if word == "proven" {
                told.proven = told.proven.or(after);
            }
            if self.fault_ticket.is_none() && is_of_fault(ticket, injected) {
                self.fault_ticket = Some(ticket.id);
            }
            let mut line = format!("ticket #{:<5} {word}: {}", ticket.id, ticket.invariant);
            if ["open", "came back"].contains(&word) {
                line.push_str(&format!(", {}", ticket.message));
            }
            if let Some(after) = after {
                line.push_str(&format!(" ({} after the fault)", span::exact(after)));
            }
            self.say(&line);
        }
    }

    fn agent(&mut self, state: &State) {
        let from = self.next_line;
        self.next_line = state.agent.ring.next_id();
        for line in state.agent.ring.iter().filter(|l| l.id >= from) {
            let text = &line.text;
            match line.kind {
                Kind::Command => self.say(&format!("agent         $ {text}")),
                Kind::Why => self.say(&format!("                why: {text}")),
                Kind::Changes | Kind::MayChange => self.say(&format!("                {text}")),
                Kind::Good => self.say(&format!("                ✓ {text}")),
                Kind::Bad => self.say(&format!("                ✗ {text}")),
                Kind::Session | Kind::Child | Kind::Warning => {
                    self.say(&format!("agent         {text}"));
                }
                _ => {}
            }
        }
    }

    /// The last line: what was proven, or what was not. Whether it was.
    pub fn summary(&self) -> bool {
        let told = self
            .fault_ticket
            .and_then(|id| self.tickets.get(&id).map(|t| (id, t)));
        let proven = told.is_some_and(|(_, t)| t.state == "proven");
        let siblings = self.tickets.len().saturating_sub(1);
        let open = self.tickets.values().filter(|t| !t.closed).count();
        let mut parts = Vec::new();
        let ok = self.met == Some(true) && proven && open == 0;
        parts.push(if ok {
            "proven".to_owned()
        } else {
            "NOT PROVEN".to_owned()
        });
        if let Some((kind, node, _)) = &self.fault {
            let verb = <Fault as clap::ValueEnum>::from_str(kind, false)
                .map_or(kind.as_str(), |fault| fault.done());
            parts.push(format!("{node} {verb}"));
        }
        if let Some((id, t)) = told {
            if let Some(after) = t.opened {
                parts.push(format!("ticket #{id} after {}", span::exact(after)));
            }
            if let Some(after) = t.proven {
                parts.push(format!("proven after {}", span::exact(after)));
            }
        }
        parts.push(match (siblings, open) {
            (0, 0) => "no other tickets".into(),
            (n, 0) => format!("{n} other tickets, all closed"),
            (_, open) => format!("{open} tickets still open"),
        });
        if self.met.is_none() {
            parts.push("ended early".into());
        } else if self.missed.is_empty() {
            parts.push(format!("{} chapters in time", self.chapters));
        } else {
            parts.push(format!("not in time: {}", self.missed.join(", ")));
        }
        self.say(&format!("summary       {}", parts.join(" · ")));
        ok
    }
}

/// Whether a ticket can be about the fault: one that was there before it is about something else,
/// whatever becomes of it afterwards.
fn is_of_fault(ticket: &Ticket, injected: Option<&Injected>) -> bool {
    ticket.invariant == "store_down" && injected.is_some_and(|i| ticket.id > i.newest_ticket)
}

/// A ticket's state in one word; claimed and proven never read alike.
fn word(ticket: &Ticket) -> &'static str {
    match (ticket.status, ticket.resolution) {
        (Status::Resolved, Some(r)) => r.as_str(),
        (Status::Resolved, None) => "resolved",
        (Status::Acknowledged, _) if ticket.claimed => "claimed",
        (Status::Acknowledged, _) => "acknowledged",
        (Status::Escalated, _) => "escalated",
        (Status::Open, _) if ticket.flaps > 0 => "came back",
        (Status::Open, _) => "open",
    }
}

impl Frontend for &mut Headless {
    fn draw(&mut self, app: &App) -> io::Result<Drawn> {
        let state = &app.live;
        self.stage(state);
        self.tickets(state);
        self.agent(state);
        Ok(Drawn::default())
    }

    async fn next(&mut self) -> Option<Event> {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_from_before_the_fault_is_not_about_it() {
        let injected = Injected {
            kind: "kill".into(),
            node: "tikv1".into(),
            at: Timestamp::now(),
            newest_ticket: 1,
        };
        let ticket = |id| Ticket {
            id,
            invariant: "store_down".into(),
            ..Ticket::default()
        };
        assert!(!is_of_fault(&ticket(1), Some(&injected)));
        assert!(is_of_fault(&ticket(2), Some(&injected)));
        assert!(!is_of_fault(&ticket(2), None));
    }
}
