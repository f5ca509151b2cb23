//! What the dashboard costs and how soon it answers, measured from outside: in a real
//! pseudo-terminal of 160x40, with real children, beside tmux and mprocs where they are installed.
//! A terminal emulator decides when something is visible. Last, what the embedded lab costs at rest.
//!
//!     cargo bench --bench dashboard                 all of it, some minutes
//!     cargo bench --bench dashboard -- flood keys   only these
//!     cargo bench --bench dashboard -- --ours       without the others
//!     cargo bench --bench dashboard -- --test       ours, each once and small, for CI
//!
//! It prints tables in Markdown. It judges nothing; what a run gave is in the README.

#![allow(clippy::print_stdout, reason = "a bench prints its tables")]

mod child;
mod clock;
mod flood;
mod lab;
mod latency;
mod ledger;
mod process;
mod rest;
#[path = "../../tests/it/pty/terminal.rs"]
mod terminal;
mod tool;

use latency::Times;
use std::{process::ExitCode, time::Duration};
use tool::Tool;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    if args.first().is_some_and(|a| a == "child") {
        return child::main(&args[1..]);
    }
    let smoke = args.iter().any(|a| a == "--test");
    let wanted: Vec<&str> = args
        .iter()
        .map(String::as_str)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let wants = |name: &str| wanted.is_empty() || wanted.contains(&name);
    let tools = tools(smoke || args.iter().any(|a| a == "--ours"));
    let scale = |full: usize, small: usize| if smoke { small } else { full };
    if wants("flood") {
        floods(&tools, scale(1_000_000, 50_000), scale(3, 1));
    }
    if wants("endless") {
        endless(&tools, Duration::from_secs(scale(5, 1) as u64));
    }
    if wants("lines") {
        println!("\n| a line every 50 ms | p50 ms | p99 ms | most ms | not seen |");
        println!("|---|--:|--:|--:|--:|");
        for tool in &tools {
            row(tool.name(), &latency::lines(*tool, scale(400, 10)));
        }
    }
    if wants("keys") {
        println!("\n| keys | p50 ms | p99 ms | most ms | lost |");
        println!("|---|--:|--:|--:|--:|");
        for (flood, when) in [(false, "idle"), (true, "in an endless flood")] {
            for tool in &tools {
                let count = scale(1000, 20);
                let name = format!("{}, {when}", tool.name());
                row(&name, &latency::keys(*tool, count, flood));
            }
        }
    }
    if wants("idle") {
        idle(&tools, Duration::from_secs(scale(30, 2) as u64));
    }
    if wants("lab") {
        lab(Duration::from_secs(scale(20, 1) as u64));
    }
    if wants("start") {
        start(
            &tools,
            scale(10_000, 100),
            scale(1_000_000, 1000),
            scale(20, 1),
        );
    }
    if wants("words") {
        println!("\n| the last 20 lines of a child that exits at once | shown |");
        println!("|---|--:|");
        for tool in &tools {
            let shown: usize = (0..5).map(|_| rest::words(*tool, 20)).sum();
            println!("| {} | {shown} of 100 in 5 runs |", tool.name());
        }
    }
    ExitCode::SUCCESS
}

fn idle(tools: &[Tool], while_: Duration) {
    println!(
        "\n| idle for {} s | % of a core | wakes/s | bytes/s | MB |",
        while_.as_secs()
    );
    println!("|---|--:|--:|--:|--:|");
    for tool in tools {
        let idle = rest::idle(*tool, while_);
        println!(
            "| {} | {:.3} | {:.1} | {:.0} | {:.1} |",
            tool.name(),
            idle.percent,
            idle.wakes,
            idle.bytes,
            idle.memory
        );
    }
}

fn lab(while_: Duration) {
    let lab = lab::at_rest(while_);
    println!("\n| the embedded lab at rest | cores | MB |");
    println!("|---|--:|--:|");
    println!("| measured | {:.3} | {:.0} |", lab.cores, lab.memory);
    println!(
        "| meant, at most | {:.3} | {:.0} |",
        lab::CORES,
        lab::MEMORY
    );
}

