//! The state of a walk through the chapters. Pure: it is told the time and the world, and asks
//! for actions.
//!
//! A chapter's action is asked for once, however often the chapter is read again.

use super::{
    chapters::{Advance, Chapter, Fault, Load},
    conditions::{Condition, Injected, World},
};
use std::time::{Duration, Instant};

/// Who turns the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// A person; chapters that wait for something go on when it happens and has been read.
    Person,
    /// Nobody, with time to read.
    Auto,
    /// Nobody, and nobody reads.
    Headless,
}

/// How to walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub pace: Pace,
    /// Instead of what the chapter says.
    pub fault: Option<Fault>,
    /// The store it is done to.
    pub victim: String,
    /// How many times as long as they say the chapters' limits are: some labs are slower.
    pub patience: u32,
}

/// What the walk asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    SetLoad(Load),
    Inject {
        fault: Fault,
        node: String,
    },
    /// The last chapter has ended by itself.
    Finish,
}

/// How a chapter ended, or stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    Ahead,
    Now,
    /// Done, after this long.
    Done(Duration),
    /// Its condition did not hold in time.
    Missed(Duration),
    /// A person went on before it was done.
    Skipped,
}

/// What to draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChapterView<'a> {
    /// From 0.
    pub index: usize,
    pub total: usize,
    pub title: &'a str,
    /// Markdown.
    pub body: &'a str,
    pub stand: Stand,
    /// The chapter the walk is at is a later one: this one is only read again.
    pub rereading: bool,
    pub waiting_for: Option<&'static str>,
    pub elapsed: Duration,
    pub limit: Option<Duration>,
    /// Until the chapter's action.
    pub countdown: Option<Duration>,
    /// The walk is over: nothing more happens.
    pub finished: bool,
}

#[derive(Debug, Clone, Copy)]
struct Progress {
    entered: Instant,
    acted: Option<Instant>,
}

/// A walk through chapters.
#[derive(Debug)]
pub struct Walkthrough {
    chapters: Vec<Chapter>,
    options: Options,
    /// Where the walk is.
    at: usize,
    /// What is being read: `at` or before.
    reading: usize,
    progress: Option<Progress>,
    stands: Vec<Stand>,
    injected: Option<Injected>,
    failed: Option<String>,
    finished: bool,
}

impl Walkthrough {
    pub fn new(mut chapters: Vec<Chapter>, options: Options) -> Self {
        for chapter in &mut chapters {
            if let Advance::Until(_, limit) = &mut chapter.advance {
                *limit *= options.patience;
            }
        }
        let stands = vec![Stand::Ahead; chapters.len()];
        Self {
            chapters,
            options,
            at: 0,
            reading: 0,
            progress: None,
            stands,
            injected: None,
            failed: None,
            finished: false,
        }
    }

