//! What an agent costs beside the model: processor time, memory, start-up, time from ticket to the
//! first question, and what one turn adds to the server's own time.
//!
//! `cargo bench -p agent_lab --bench session` runs the real agent against a scripted server that
//! answers at once. With `--python PATH` the loop of `python_loop.py` runs against the same script,
//! in turns with the agent; `agent/benches/compare` sets that up. `--test` is a quick check that it
//! still works.

#![allow(clippy::print_stdout, reason = "a bench prints its tables")]

#[path = "../tests/it/common/mod.rs"]
mod common;

use common::{Answer, counted, shell, stage::Stage, text, turn};
use operator_ledger::{
    Status,
    event::{Kind, parse},
};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// Clock ticks a second in /proc, as the kernel shows them to programs.
const TICKS: f64 = 100.0;

/// What one run of a process cost.
#[derive(Debug, Clone, Default)]
struct Cost {
    /// CPU seconds of the process itself.
    own: f64,
    /// CPU seconds of everything it started and waited for: the commands.
    commands: f64,
    wall: f64,
    /// Peak resident memory, MiB.
    memory: f64,
    /// Seconds from start to ready: hello, or the end of imports.
    ready: f64,
    /// Seconds from start to the first question.
    first: f64,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let smoke = args.iter().any(|a| a == "--test");
    let python = args
        .iter()
        .position(|a| a == "--python")
        .and_then(|i| args.get(i + 1))
        .map(PathBuf::from);
    let (rounds, turns) = if smoke { (1, 5) } else { (5, 61) };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(runtime.block_on(agent(turns, 0)));
        if let Some(python) = &python {
            theirs.push(runtime.block_on(loop_in_python(python, turns)));
        }
    }
    println!("{turns} turns, a command in each but the last; median of {rounds}");
    row(
        "",
        &[
            "own CPU s",
            "CPU s in all",
            "wall s",
            "peak MiB",
            "ready ms",
            "first question ms",
        ],
    );
    let ours = median(&ours);
    print("agent_lab", &ours);
    if !theirs.is_empty() {
        let theirs = median(&theirs);
        print("python loop", &theirs);
        let ratio = |a: f64, b: f64| format!("1/{:.1}", b / a.max(1e-9));
        row(
            "ratio",
            &[
                &ratio(ours.own, theirs.own),
                &ratio(ours.own + ours.commands, theirs.own + theirs.commands),
                &ratio(ours.wall, theirs.wall),
                &ratio(ours.memory, theirs.memory),
                &ratio(ours.ready, theirs.ready),
                &ratio(ours.first, theirs.first),
            ],
        );
    }
    // The server answers at once, so what is left is the agent: parse, persist, emit, run `true`.
    let per_turn = (ours.wall - ours.first) / turns as f64 * 1000.0;
    println!("one turn adds {per_turn:.1} ms to the server's own time, its command included");
    let (many, lines) = if smoke { (8, 200) } else { (201, 20_000) };
    let long = runtime.block_on(agent(many, lines));
    println!(
        "after {many} turns, each with {lines} lines of output: {:.1} MiB, {:.2} s of own CPU",
        long.memory, long.own
    );
}

/// A script of so many turns; the commands print so many lines.
fn script(turns: usize, lines: usize) -> Vec<Answer> {
    let command = if lines == 0 {
        "true".to_string()
    } else {
        format!("seq 1 {lines}")
    };
    let mut script: Vec<Answer> = (0..turns - 1)
        .map(|n| {
            // A hundred words a turn, in pieces, as they stream.
            let words = format!("Step {n}: ") + &"PD says that all stores are up. ".repeat(14);
            let input = format!("{command} # {n}");
            counted(
                &[text(&words), shell(&format!("t{n}"), &input)],
                "tool_use",
                3_000,
                150,
            )
        })
        .collect();
    script.push(turn(&[text("ESCALATE: the script is over")], "end_turn"));
    script
}

