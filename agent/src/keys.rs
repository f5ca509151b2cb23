//! Keys: in the memory of this process alone, which nobody else of the same user can read.
//!
//! [`take`] comes first in `main`. It moves keys out of the environment, so that no child gets one
//! by chance, or takes them from the pipe on which a dashboard hands them to its agent, and has the
//! kernel refuse dumps, `/proc/PID/environ`, `/proc/PID/mem` and debuggers. Root can read them all
//! the same.

use rustix::{
    fd::{FromRawFd, OwnedFd, RawFd},
    process::{DumpableBehavior, set_dumpable_behavior},
};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Write},
    sync::OnceLock,
};

/// Variables that are keys, or may hold one.
const NAMES: [&str; 4] = [
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_CUSTOM_HEADERS",
    "BRAVE_API_KEY",
];
/// Secrets of the monitor. They stay in the environment for it, and an agent does not get them.
pub const OF_THE_MONITOR: [&str; 2] = ["OPERATOR_WEBHOOK_TOKEN", "OPERATOR_NOTIFY_URL"];
/// Names the pipe that keys come by.
pub const FD_VAR: &str = "OPERATOR_KEY_FD";

static KEYS: OnceLock<BTreeMap<String, String>> = OnceLock::new();

/// Takes the keys of this process, once, before it has threads or children.
pub fn take() {
    let mut keys = BTreeMap::new();
    let pipe = std::env::var(FD_VAR).ok();
    let held = || NAMES.iter().chain(&OF_THE_MONITOR);
    if pipe.is_none() && !held().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    // Fails nowhere that has it.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    for name in NAMES {
        if let Some(value) = std::env::var(name).ok().filter(|v| !v.trim().is_empty()) {
            keys.insert(name.to_owned(), value);
        }
    }
    if let Some(handed) = pipe.and_then(|fd| handed(fd.parse().ok()?)) {
        keys.extend(handed);
    }
    for name in NAMES.into_iter().chain([FD_VAR]) {
        #[expect(
            unsafe_code,
            reason = "the environment changes while there is no other thread that could read it"
        )]
        unsafe {
            std::env::remove_var(name);
        }
    }
    let _ = KEYS.set(keys);
}

/// What a dashboard wrote into its pipe.
fn handed(fd: RawFd) -> Option<BTreeMap<String, String>> {
    if fd < 3 {
        return None;
    }
    #[expect(
        unsafe_code,
        reason = "the number was given to this process, for this and nothing else"
    )]
    let mut pipe = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    let mut text = String::new();
    pipe.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// A variable, be it a key or not.
pub fn var(name: &str) -> Option<String> {
    let key = KEYS.get().and_then(|keys| keys.get(name)).cloned();
    key.or_else(|| std::env::var(name).ok())
}

/// All keys, for somebody else's program, which knows of nothing but its environment.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let keys = KEYS.get().into_iter().flatten();
    keys.map(|(name, value)| (name.as_str(), value.as_str()))
}

/// The reading end of a pipe that the keys are in, to be inherited by one child. None: there are
/// no keys.
pub fn pipe() -> io::Result<Option<OwnedFd>> {
    let Some(keys) = KEYS.get().filter(|keys| !keys.is_empty()) else {
        return Ok(None);
    };
    let (read, mut write) = io::pipe()?;
    let text = serde_json::to_vec(keys)?;
    // More than a pipe takes would wait for a reader that is not there yet.
    if text.len() > 4096 * 16 {
        return Err(io::Error::other("the keys are longer than 64 KiB"));
    }
    write.write_all(&text)?;
    Ok(Some(read.into()))
}
