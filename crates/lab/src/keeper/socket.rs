//! The keeper's Unix socket, also where its path is longer than such an address may be.

use std::{
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};
use tokio::net::{UnixListener, UnixStream};

/// 108 bytes on Linux, 104 elsewhere, the final zero included.
const MAX_PATH: usize = 100;

/// A path to the socket that is short enough, and what keeps it valid.
fn short(path: &Path) -> io::Result<(PathBuf, Option<OwnedFd>)> {
    if path.as_os_str().len() <= MAX_PATH {
        return Ok((path.into(), None));
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let folder: OwnedFd = fs::File::open(folder)?.into();
    let short = Path::new("/proc/self/fd")
        .join(folder.as_raw_fd().to_string())
        .join(name);
    if short.parent().is_none_or(|folder| !folder.exists()) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "{} is too long for a socket; use a shorter OPERATOR_HOME",
                path.display()
            ),
        ));
    }
    Ok((short, Some(folder)))
}

/// Listens, in place of a socket that a dead keeper left behind. The caller holds the lock.
pub(super) fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let (path, _folder) = short(path)?;
    UnixListener::bind(path)
}

pub(super) async fn connect(path: &Path) -> io::Result<UnixStream> {
    let (path, _folder) = short(path)?;
    UnixStream::connect(path).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_path_works_and_a_stale_socket_is_replaced() {
        let tmp = tempfile::tempdir().unwrap();
        let folder = tmp.path().join("x".repeat(120));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("keeper.sock");
        for _ in 0..2 {
            let listener = bind(&path).unwrap();
            let (client, server) = tokio::join!(connect(&path), listener.accept());
            client.unwrap();
            server.unwrap();
        }
    }
}
