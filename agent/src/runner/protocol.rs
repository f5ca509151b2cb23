//! What agent and runner say to each other: frames of a kind, a length and so many bytes, over
//! whatever carries a process' stdin and stdout (a pipe, ssh, an engine's exec).
//!
//! What somebody's shell prints before the runner has begun is passed over, up to [`MARK`].

use super::command::{Job, Left, Report, Running, Word};
use operator_ledger::event::Stream;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
};

/// Of the frames. Both sides must speak the same.
pub const PROTOCOL: u32 = 1;
/// Comes before the first frame of a runner.
pub const MARK: &[u8] = b"\x01operator runner\n";
/// Longest frame that is taken: a command, or a page, in JSON.
const LONGEST: usize = 16 * 1024 * 1024;

const CONTROL: u8 = b'c';
const STDOUT: u8 = b'o';
const STDERR: u8 = b'e';
const HEAD: usize = 5;

/// The first frame to a runner.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Greeting {
    pub protocol: u32,
    pub version: String,
    pub session: String,
    /// Variables that commands are to have.
    pub environment: BTreeMap<String, String>,
    /// The cell's own variables of the same names win.
    pub yields: bool,
    /// Processes that earlier runners of this session had around commands.
    pub earlier: Vec<i32>,
}

/// The first frame of a runner: where it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Place {
    pub protocol: u32,
    pub version: String,
    pub user: String,
    pub host: String,
    /// Where the first command starts.
    pub home: PathBuf,
    /// Its private folder; whole outputs are in it.
    pub folder: PathBuf,
    /// Whether `operator-tui` can be called by its name.
    pub dashboard: bool,
    /// Of the programs that are of use, those that are there.
    pub tools: Vec<String>,
    /// What an earlier runner of the session had left, and is ended now.
    pub cleared: Vec<Running>,
}

/// To the runner.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    Hello(Greeting),
    Start {
        id: u32,
        job: Job,
    },
    Word {
        id: u32,
        word: Word,
    },
    /// Let what is around it go on, if somebody stopped it.
    Wake {
        id: u32,
    },
    /// What it prints is not wanted any more.
    Discard {
        id: u32,
    },
    /// Nobody listens to it any more: it ends, but for services.
    Release {
        id: u32,
    },
    /// End what has lost the process around it.
    Sweep,
    /// Append a text to the file of this number; `last`: and say where it is.
    Keep {
        id: u32,
        text: String,
        last: bool,
    },
    Ping,
}

/// From the runner.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    Hello(Place),
    Started {
        id: u32,
        /// Of the process around it.
        pid: i32,
    },
    Report {
        id: u32,
        report: Report,
        /// Where the shell ended, if it said so.
        folder: Option<PathBuf>,
        file: Option<Filed>,
    },
    /// The process around it is gone, and says nothing more.
    Gone {
        id: u32,
    },
    Swept {
        left: Left,
    },
    Kept {
        id: u32,
        file: Option<Filed>,
    },
    Pong,
}

/// A whole output, in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filed {
    pub path: PathBuf,
    /// Bytes at the end that are missing in it.
    pub missing: u64,
}

/// What comes in.
#[derive(Debug)]
pub enum Frame {
    Order(Order),
    Told(Told),
    /// Bytes that a command printed; none: that stream has ended.
    Output(u32, Stream, Vec<u8>),
}

/// Bytes on their way to frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    at: usize,
}

impl Decoder {
    pub fn push(&mut self, bytes: &[u8]) {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    pub fn frame(&mut self) -> io::Result<Option<Frame>> {
        let bytes = &self.buffer[self.at..];
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let [kind, length @ ..] = *head;
        let length = u32::from_be_bytes(length) as usize;
        if length > LONGEST {
            return Err(broken("a frame is too long"));
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = read(kind, body)?;
        self.at += HEAD + length;
        Ok(Some(frame))
    }

    /// Passes over what comes before the mark. False: it has not come yet.
    pub fn skip_to_mark(&mut self) -> bool {
        let found = self.buffer.windows(MARK.len()).position(|w| w == MARK);
        if let Some(at) = found {
            self.at = at + MARK.len();
        }
        found.is_some()
    }

    /// All that has come and was no frame.
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }
}

fn broken(why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_string())
}