async fn agent(turns: usize, lines: usize) -> Cost {
    let stage = Stage::new(script(turns, lines)).await;
    let command = stage.command(&[
        "--turn-cap",
        "1000",
        "--spend-cap",
        "100",
        "--day-cap",
        "100",
    ]);
    let command = command.into_std();
    let cost = measured(command, &stage, |line| {
        matches!(parse(line).map(|e| e.kind), Some(Kind::Hello { .. }))
    });
    assert_eq!(
        stage.server.asked().len(),
        turns,
        "the whole script was used"
    );
    assert_eq!(stage.ticket().status, Status::Escalated);
    cost
}

async fn loop_in_python(python: &PathBuf, turns: usize) -> Cost {
    let stage = Stage::new(script(turns, 0)).await;
    let mut command = Command::new(python);
    command
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/benches/python_loop.py"
        ))
        .env("ANTHROPIC_BASE_URL", &stage.server.base)
        .env("ANTHROPIC_API_KEY", "k");
    let cost = measured(command, &stage, |line| line.starts_with("ready"));
    assert_eq!(
        stage.server.asked().len(),
        turns,
        "the whole script was used"
    );
    cost
}

/// Runs a program to its end and watches it.
fn measured(mut command: Command, stage: &Stage, ready: impl Fn(&str) -> bool) -> Cost {
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (tell, told) = mpsc::channel();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut line = String::new();
        while out.read_line(&mut line).is_ok_and(|n| n > 0) {
            let _ = tell.send((Instant::now(), std::mem::take(&mut line)));
        }
    });
    let mut cost = Cost::default();
    let pid = Pid::from_child(&child);
    loop {
        for (at, line) in told.try_iter() {
            if cost.ready == 0.0 && ready(&line) {
                cost.ready = (at - began).as_secs_f64();
            }
        }
        if cost.first == 0.0 && !stage.server.asked().is_empty() {
            cost.first = began.elapsed().as_secs_f64();
        }
        cost.memory = cost.memory.max(peak(&child).unwrap_or(0.0));
        let ended = waitid(
            WaitId::Pid(pid),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT,
        );
        if ended.unwrap().is_some() {
            break;
        }
        // Finely at first, where moments are looked for.
        std::thread::sleep(Duration::from_millis(if cost.first == 0.0 {
            1
        } else {
            10
        }));
    }
    cost.wall = began.elapsed().as_secs_f64();
    (cost.own, cost.commands) = cpu(&child);
    child.wait().unwrap();
    reader.join().unwrap();
    cost
}

/// Peak resident memory in MiB; None once the process has ended.
fn peak(child: &Child) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

/// CPU seconds of a process that has ended and was not waited for: its own, its children's.
fn cpu(child: &Child) -> (f64, f64) {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let fields: Vec<f64> = stat[stat.rfind(')').unwrap() + 2..]
        .split_whitespace()
        .map(|f| f.parse().unwrap_or(0.0))
        .collect();
    (
        (fields[11] + fields[12]) / TICKS,
        (fields[13] + fields[14]) / TICKS,
    )
}

fn median(costs: &[Cost]) -> Cost {
    let of = |f: fn(&Cost) -> f64| {
        let mut values: Vec<f64> = costs.iter().map(f).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Cost {
        own: of(|c| c.own),
        commands: of(|c| c.commands),
        wall: of(|c| c.wall),
        memory: of(|c| c.memory),
        ready: of(|c| c.ready),
        first: of(|c| c.first),
    }
}

fn print(name: &str, cost: &Cost) {
    row(
        name,
        &[
            &format!("{:.2}", cost.own),
            &format!("{:.2}", cost.own + cost.commands),
            &format!("{:.2}", cost.wall),
            &format!("{:.1}", cost.memory),
            &format!("{:.0}", cost.ready * 1000.0),
            &format!("{:.0}", cost.first * 1000.0),
        ],
    );
}

fn row(name: &str, cells: &[&str]) {
    print!("{name:<12}");
    for cell in cells {
        print!("{cell:>18}");
    }
    println!();
}
