//! Keys and typed commands of a replay: time on the one hand, reading on its stage on the other.

use super::step;
use crate::app::{
    event::Effect,
    model::{app::App, command::Command, replay::Replay, state::State},
    update::{act::act_on as act_on_state, quit::begin_quit},
};
use jiff::{SignedDuration, Timestamp};

/// A jump, and a long one.
const JUMP: SignedDuration = SignedDuration::from_secs(5);
const LONG_JUMP: SignedDuration = SignedDuration::from_secs(30);

/// Does something on the stage.
pub(crate) fn on_stage(app: &mut App, work: impl FnOnce(&mut State) -> Vec<Effect>) -> Vec<Effect> {
    let Some(replay) = &mut app.replay else {
        return Vec::new();
    };
    let stage = &mut replay.stage;
    let mut effects = work(stage);
    if let Some(toast) = stage.toast.take() {
        app.live.toast = Some(toast);
    }
    effects.extend(step(app));
    effects
}

/// A command while a replay is in front. None: it is not for its stage.
pub(crate) fn act_in(app: &mut App, command: Command, argument: &str) -> Option<Vec<Effect>> {
    use Command as C;
    let stage = &app.in_front()?.stage;
    let opened = !stage.overlays.is_empty() || stage.record.is_some();
    let looked =
        stage.needle.is_some() || !stage.shown().view.following() || stage.view_options.zoom;
    match command {
        C::Quit if !opened => return Some(close(app)),
        C::Back if !opened && !looked => return Some(close(app)),
        // Of the window, not of what is in it.
        C::Break | C::Suspend | C::Redraw | C::Mouse | C::Theme | C::Prompt | C::Replay => {
            return None;
        }
        _ if is_about_time(command) => return None,
        _ if steers(command) => {
            app.live
                .say("Not in a replay: press q to return to the live view.");
            return Some(Vec::new());
        }
        _ => {}
    }
    Some(on_stage(app, |stage| {
        act_on_state(stage, command, argument)
    }))
}

pub(crate) fn is_about_time(command: Command) -> bool {
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

/// Whether it is about agents that run, which a replay has none of.
fn steers(command: Command) -> bool {
    use Command as C;
    matches!(
        command,
        C::Interrupt
            | C::Message
            | C::Approvals
            | C::Hold
            | C::Resolve
            | C::Reopen
            | C::RestartAgent
            | C::RestartMonitor
            | C::Processes
            | C::Sessions
            | C::Session
    )
}

fn close(app: &mut App) -> Vec<Effect> {
    if app.replay.as_ref().is_some_and(|r| r.alone) {
        return begin_quit(&mut app.live, 0);
    }
    app.replay = None;
    Vec::new()
}

/// What a command about time does.
pub(crate) fn act_on(app: &mut App, command: Command, argument: &str) -> Vec<Effect> {
    use Command as C;
    let tick = app.live.tick;
    let Some(replay) = &mut app.replay else {
        app.live
            .say("That is for a replay: p plays a session that is open or chosen.");
        return Vec::new();
    };
    if replay.incident.is_none() {
        replay.early.push((command, argument.to_owned()));
        return step(app);
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
                app.live.say(words);
            }
        },
        _ => {}
    }
    step(app)
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
