//! Waits until a ledger may have changed.
//!
//! Where the kernel tells of writes to a folder, nobody asks meanwhile: an idle dashboard sleeps.
//! A commit is seen a moment after its last write, which is told of before it is done; so after
//! each word there are a few more looks, further and further apart. Elsewhere, and while there is
//! no folder yet, it is asked now and then. What changed is not known here.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    io::Errno,
};
use std::{
    io::{self, PipeReader, PipeWriter},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// From one look to the next, however much is written.
const MIN_PAUSE: Duration = Duration::from_millis(100);
/// The looks after the last word.
const AFTER: [Duration; 3] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(800),
];
/// While the kernel tells of writes: a word may be lost, a file system may keep it to itself, and
/// who waits for news wants to know that somebody looks.
const SELDOM: Duration = Duration::from_secs(3);
/// While it does not.
const OFTEN: Duration = Duration::from_millis(250);

/// Ends the waiting when it is dropped.
#[derive(Debug)]
pub(super) struct Stop {
    _pipe: PipeWriter,
}

#[derive(Debug)]
pub(super) struct LedgerWatch {
    folder: PathBuf,
    /// The ledger's file name; its log has it too, with an ending.
    name: Vec<u8>,
    told: Option<OwnedFd>,
    stop: PipeReader,
    /// How many looks there were since the last word.
    after: usize,
    looked: Option<Instant>,
}

impl LedgerWatch {
    pub(super) fn new(ledger: &Path) -> io::Result<(Self, Stop)> {
        let (stop, pipe) = io::pipe()?;
        let folder = ledger.parent().filter(|p| !p.as_os_str().is_empty());
        let name = ledger.file_name().unwrap_or_default();
        let watch = Self {
            folder: folder.unwrap_or(Path::new(".")).to_owned(),
            name: name.as_encoded_bytes().to_vec(),
            told: None,
            stop,
            after: 0,
            looked: None,
        };
        Ok((watch, Stop { _pipe: pipe }))
    }

    /// Waits until it is time for a look. False: nobody wants one any more.
    pub(super) fn wait(&mut self) -> bool {
        if self.told.is_none() {
            // Before the look that follows, so that nothing falls between the two.
            self.told = kernel::listen(&self.folder);
            self.after = 0;
        }
        let Some(looked) = self.looked else {
            return self.look();
        };
        // Words that come too soon wait in the kernel.
        if !self.sleep(looked + MIN_PAUSE, false) {
            return false;
        }
        let pause = pause(self.told.is_some(), self.after).max(MIN_PAUSE);
        self.sleep(looked + pause, true) && self.look()
    }

    fn look(&mut self) -> bool {
        self.after += 1;
        self.looked = Some(Instant::now());
        true
    }

    /// Until then, or until there is word of the ledger if that is listened to. False: stopped.
    fn sleep(&mut self, until: Instant, listen: bool) -> bool {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let told = self.told.as_ref().filter(|_| listen);
            let mut asked = vec![PollFd::new(&self.stop, PollFlags::IN)];
            asked.extend(told.map(|told| PollFd::new(told, PollFlags::IN)));
            match poll(&mut asked, Timespec::try_from(left).ok().as_ref()) {
                Ok(0) => return true,
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return false,
            }
            if !asked[0].revents().is_empty() {
                return false;
            }
            let word = told.map(|told| kernel::word(told, &self.name));
            match word {
                Some(kernel::Word::OfTheLedger) => {
                    self.after = 0;
                    return true;
                }
                Some(kernel::Word::TheLast) => {
                    self.told = None;
                    return true;
                }
                Some(kernel::Word::OfOthers) | None => {}
            }
        }
    }
}