fn start(tools: &[Tool], tickets: usize, entries: usize, rounds: usize) {
    println!("\n| start, the middle one of {rounds} | ms | MB |");
    println!("|---|--:|--:|");
    for tool in tools {
        let mut times: Vec<_> = (0..rounds).map(|_| rest::start(*tool)).collect();
        let middle = milliseconds(clock::percentile(&mut times, 50));
        println!("| {}, first line of its child | {middle} | |", tool.name());
    }
    let frame = |what: &str, measure: &mut dyn FnMut(bool) -> rest::Start| {
        let all: Vec<_> = (0..rounds).map(|n| measure(n < 2)).collect();
        let mut times: Vec<_> = all.iter().map(|start| start.first_frame).collect();
        let middle = milliseconds(clock::percentile(&mut times, 50));
        let memory = all.iter().filter_map(|start| start.memory);
        let memory = memory.fold(0.0, f64::max);
        println!("| operator-tui, first full frame, {what} | {middle} | {memory:.1} |");
    };
    frame("nothing to load", &mut rest::first_frame);
    let ledger = ledger::full(tickets, entries);
    let what = format!("{tickets} tickets, {entries} entries");
    frame(&what, &mut |settle| rest::full_ledger(&ledger, settle));
}

/// Ours, and those of the others that are there.
fn tools(ours: bool) -> Vec<Tool> {
    let mut found = Vec::new();
    for tool in Tool::ALL {
        match tool.version() {
            Some(version) if !ours || tool == Tool::Operator => {
                println!("{} {version}", tool.name());
                found.push(tool);
            }
            Some(_) => {}
            None => println!("{} is not installed: skipped", tool.name()),
        }
    }
    found
}

fn floods(tools: &[Tool], count: usize, rounds: usize) {
    println!(
        "\n{count} lines of {} bytes; the best of {rounds}",
        child::LINE
    );
    println!();
    println!("| flood | visible s | written s | CPU s | updates/s | MB before | MB at most |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for (what, how) in [
        ("plain", "blocks"),
        ("coloured", "blocks"),
        ("events", "blocks"),
        ("plain", "lines"),
    ] {
        let each = if how == "lines" { ", a write each" } else { "" };
        let bare = (0..rounds).map(|_| flood::bare(what, how, count)).min();
        println!(
            "| {what}{each}: a bare loop | {} | | | | | |",
            seconds(bare)
        );
        for tool in tools {
            // Another tool shows events as the text they are.
            let rounds = if *tool == Tool::Operator { rounds } else { 1 };
            let best = (0..rounds)
                .map(|_| flood::flood(*tool, what, how, count))
                .min_by_key(|flood| flood.visible.unwrap_or(Duration::MAX));
            let Some(f) = best else { continue };
            println!(
                "| {what}{each}: {} | {} | {} | {} | {:.0} | {:.1} | {:.1} |",
                tool.name(),
                seconds(f.visible),
                seconds(Some(f.written)),
                seconds(Some(f.cpu)),
                f.updates,
                f.memory.0,
                f.memory.1,
            );
        }
    }
}

fn endless(tools: &[Tool], while_: Duration) {
    println!(
        "\n| an endless flood, coloured, for {} s | updates/s | % of a core | MB at most |",
        while_.as_secs()
    );
    println!("|---|--:|--:|--:|");
    for tool in tools {
        let flood = flood::endless(*tool, while_);
        println!(
            "| {} | {:.0} | {:.0} | {:.1} |",
            tool.name(),
            flood.updates,
            flood.percent,
            flood.memory
        );
    }
}

fn row(name: &str, times: &Times) {
    println!(
        "| {name} | {} | {} | {} | {} of {} |",
        milliseconds(times.p50),
        milliseconds(times.p99),
        milliseconds(times.most),
        times.lost,
        times.asked
    );
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "never".into(), |t| format!("{:.3}", t.as_secs_f64()))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}