fn read(kind: u8, body: &[u8]) -> io::Result<Frame> {
    let output = |stream| {
        let (id, bytes) = body.split_first_chunk().ok_or_else(|| broken("no id"))?;
        Ok(Frame::Output(
            u32::from_be_bytes(*id),
            stream,
            bytes.to_vec(),
        ))
    };
    match kind {
        STDOUT => output(Stream::Stdout),
        STDERR => output(Stream::Stderr),
        CONTROL => {
            let Some((side, json)) = body.split_first() else {
                return Err(broken("an empty frame"));
            };
            match side {
                b'>' => serde_json::from_slice(json).map(Frame::Order),
                _ => serde_json::from_slice(json).map(Frame::Told),
            }
            .map_err(broken)
        }
        other => Err(broken(format_args!("no frame begins with {other:#04x}"))),
    }
}

fn framed(kind: u8, parts: [&[u8]; 2]) -> Vec<u8> {
    let length = parts.iter().map(|p| p.len()).sum::<usize>() as u32;
    let mut bytes = Vec::with_capacity(HEAD + length as usize);
    bytes.push(kind);
    bytes.extend_from_slice(&length.to_be_bytes());
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// As it goes to the runner.
pub fn encode(order: &Order) -> io::Result<Vec<u8>> {
    Ok(framed(CONTROL, [b">", &serde_json::to_vec(order)?]))
}

pub fn write(to: &mut impl Write, told: &Told) -> io::Result<()> {
    to.write_all(&framed(CONTROL, [b"<", &serde_json::to_vec(told)?]))
}

pub fn write_output(to: &mut impl Write, id: u32, stream: Stream, bytes: &[u8]) -> io::Result<()> {
    let kind = match stream {
        Stream::Stdout => STDOUT,
        Stream::Stderr => STDERR,
    };
    to.write_all(&framed(kind, [&id.to_be_bytes(), bytes]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let mut bytes = b"Welcome to this host\r\n".to_vec();
        bytes.extend_from_slice(MARK);
        write(&mut bytes, &Told::Pong).unwrap();
        write_output(&mut bytes, 7, Stream::Stderr, b"\x00\xff\n").unwrap();
        write_output(&mut bytes, 7, Stream::Stdout, b"").unwrap();
        bytes.extend(encode(&Order::Release { id: 9 }).unwrap());
        for size in [1, 2, 5, 1000] {
            let mut decoder = Decoder::default();
            let (mut seen, mut marked) = (Vec::new(), false);
            for piece in bytes.chunks(size) {
                decoder.push(piece);
                marked = marked || decoder.skip_to_mark();
                while marked && let Some(frame) = decoder.frame().unwrap() {
                    seen.push(frame);
                }
            }
            let [
                Frame::Told(Told::Pong),
                Frame::Output(7, Stream::Stderr, printed),
                Frame::Output(7, Stream::Stdout, end),
                Frame::Order(Order::Release { id: 9 }),
            ] = &seen[..]
            else {
                panic!("in pieces of {size}: {seen:?}");
            };
            assert_eq!((printed.as_slice(), end.len()), (&b"\x00\xff\n"[..], 0));
            assert!(decoder.rest().is_empty());
        }
    }

    #[test]
    fn what_is_no_frame_is_an_error_and_not_a_wait() {
        for bytes in [
            &b"x\0\0\0\0"[..],
            b"c\xff\xff\xff\xff",
            b"c\0\0\0\x03<{}",
            b"o\0\0\0\x01x",
        ] {
            let mut decoder = Decoder::default();
            decoder.push(bytes);
            assert!(decoder.frame().is_err(), "{bytes:?}");
        }
    }
}
