//! Bytes on their way to the terminal. Nothing here waits for it: what it does not take now is
//! kept, and no new frame is made before it is gone, so that a terminal that stands still costs
//! frames and nothing else.

use super::tty;
use std::{fs::File, io};
use tokio::net::unix::pipe::Sender;

#[derive(Debug, Default)]
pub struct Output {
    pending: Vec<u8>,
    sent: usize,
    /// Tells when there is room. Made when it is first needed: most terminals always have some.
    writable: Option<Sender>,
}

impl Output {
    /// Sends `bytes` after what is still on its way.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pending.extend_from_slice(bytes);
        let sent = tty::write_some(tty::out(), &self.pending[self.sent..])?;
        self.took(sent);
        Ok(())
    }

    /// Whether everything has been taken.
    pub fn done(&self) -> bool {
        self.pending.is_empty()
    }

    /// What is on its way is no longer wanted: the terminal is given back.
    pub fn forget(&mut self) {
        self.pending.clear();
        self.sent = 0;
    }

    /// Waits until everything has been taken. Can be dropped and called again.
    pub async fn drained(&mut self) -> io::Result<()> {
        while !self.done() {
            let file = match &mut self.writable {
                Some(file) => file,
                // It is a terminal and no pipe; readiness is told the same way.
                none => none.insert(Sender::from_file_unchecked(File::from(
                    tty::out().try_clone_to_owned()?,
                ))?),
            };
            file.writable().await?;
            match file.try_write(&self.pending[self.sent..]) {
                Ok(more) => self.took(more),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn took(&mut self, more: usize) {
        self.sent += more;
        if self.sent == self.pending.len() {
            self.forget();
        }
    }
}
