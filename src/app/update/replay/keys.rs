//! Keys and typed commands of a replay: time on the one hand, reading on its stage on the other.

use crate::app::{
    event::Effect,
    keys::table,
    model::{command::Command, replay::Replay, state::State},
    update::{act::act, on_key as live, replay::step},
};
use crossterm::event::KeyEvent;
use jiff::{SignedDuration, Timestamp};

/// A jump, and a long one.
const JUMP: SignedDuration = SignedDuration::from_secs(5);
const LONG_JUMP: SignedDuration = SignedDuration::from_secs(30);

/// A key while a replay is open: of its time, or for its stage.
pub fn on_key(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    let Some(replay) = &mut state.replay else {
        return Vec::new();
    };
    let stage = &replay.stage;
    let asks = stage.prompt.is_some() || stage.copying || !stage.overlays.is_empty();
    if asks {
        return on_stage(state, |stage| live::on_key(stage, key));
    }
    let command = table::command(key, state).or_else(|| {
        let stage = state.replay.as_ref().map(|r| &r.stage)?;
        table::command(key, stage)
    });
    command.map_or(Vec::new(), |command| act(state, command, ""))
}

/// Does something on the stage.
pub fn on_stage(state: &mut State, work: impl FnOnce(&mut State) -> Vec<Effect>) -> Vec<Effect> {
    let Some(replay) = &mut state.replay else {
        return Vec::new();
    };
    let stage = &mut replay.stage;
    let mut effects = work(stage);
    state.toast = stage.toast.take();
    effects.extend(step(state));
    effects
}

/// A command while a replay is open. None: it is about neither its time nor its stage.
pub fn act_in(state: &mut State, command: Command, argument: &str) -> Option<Vec<Effect>> {
    use Command as C;
    let stage = &state
        .replay
        .as_ref()
        .filter(|_| state.overlays.is_empty())?
        .stage;
    let opened = !stage.overlays.is_empty() || stage.record.is_some();
    let looked = stage.needle.is_some() || !stage.shown().view.following() || stage.taste.zoom;
    match command {
        C::Quit if !opened => return Some(close(state)),
        C::Back if !opened && !looked => return Some(close(state)),
        // Of the window, not of what is in it.
        C::Break | C::Suspend | C::Redraw | C::Mouse | C::Theme | C::Prompt | C::Replay => {
            return None;
        }
        _ if is_about_time(command) => return None,
        _ => {}
    }
    Some(on_stage(state, |stage| act(stage, command, argument)))
}

pub fn is_about_time(command: Command) -> bool {
    use Command as C;
    matches!(
        command,
        C::PlayPause
            | C::Earlier
            | C::Later
            | C::MuchEarlier
            | C::MuchLater
            | C::PreviousMark
            | C::NextMark
            | C::Beginning
            | C::End
            | C::Slower
            | C::Faster
            | C::Seek
    )
}

fn close(state: &mut State) -> Vec<Effect> {
    let alone = state.replay.as_ref().is_some_and(|r| r.alone);
    if alone {
        return crate::app::update::quit::begin_quit(state, 0);
    }
    state.replay = None;
    Vec::new()
}

/// What a command about time does.
pub fn act_on(state: &mut State, command: Command, argument: &str) -> Vec<Effect> {
    use Command as C;
    let tick = state.tick;
    let Some(replay) = &mut state.replay else {
        state.say("That is for a replay: p plays a session that is open or chosen.");
        return Vec::new();
    };
    if replay.incident.is_none() {
        replay.early.push((command, argument.to_owned()));
        return step(state);
    }
    let shown = replay.clock.shown();
    match command {
        C::PlayPause if replay.clock.playing() => replay.clock.pause(),
        C::PlayPause => {
            let at_end = shown >= replay.clock.to;
            replay.clock.play(tick);
            if at_end {
                replay.seek(replay.clock.from);
            }
        }
        C::Earlier => replay.seek(shown - JUMP),
        C::Later => replay.seek(shown + JUMP),
        C::MuchEarlier => replay.seek(shown - LONG_JUMP),
        C::MuchLater => replay.seek(shown + LONG_JUMP),
        C::PreviousMark => replay.go_to_mark(false),
        C::NextMark => replay.go_to_mark(true),
        C::Beginning => replay.seek(replay.clock.from),
        C::End => replay.seek(replay.clock.to),
        C::Slower => replay.clock.slower(),
        C::Faster => replay.clock.faster(),
        C::Seek => match moment(argument, replay) {
            Some(at) => replay.seek(at),
            None => {
                let words = "When? From its beginning: `seek 1:20`; a share: `seek 50%`.";
                state.toast = Some((words.into(), state.tick));
            }
        },
        _ => {}
    }
    step(state)
}

impl Replay {
    /// To the next thing that happened, or the one before, and stays there.
    fn go_to_mark(&mut self, forward: bool) {
        let Some(incident) = &self.incident else {
            return;
        };
        let at = self.clock.shown();
        let to = if forward {
            incident.marks.iter().find(|m| m.at > at)
        } else {
            incident.marks.iter().rfind(|m| m.at < at)
        };
        if let Some(to) = to.map(|m| m.at) {
            self.clock.pause();
            self.seek(to);
        }
    }

    /// To a share of the whole.
    pub fn seek_share(&mut self, share: f64) {
        let whole = self.clock.to.duration_since(self.clock.from);
        let into = whole.as_secs_f64() * share.clamp(0.0, 1.0);
        let into = SignedDuration::from_secs_f64(into);
        self.seek(self.clock.from + into);
    }
}

/// `1:20`, `80`, `50%`.
fn moment(text: &str, replay: &Replay) -> Option<Timestamp> {
    let (from, to) = (replay.clock.from, replay.clock.to);
    if let Some(share) = text.strip_suffix('%') {
        let share: f64 = share.parse().ok()?;
        let whole = to.duration_since(from).as_secs_f64();
        let into = whole * (share / 100.0).clamp(0.0, 1.0);
        return Some(from + SignedDuration::from_secs_f64(into));
    }
    let mut seconds: i64 = 0;
    for part in text.split(':') {
        seconds = seconds.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    (!text.is_empty()).then(|| from + SignedDuration::from_secs(seconds))
}