/// From one look to the next, when so many came since the last word.
fn pause(told: bool, after: usize) -> Duration {
    match AFTER.get(after.saturating_sub(1)) {
        _ if !told => OFTEN,
        Some(pause) => *pause,
        None => SELDOM,
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    use rustix::{
        fd::OwnedFd,
        fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init},
    };
    use std::{mem::MaybeUninit, path::Path};

    /// What was told since it was last asked.
    pub(super) enum Word {
        OfTheLedger,
        OfOthers,
        /// The folder is gone: nothing more will be.
        TheLast,
    }

    /// None: the folder is not there, or the kernel has no more to give.
    pub(super) fn listen(folder: &Path) -> Option<OwnedFd> {
        let told = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        let of = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::ATTRIB
            | WatchFlags::MOVE_SELF
            | WatchFlags::DELETE_SELF
            | WatchFlags::ONLYDIR;
        add_watch(&told, folder, of).ok()?;
        Some(told)
    }

    /// Takes all words.
    pub(super) fn word(told: &OwnedFd, name: &[u8]) -> Word {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(told, &mut buffer);
        let mut found = Word::OfOthers;
        // Ends with an error when there is nothing more.
        while let Ok(event) = reader.next() {
            let gone = ReadFlags::IGNORED | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT;
            if event.events().intersects(gone) {
                return Word::TheLast;
            }
            let of_it = event
                .file_name()
                .is_some_and(|n| n.to_bytes().starts_with(name));
            if of_it || event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                found = Word::OfTheLedger;
            }
        }
        found
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use rustix::fd::OwnedFd;
    use std::path::Path;

    pub enum Word {
        OfTheLedger,
        OfOthers,
        TheLast,
    }

    pub fn listen(_: &Path) -> Option<OwnedFd> {
        None
    }

    pub fn word(_: &OwnedFd, _: &[u8]) -> Word {
        Word::OfOthers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use operator_ledger::{NewTicket, PersonLedger, Reader};
    use std::{fs, sync::mpsc, thread};

    /// A thread that looks whenever it is told to, and says what it saw.
    fn looking(path: &Path) -> (mpsc::Receiver<bool>, Stop, thread::JoinHandle<()>) {
        let (mut watch, stop) = LedgerWatch::new(path).unwrap();
        let (sender, saw) = mpsc::channel();
        let path = path.to_owned();
        let thread = thread::spawn(move || {
            let mut ledger = None;
            while watch.wait() {
                ledger = ledger.or_else(|| Reader::open(&path).wait().ok());
                let changed = ledger
                    .as_ref()
                    .is_some_and(|l| l.changed().wait().unwrap_or(true));
                if sender.send(changed).is_err() {
                    return;
                }
            }
        });
        (saw, stop, thread)
    }

    fn until_changed(saw: &mpsc::Receiver<bool>) {
        let limit = Duration::from_secs(30);
        while !saw.recv_timeout(limit).expect("a change is seen in time") {}
    }

    #[test]
    fn a_commit_is_seen_and_so_is_a_ledger_that_comes_later_in_a_folder_that_does() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("later").join("tickets.db");
        let (saw, stop, thread) = looking(&path);
        assert!(!saw.recv().unwrap());
        let ledger = PersonLedger::open(&path).wait().unwrap();
        until_changed(&saw);
        for n in 0..3 {
            ledger
                .open_ticket(NewTicket {
                    message: format!("ticket {n}"),
                    ..NewTicket::default()
                })
                .wait()
                .unwrap();
            until_changed(&saw);
        }
        drop(stop);
        thread.join().unwrap();
    }

    #[test]
    fn looks_are_further_and_further_apart_until_there_is_word_again() {
        let pauses: Vec<_> = (1..=7).map(|after| pause(true, after)).collect();
        assert!(pauses.is_sorted() && pauses[0] == AFTER[0]);
        assert_eq!(pauses[3..], [SELDOM; 4]);
        assert_eq!([pause(false, 1), pause(false, 9)], [OFTEN; 2]);
    }

    #[test]
    fn what_others_write_in_the_folder_is_no_word() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("tickets.db");
        let (mut watch, _stop) = LedgerWatch::new(&path).unwrap();
        watch.after = 3;
        watch.told = kernel::listen(home.path());
        fs::write(home.path().join("other"), "x").unwrap();
        assert!(watch.sleep(Instant::now() + MIN_PAUSE, true));
        assert_eq!(watch.after, 3);
        if watch.told.is_some() {
            fs::write(&path, "x").unwrap();
            assert!(watch.sleep(Instant::now() + Duration::from_secs(30), true));
            assert_eq!(watch.after, 0);
        }
    }
}
