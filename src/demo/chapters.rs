//! Chapter files: Markdown narration under TOML front matter between two `+++` lines.
//!
//! ```text
//! +++
//! title = "The fault"
//! enter.countdown = "5s"      # wait before the action
//! enter.fault = "kill"        # kill, pause or stop a random store
//! enter.load = "on"           # on, off, or operations a second
//! advance = "entered"         # manual, entered, or a condition such as "ticket.open"
//! limit = "30s"               # of the condition
//! +++
//! What to watch for.
//! ```
//!
//! The chapters of a subject are the `NN-name.md` files of its folder, in order; they are also
//! compiled in, for when there is no folder.

use super::conditions::Condition;
use crate::span;
use operator_ledger::clean::{clean, one_line};
use serde::Deserialize;
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// What is done to a store. Nothing else is ever done to make the demo work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// SIGKILL
    Kill,
    /// SIGSTOP: the process stays, and does nothing
    Pause,
    /// SIGTERM: it hands its leaders over first
    Stop,
}

impl Fault {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Stop => "stop",
        }
    }

    /// What the store is then.
    pub fn done(self) -> &'static str {
        match self {
            Self::Kill => "killed",
            Self::Pause => "frozen",
            Self::Stop => "stopped",
        }
    }
}

/// What the load is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    On,
    Off,
    /// Operations a second.
    Rate(u32),
}

/// What ends a chapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// A person.
    Manual,
    /// Its entry having been done.
    Entered,
    /// A condition that holds, within a limit.
    Until(Condition, Duration),
}

/// One chapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chapter {
    /// `06-agent` of `06-agent.md`.
    pub name: String,
    pub title: String,
    pub countdown: Duration,
    pub fault: Option<Fault>,
    pub load: Option<Load>,
    pub advance: Advance,
    /// Markdown.
    pub body: String,
}

/// A chapter file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ChapterError {
    #[error("{}:{line}: {what}", .file.display())]
    Broken {
        file: PathBuf,
        line: usize,
        what: String,
    },
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("no chapters in {}: expected files named like 01-welcome.md", .0.display())]
    None(PathBuf),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontMatter {
    title: String,
    #[serde(default)]
    enter: Enter,
    advance: String,
    limit: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Enter {
    countdown: Option<String>,
    fault: Option<Fault>,
    load: Option<toml::Value>,
}

/// Reads one chapter. `file` is for the error only.
pub fn parse(file: &Path, text: &str) -> Result<Chapter, ChapterError> {
    let broken = |line: usize, what: String| ChapterError::Broken {
        file: file.to_owned(),
        line,
        what,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().unwrap_or_default();
    if first.trim_end() != "+++" {
        return Err(broken(
            1,
            "expected a line `+++` that opens the front matter".into(),
        ));
    }
    let mut matter = String::new();
    let mut closed = false;
    let mut body_start = first.len();
    for line in lines {
        body_start += line.len();
        if line.trim_end() == "+++" {
            closed = true;
            break;
        }
        matter.push_str(line);
    }
    if !closed {
        let last = text.lines().count();
        return Err(broken(
            last,
            "expected a line `+++` that closes the front matter".into(),
        ));
    }
    // The first line of the front matter is the file's second.
    let front: FrontMatter = toml::from_str(&matter).map_err(|e| {
        let before = e.span().map_or(0, |s| {
            matter[..s.start.min(matter.len())].matches('\n').count()
        });
        broken(before + 2, e.message().to_owned())
    })?;
    let line_of = |word: &str| {
        matter
            .lines()
            .position(|l| l.trim_start().starts_with(word))
            .map_or(2, |i| i + 2)
    };
    let time = |text: &str, word: &str| {
        span::parse(text).map_err(|e| {
            broken(
                line_of(word),
                format!("expected a duration such as \"30s\": {e}"),
            )
        })
    };
    let countdown = front
        .enter
        .countdown
        .as_deref()
        .map_or(Ok(Duration::ZERO), |t| time(t, "enter"))?;
    let advance = match (front.advance.as_str(), &front.limit) {
        ("manual" | "entered", Some(_)) => {
            return Err(broken(
                line_of("limit"),
                "a limit goes with a condition only".into(),
            ));
        }
        ("manual", None) => Advance::Manual,
        ("entered", None) => Advance::Entered,
        (word, limit) => {
            let condition = Condition::parse(word).ok_or_else(|| {
                let known = Condition::ALL.map(Condition::as_str).join(", ");
                let what =
                    format!("expected manual, entered or a condition ({known}), found {word}");
                broken(line_of("advance"), what)
            })?;
            let Some(limit) = limit else {
                let what = format!("expected a `limit` beside the condition {word}");
                return Err(broken(line_of("advance"), what));
            };
            Advance::Until(condition, time(limit, "limit")?)
        }
    };
    let load = match &front.enter.load {
        None => None,
        Some(toml::Value::String(s)) if s == "on" => Some(Load::On),
        Some(toml::Value::String(s)) if s == "off" => Some(Load::Off),
        Some(toml::Value::Integer(n)) if u32::try_from(*n).is_ok() => Some(Load::Rate(*n as u32)),
        Some(other) => {
            let what = format!("expected \"on\", \"off\" or operations a second, found {other}");
            return Err(broken(line_of("enter"), what));
        }
    };
    // A folder of chapters may be anybody's.
    let body = clean(&text[body_start..]);
    let body = body.trim();
    if body.is_empty() {
        return Err(broken(
            text.lines().count(),
            "expected narration below the front matter".into(),
        ));
    }
    Ok(Chapter {
        name: file
            .file_stem()
            .map(|s| s.to_string_lossy().into_owned())
            .unwrap_or_default(),
        title: one_line(&front.title),
        countdown,
        fault: front.enter.fault,
        load,
        advance,
        body: body.to_owned(),
    })
}

/// The chapters in a folder, by name.
pub fn from_folder(folder: &Path) -> Result<Vec<Chapter>, ChapterError> {
    let io = |source| ChapterError::Io {
        path: folder.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        let numbered = name.starts_with(|c: char| c.is_ascii_digit());
        if numbered && path.extension().is_some_and(|e| e == "md") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(ChapterError::None(folder.to_owned()));
    }
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).map_err(|source| ChapterError::Io {
                path: path.clone(),
                source,
            })?;
            parse(&path, &text)
        })
        .collect()
}

