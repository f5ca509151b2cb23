//! Makes the pictures and the recording in `assets/` from real runs: the demo, and an agent that asks
//! before it acts, each in a pseudo-terminal, photographed when there is something to see.
//!
//!     cargo build --release && cargo run --example pictures
//!
//! It draws what the terminal shows, cell by cell, as SVG, and writes down what came as an asciicast.
//! It stages nothing.

#![allow(clippy::print_stdout, reason = "it says what it has made")]

mod cast;
mod stage;
mod svg;

use stage::{Stage, linger};
use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

type Done = Result<(), Box<dyn Error>>;

const SIZE: (u16, u16) = (120, 36);

fn main() -> Done {
    let operator = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/operator-tui");
    if !operator.exists() {
        return Err("target/release/operator-tui is not there: cargo build --release".into());
    }
    demo(&operator)?;
    approval(&operator)
}

/// A store is killed, the agent repairs it, the monitor proves it; then it is played back.
fn demo(operator: &Path) -> Done {
    let home = tempfile::tempdir()?;
    let home = home.path().to_string_lossy().into_owned();
    let args = ["demo", "--auto", "--seed", "7"];
    let mut stage = Stage::run(operator, &args, &[("OPERATOR_HOME", &home)], SIZE)?;
    // The store is down, and the agent has run a command and says what it makes of it.
    stage.until(&["silent", "its last words."])?;
    picture(&stage, "agent-at-work.svg")?;
    stage.until(&["● HEALTHY", "~ claimed"])?;
    linger(1.0);
    stage.press(":store tikv1\r")?;
    stage.until(&["Store tikv1", "INFO tikv1 starts"])?;
    linger(2.0);
    picture(&stage, "store.svg")?;
    stage.press("\x1b")?;
    stage.until(&["✓ store_down tikv1"])?;
    linger(2.0);
    // Read what it did, and play it back.
    stage.press("s")?;
    stage.until(&["┏ Sessions", "I started"])?;
    linger(1.5);
    stage.press("p")?;
    stage.until(&["Replay ▶ 1x"])?;
    stage.press("++")?;
    stage.until(&["Replay ▶ 4x", "agent WORKING"])?;
    stage.until(&["agent CLAIMED"])?;
    stage.press(" ")?;
    picture(&stage, "replay.svg")?;
    linger(1.0);
    stage.press(">")?;
    stage.until(&["proven: not violated"])?;
    linger(3.0);
    let recorded = cast::cast(
        stage.size,
        "An incident, repaired, proven and played back",
        &stage.bytes(),
    );
    save("incident.cast", &recorded)?;
    stage.press("qq")?;
    stage.wait()
}

/// An agent that may only look asks before it acts.
fn approval(operator: &Path) -> Done {
    let home = tempfile::tempdir()?;
    let env = [
        ("OPERATOR_HOME", &*home.path().to_string_lossy()),
        ("ANTHROPIC_MODEL", "rehearsal"),
    ];
    let lab = |args: &[&str]| -> Done {
        let mut command = Command::new(operator);
        command.arg("lab").args(args).envs(env).output()?;
        Ok(())
    };
    lab(&["up"])?;
    let down = scopeguard(|| drop(lab(&["down"])));
    let mut stage = Stage::run(operator, &["--lab", "--mode", "propose"], &env, SIZE)?;
    stage.until(&["● HEALTHY", "agent READY"])?;
    lab(&["kill", "tikv1"])?;
    stage.until(&["agent ASKS", "a approve"])?;
    stage.press("a")?;
    stage.until(&["Run this command?"])?;
    picture(&stage, "approval.svg")?;
    stage.press("\x1bq")?;
    stage.until(&["Quit while the agent works?"])?;
    stage.press("y")?;
    stage.wait()?;
    drop(down);
    Ok(())
}

fn picture(stage: &Stage, name: &str) -> Done {
    save(name, &stage.look(svg::svg))
}

fn save(name: &str, text: &str) -> Done {
    let file: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("assets")
        .join(name);
    fs::create_dir_all(file.parent().unwrap_or(&file))?;
    fs::write(&file, text)?;
    println!("{}  {} kB", file.display(), text.len() / 1000);
    Ok(())
}

/// Runs `last` whatever happens in between.
fn scopeguard(last: impl FnMut()) -> impl Drop {
    struct Last<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Last<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    Last(last)
}
