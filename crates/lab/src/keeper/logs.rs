//! Logs of nodes: written through the keeper, so that they are capped whatever a node does.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};
use tokio::io::{AsyncRead, AsyncReadExt};

/// A log is moved aside, over the one moved before, when it has grown to this.
const MAX_BYTES: u64 = 2 << 20;

fn old(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}

/// Copies what a node prints to its log, until it ends.
pub(crate) async fn copy(mut from: impl AsyncRead + Unpin, path: PathBuf) {
    let mut buffer = vec![0; 8192];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if let Err(error) = append(&path, &buffer[..count]) {
            eprintln!("{}: {error}", path.display());
        }
    }
}

/// Adds to a log.
pub(crate) fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    if file.metadata()?.len() + bytes.len() as u64 > MAX_BYTES {
        fs::rename(path, old(path))?;
        file = File::create(path)?;
    }
    file.write_all(bytes)
}

/// The last `count` lines, from the file moved aside too if it takes that.
pub(crate) fn tail(path: &Path, count: usize) -> io::Result<String> {
    let mut text = match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e),
    };
    if text.lines().count() < count
        && let Ok(bytes) = fs::read(old(path))
    {
        text = String::from_utf8_lossy(&bytes).into_owned() + &text;
    }
    let skip = text.lines().count().saturating_sub(count);
    Ok(text
        .lines()
        .skip(skip)
        .flat_map(|line| [line, "\n"])
        .collect())
}

/// Where a reader that follows a log stands.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    position: u64,
}

impl Follower {
    /// From the end of the log.
    pub fn new(path: &Path) -> Self {
        let position = fs::metadata(path).map_or(0, |m| m.len());
        Self {
            path: path.into(),
            position,
        }
    }

    /// What has been added since the last call.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut file = match File::open(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        if file.metadata()?.len() < self.position {
            self.position = 0;
        }
        file.seek(SeekFrom::Start(self.position))?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        self.position += bytes.len() as u64;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_capped_and_its_tail_reaches_back_over_the_move() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("n.log");
        assert_eq!(tail(&path, 5).unwrap(), "");
        for n in 0..100_000 {
            append(
                &path,
                format!("this is line number {n:06} of many\n").as_bytes(),
            )
            .unwrap();
        }
        assert!(fs::metadata(&path).unwrap().len() <= MAX_BYTES);
        assert!(fs::metadata(old(&path)).unwrap().len() <= MAX_BYTES);
        let text = tail(&path, 60_000).unwrap();
        assert_eq!(text.lines().count(), 60_000);
        assert!(text.ends_with("099999 of many\n"));
    }

    #[test]
    fn a_follower_sees_what_comes_after_it_started() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("n.log");
        append(&path, b"before\n").unwrap();
        let mut follower = Follower::new(&path);
        assert_eq!(follower.read().unwrap(), b"");
        append(&path, b"after\n").unwrap();
        assert_eq!(follower.read().unwrap(), b"after\n");
    }
}