macro_rules! compiled_in {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../demo-chapters/tikv/", $name)))),+]
    };
}

const TIKV: &[(&str, &str)] = compiled_in!(
    "01-welcome.md",
    "02-healthy.md",
    "03-load.md",
    "04-fault.md",
    "05-detection.md",
    "06-agent.md",
    "07-recovery.md",
    "08-ledger.md",
);

/// The TiKV chapters that are compiled in.
pub fn tikv() -> Result<Vec<Chapter>, ChapterError> {
    TIKV.iter()
        .map(|(name, text)| parse(Path::new(name), text))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scribble::{inputs, scribbled};
    use proptest::prelude::*;

    const FUZZ: &str = include_str!("../../tests/fuzz/chapters.txt");

    /// A chapter, or where in the file what is wrong.
    fn is_told(text: &str) -> bool {
        match parse(Path::new("x.md"), text) {
            Ok(chapter) => !chapter.title.is_empty(),
            Err(ChapterError::Broken { line, what, .. }) => {
                (1..=text.lines().count() + 1).contains(&line) && !what.is_empty()
            }
            Err(_) => false,
        }
    }

    #[test]
    fn fuzz_inputs_are_chapters_or_say_where_they_are_not() {
        for input in inputs(FUZZ) {
            let text = String::from_utf8_lossy(&input);
            assert!(is_told(&text), "{text}");
        }
    }

    #[test]
    fn the_compiled_chapters_are_those_of_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo-chapters/tikv");
        let compiled = tikv().unwrap();
        assert_eq!(compiled, from_folder(&folder).unwrap());
        assert_eq!(compiled.iter().filter(|c| c.fault.is_some()).count(), 1);
    }

    #[test]
    fn front_matter_says_how_a_chapter_goes() {
        let text = "+++\ntitle = \"T\"\nenter.countdown = \"5s\"\nenter.fault = \"pause\"\nenter.load = 200\n\
            advance = \"ticket.open\"\nlimit = \"30s\"\n+++\n\nWords.\n";
        let c = parse(Path::new("x/04-fault.md"), text).unwrap();
        assert_eq!(
            (c.name.as_str(), c.fault, c.load),
            ("04-fault", Some(Fault::Pause), Some(Load::Rate(200)))
        );
        assert_eq!(c.countdown, Duration::from_secs(5));
        assert_eq!(
            c.advance,
            Advance::Until(Condition::TicketOpen, Duration::from_secs(30))
        );
        assert_eq!(c.body, "Words.");
    }

    #[test]
    fn a_broken_chapter_is_named_by_file_line_and_what_was_expected() {
        for (text, line, what) in [
            ("title = 1", 1, "opens the front matter"),
            ("+++\ntitle = \"T\"\n", 2, "closes the front matter"),
            ("+++\ntitle = \"T\"\nadvance = maybe\n+++\nx", 3, ""),
            (
                "+++\ntitle = \"T\"\nadvance = \"ticket.opened\"\n+++\nx",
                3,
                "ticket.open",
            ),
            (
                "+++\ntitle = \"T\"\nadvance = \"ticket.open\"\n+++\nx",
                3,
                "`limit`",
            ),
            (
                "+++\ntitle = \"T\"\nadvance = \"ticket.open\"\nlimit = \"soon\"\n+++\nx",
                4,
                "duration",
            ),
            (
                "+++\ntitle = \"T\"\nadvance = \"manual\"\nlimit = \"3s\"\n+++\nx",
                4,
                "condition only",
            ),
            (
                "+++\ntitle = \"T\"\nenter.falt = \"kill\"\nadvance = \"manual\"\n+++\nx",
                3,
                "falt",
            ),
            (
                "+++\ntitle = \"T\"\nenter.fault = \"drown\"\nadvance = \"manual\"\n+++\nx",
                3,
                "drown",
            ),
            (
                "+++\ntitle = \"T\"\nenter.load = \"much\"\nadvance = \"manual\"\n+++\nx",
                3,
                "operations",
            ),
            (
                "+++\ntitle = \"T\"\nadvance = \"manual\"\n+++\n\n",
                5,
                "narration",
            ),
            ("+++\nadvance = \"manual\"\n+++\nx", 2, "title"),
        ] {
            let err = parse(Path::new("c/01-a.md"), text).unwrap_err();
            let ChapterError::Broken {
                line: found,
                what: said,
                ..
            } = &err
            else {
                panic!("{err}")
            };
            assert!(*found == line && said.contains(what), "{text:?}: {err}");
            assert!(err.to_string().starts_with("c/01-a.md:"), "{err}");
        }
    }

    proptest! {
        #[test]
        fn fuzz_no_chapter_is_too_odd(text in scribbled(FUZZ)) {
            let text = String::from_utf8_lossy(&text);
            prop_assert!(is_told(&text), "{text}");
        }

        #[test]
        fn no_text_panics(text in "(\\+\\+\\+\n)?[ -~\n\u{e9}]{0,200}(\n\\+\\+\\+\n)?\\PC{0,50}") {
            let _ = parse(Path::new("x.md"), &text);
        }
    }
}
