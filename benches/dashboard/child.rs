//! The programs that run inside the tools under measure: this executable, started again.
//!
//! They do what they do as fast as it can be done: what they write is made before they are told
//! to begin.

use crate::clock;
use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::ExitCode,
    thread::sleep,
    time::Duration,
};

/// Bytes a line has, its end included.
pub(crate) const LINE: usize = 100;
/// As much as `cat` writes at once.
const BLOCK: usize = 128 * 1024;

/// `flood WHAT HOW LINES GO`, `endless WHAT`, `tick COUNT`, `words COUNT`, `quiet`, `family`.
pub(crate) fn main(args: &[String]) -> ExitCode {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse().expect("a number");
    match args[..] {
        ["flood", what, how, lines, go] => flood(what, how, number(lines), Path::new(go)),
        ["endless", what] => {
            let text = lines(what, 200_000);
            say("ready");
            while out(&text) {}
        }
        ["tick", count] => {
            say("ready");
            for n in 0..number(count) {
                sleep(Duration::from_millis(50));
                say(&format!("tick {n:06} {:020}", clock::now()));
            }
            rest();
        }
        ["words", count] => {
            let words: Vec<_> = (1..=number(count))
                .map(|n| format!("word {n:03} of the last\n"))
                .collect();
            out(words.concat().as_bytes());
        }
        ["quiet"] => {
            say("ready");
            rest();
        }
        _ => panic!("what is {args:?}?"),
    }
    ExitCode::SUCCESS
}

/// Says `ready`, waits for a byte in the pipe `go`, writes, and leaves in `go.done` when it was
/// done.
fn flood(what: &str, how: &str, count: usize, go: &Path) {
    let text = lines(what, count);
    say("ready");
    let mut byte = [0];
    let mut pipe = fs::File::open(go).expect("the pipe");
    pipe.read_exact(&mut byte).expect("the word to go");
    if how == "lines" {
        let mut stdout = std::io::stdout().lock();
        let fd = rustix::stdio::stdout();
        let _ = stdout.flush();
        for line in text.split_inclusive(|b| *b == b'\n') {
            let mut rest = line;
            while !rest.is_empty() {
                let done = rustix::io::write(fd, rest).expect("a reader");
                rest = &rest[done..];
            }
        }
    } else {
        out(&text);
    }
    let done = clock::now().to_string();
    let file = go.with_extension("done");
    fs::write(file.with_extension("new"), done).expect("a place for the time");
    fs::rename(file.with_extension("new"), file).expect("a place for the time");
    rest();
}

/// So many lines of [`LINE`] bytes; as events each is the text of one.
fn lines(what: &str, count: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(count * (LINE + 200));
    for n in 1..=count {
        let colour = what == "coloured";
        let mut line = if colour {
            format!(
                "\x1b[3{}mline {n:07}\x1b[0m \x1b[1mlevel\x1b[0m ",
                n % 7 + 1
            )
        } else {
            format!("line {n:07} level ")
        };
        while line.len() < LINE - 1 {
            line.push(char::from(b'a' + (line.len() % 26) as u8));
        }
        if what == "events" {
            let event = format!(
                r#"{{"v":1,"seq":{n},"at":"2026-01-30T10:11:12.345Z","session":"0199-7001","type":"tool_output","call":"call_1","stream":"stdout","text":"{line}\n"}}"#
            );
            text.extend_from_slice(event.as_bytes());
        } else {
            text.extend_from_slice(line.as_bytes());
        }
        text.push(b'\n');
    }
    text
}

fn say(line: &str) {
    out(format!("{line}\n").as_bytes());
}

/// False: nobody reads any more.
fn out(bytes: &[u8]) -> bool {
    let fd = rustix::stdio::stdout();
    for block in bytes.chunks(BLOCK) {
        let mut rest = block;
        while !rest.is_empty() {
            match rustix::io::write(fd, rest) {
                Ok(done) => rest = &rest[done..],
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }
    true
}

fn rest() -> ! {
    loop {
        sleep(Duration::from_secs(3600));
    }
}