    pub fn chapters(&self) -> &[Chapter] {
        &self.chapters
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn stands(&self) -> &[Stand] {
        &self.stands
    }

    pub fn injected(&self) -> Option<&Injected> {
        self.injected.as_ref()
    }

    pub fn finished(&self) -> bool {
        self.finished
    }

    /// The fault is done.
    pub fn fault_injected(&mut self, injected: Injected) {
        self.injected = Some(injected);
    }

    /// An action that was asked for could not be done.
    pub fn action_failed(&mut self, why: String) {
        self.failed = Some(why);
    }

    pub fn failure(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Moves on as far as the time and the world allow.
    pub fn tick(&mut self, world: &World<'_>, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        while !self.finished && self.step(world, now, &mut actions) {}
        actions
    }

    /// One change, if there is one to make.
    fn step(&mut self, world: &World<'_>, now: Instant, actions: &mut Vec<Action>) -> bool {
        let chapter = &self.chapters[self.at];
        let Some(progress) = &mut self.progress else {
            self.progress = Some(Progress {
                entered: now,
                acted: None,
            });
            self.stands[self.at] = Stand::Now;
            return true;
        };
        let entered = progress.entered;
        if progress.acted.is_none() {
            if now.duration_since(entered) < chapter.countdown {
                return false;
            }
            progress.acted = Some(now);
            actions.extend(chapter.load.map(Action::SetLoad));
            if let Some(fault) = chapter.fault {
                let fault = self.options.fault.unwrap_or(fault);
                actions.push(Action::Inject {
                    fault,
                    node: self.options.victim.clone(),
                });
            }
            return true;
        }
        let acted = progress.acted.unwrap_or(entered);
        let read = now.duration_since(entered) >= self.reading_time(chapter);
        let took = now.duration_since(acted);
        let stand = match chapter.advance {
            Advance::Manual if self.options.pace == Pace::Person => return false,
            Advance::Manual => Stand::Done(took),
            // The action is done when the world has it, not when it was asked for.
            Advance::Entered if chapter.fault.is_some() && world.injected.is_none() => {
                if self.failed.is_none() {
                    return false;
                }
                Stand::Missed(took)
            }
            Advance::Entered => Stand::Done(took),
            Advance::Until(condition, limit) => match self.stands[self.at] {
                Stand::Now if condition.holds(world) => {
                    self.stands[self.at] = Stand::Done(took);
                    return true;
                }
                Stand::Now if took >= limit => {
                    self.stands[self.at] = Stand::Missed(took);
                    return true;
                }
                Stand::Now => return false,
                // What did not come in time is not skipped over before a person's eyes.
                Stand::Missed(_) if self.options.pace == Pace::Person => return false,
                decided => decided,
            },
        };
        if !read {
            return false;
        }
        self.stands[self.at] = stand;
        self.leave(actions);
        true
    }

    fn leave(&mut self, actions: &mut Vec<Action>) {
        if self.at + 1 == self.chapters.len() {
            self.finished = true;
            actions.push(Action::Finish);
            return;
        }
        // Somebody who reads an earlier chapter again is not torn away from it.
        if self.reading == self.at {
            self.reading += 1;
        }
        self.at += 1;
        self.progress = None;
    }

    /// A person wants the next page. The caller ticks afterwards.
    pub fn next(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.reading < self.at {
            self.reading += 1;
            return actions;
        }
        let Some(progress) = self.progress.filter(|_| !self.finished) else {
            return actions;
        };
        let chapter = &self.chapters[self.at];
        if progress.acted.is_none() {
            // Going on means not waiting for the countdown, not going without the action.
            let since = progress.entered;
            let begun = now.checked_sub(chapter.countdown).unwrap_or(since);
            self.progress = Some(Progress {
                entered: begun.min(since),
                acted: None,
            });
            return actions;
        }
        if self.at + 1 == self.chapters.len() {
            return actions;
        }
        // What is not there cannot be walked past: there is nothing to break or to watch yet.
        if matches!(chapter.advance, Advance::Until(Condition::LabReady, _))
            && self.stands[self.at] == Stand::Now
        {
            return actions;
        }
        if self.stands[self.at] == Stand::Now {
            self.stands[self.at] = match chapter.advance {
                Advance::Manual | Advance::Entered => {
                    Stand::Done(now.duration_since(progress.entered))
                }
                Advance::Until(..) => Stand::Skipped,
            };
        }
        self.leave(&mut actions);
        actions
    }

    /// A person wants to read the page before. Nothing is done again.
    pub fn back(&mut self) {
        self.reading = self.reading.saturating_sub(1);
    }

    /// When [`tick`](Self::tick) has something to do though the world does not change.
    pub fn due_in(&self, now: Instant) -> Option<Duration> {
        let progress = self.progress?;
        if self.finished {
            return None;
        }
        let chapter = &self.chapters[self.at];
        let left =
            |from: Instant, length: Duration| length.saturating_sub(now.duration_since(from));
        let Some(acted) = progress.acted else {
            return Some(left(progress.entered, chapter.countdown));
        };
        let read = left(progress.entered, self.reading_time(chapter));
        match (chapter.advance, self.stands[self.at]) {
            (Advance::Until(_, limit), Stand::Now) => Some(left(acted, limit)),
            _ => Some(read).filter(|r| !r.is_zero()),
        }
    }

    /// What to draw now.
    pub fn view(&self, now: Instant) -> ChapterView<'_> {
        let chapter = &self.chapters[self.reading];
        let rereading = self.reading < self.at;
        let progress = self.progress.filter(|_| !rereading);
        let acted = progress.and_then(|p| p.acted);
        let (waiting_for, limit) = match (chapter.advance, self.stands[self.reading]) {
            (Advance::Until(c, limit), Stand::Now) => (Some(c.describe()), Some(limit)),
            (Advance::Until(_, limit), _) => (None, Some(limit)),
            _ => (None, None),
        };
        ChapterView {
            index: self.reading,
            total: self.chapters.len(),
            title: &chapter.title,
            body: &chapter.body,
            stand: self.stands[self.reading],
            rereading,
            waiting_for,
            elapsed: match self.stands[self.reading] {
                Stand::Done(d) | Stand::Missed(d) => d,
                _ => acted.map_or(Duration::ZERO, |a| now.duration_since(a)),
            },
            limit,
            countdown: progress
                .filter(|p| p.acted.is_none() && !chapter.countdown.is_zero())
                .map(|p| {
                    chapter
                        .countdown
                        .saturating_sub(now.duration_since(p.entered))
                }),
            finished: self.finished,
        }
    }

    /// Whether every chapter's condition held in its time. Only then did the walk succeed.
    pub fn all_met(&self) -> bool {
        self.failed.is_none() && self.stands.iter().all(|s| matches!(s, Stand::Done(_)))
    }

    fn reading_time(&self, chapter: &Chapter) -> Duration {
        match self.options.pace {
            Pace::Headless => Duration::ZERO,
            // About 250 words a minute.
            Pace::Person | Pace::Auto => {
                let words = chapter.body.split_whitespace().count();
                Duration::from_millis(240 * words as u64)
                    .clamp(Duration::from_secs(3), Duration::from_secs(10))
            }
        }
    }
}

#[cfg(test)]
#[path = "walkthrough_tests.rs"]
mod tests;
