//! `record.key`: with it a command that held a secret can be told later from every other, though the
//! secret was never kept. The record has the command without the secret, and beside it a hash of the
//! whole under this key (HMAC-SHA256); who has the key and a text can say whether it is what ran. Who
//! has the record alone cannot guess his way to the secret.
//!
//! The key is made when it is first needed, and only by an agent: who reads has no use for it. What is
//! hashed, and where that is kept, is the session's affair.

use operator_ledger::home::create_private;
use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

/// Its name, in OPERATOR_HOME.
const FILE: &str = "record.key";
const BYTES: usize = 32;

/// A key, as it was found or made.
pub(crate) struct RecordKey {
    key: hmac::Key,
    /// There was none before.
    pub made: bool,
}

impl RecordKey {
    /// Where it is, for people.
    pub(crate) fn path(home: &Path) -> PathBuf {
        home.join(FILE)
    }

    /// The key of a home. One that is there and is none is left as it is.
    pub(crate) fn of(home: &Path) -> io::Result<Self> {
        let path = Self::path(home);
        let (text, made) = match fs::read_to_string(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let made = make(home, &path)?;
                (fs::read_to_string(&path)?, made)
            }
            found => (found?, false),
        };
        let key = hex::decode(text.trim_end())
            .ok()
            .filter(|key| key.len() == BYTES)
            .ok_or_else(|| {
                let why = "it is not 64 hexadecimal digits; move it away, and another is made";
                io::Error::new(io::ErrorKind::InvalidData, why)
            })?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        Ok(Self { key, made })
    }

    /// `hmac-sha256:KEY:HASH`, where KEY tells this key from others: the first eight digits of what
    /// the empty text gives.
    pub(crate) fn hash(&self, text: &str) -> String {
        let hash = |text: &str| hex::encode(hmac::sign(&self.key, text.as_bytes()));
        format!("hmac-sha256:{}:{}", &hash("")[..8], hash(text))
    }
}

/// False: somebody else was quicker. It is whole or not there, and its owner's alone from the start.
fn make(home: &Path, path: &Path) -> io::Result<bool> {
    create_private(home)?;
    let mut key = [0; BYTES];
    SystemRandom::new()
        .fill(&mut key)
        .map_err(|_| io::Error::other("the system gives no random bytes"))?;
    let mut file = tempfile::NamedTempFile::new_in(home)?;
    writeln!(file, "{}", hex::encode(key))?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt, thread};

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_whoever_asks_at_once() {
        let tmp = tempfile::tempdir().unwrap();
        let home = tmp.path().join("home");
        let hashes: Vec<_> = thread::scope(|s| {
            let ask = || {
                let key = RecordKey::of(&home).unwrap();
                (key.made, key.hash("drop table users"))
            };
            let asking: Vec<_> = (0..8).map(|_| s.spawn(ask)).collect();
            asking.into_iter().map(|a| a.join().unwrap()).collect()
        });
        assert_eq!(hashes.iter().filter(|(made, _)| *made).count(), 1);
        assert!(hashes.iter().all(|(_, hash)| *hash == hashes[0].1));
        let mode = fs::metadata(RecordKey::path(&home))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(&home).unwrap().count(),
            1,
            "nothing else is left"
        );
    }

    #[test]
    fn the_hash_is_the_one_that_other_programs_give() {
        let tmp = tempfile::tempdir().unwrap();
        fs::write(RecordKey::path(tmp.path()), "0b".repeat(BYTES) + "\n").unwrap();
        let key = RecordKey::of(tmp.path()).unwrap();
        assert!(!key.made);
        // printf 'Hi There' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0b0b...
        assert_eq!(
            key.hash("Hi There"),
            "hmac-sha256:5177e637:198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7"
        );
    }

    #[test]
    fn what_is_no_key_is_left_as_it_is() {
        let tmp = tempfile::tempdir().unwrap();
        let path = RecordKey::path(tmp.path());
        for text in ["", "no key", "00ff", &"é".repeat(64)] {
            fs::write(&path, text).unwrap();
            assert!(RecordKey::of(tmp.path()).is_err(), "{text:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
