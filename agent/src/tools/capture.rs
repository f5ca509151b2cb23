//! Keeps the head and the tail of a text that may be long, and counts what it left out.

use std::collections::VecDeque;

/// How much of a command's output the model is shown.
pub const FOR_MODEL: Limits = Limits {
    head: 12 * 1024,
    tail: 20 * 1024,
};

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes kept from the beginning.
    pub head: usize,
    /// Bytes kept from the end.
    pub tail: usize,
}

#[derive(Debug)]
pub struct Capture {
    limits: Limits,
    head: String,
    tail: VecDeque<u8>,
    omitted: u64,
}

impl Capture {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            head: String::new(),
            tail: VecDeque::new(),
            omitted: 0,
        }
    }

    /// Whether with this nothing would be whole any more.
    pub fn would_omit(&self, text: &str) -> bool {
        let kept = self.head.len() + self.tail.len() + text.len();
        self.omitted > 0 || kept > self.limits.head + self.limits.tail
    }

    pub fn push(&mut self, text: &str) {
        let mut rest = text;
        if self.tail.is_empty() && self.omitted == 0 {
            let room = self.limits.head.saturating_sub(self.head.len());
            let (fits, more) = rest.split_at(rest.floor_char_boundary(room));
            self.head.push_str(fits);
            rest = more;
        }
        self.tail.extend(rest.as_bytes());
        let over = self.tail.len().saturating_sub(self.limits.tail);
        self.tail.drain(..over);
        self.omitted += over as u64;
    }

    /// Bytes left out so far.
    pub fn omitted(&self) -> u64 {
        self.omitted
    }

    /// Head and tail, and between them a line that says how much is missing, and `more` about it.
    pub fn text(&self, more: &str) -> String {
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        if self.omitted == 0 {
            return format!("{}{}", self.head, String::from_utf8_lossy(&tail));
        }
        // The cut may have gone through a character.
        let start = tail.iter().position(|b| b & 0xc0 != 0x80).unwrap_or(0);
        format!(
            "{}\n[... {} bytes omitted{more} ...]\n{}",
            self.head,
            self.omitted + start as u64,
            String::from_utf8_lossy(&tail[start..])
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_text_is_kept_whole_and_long_text_loses_its_middle() {
        let mut c = Capture::new(Limits { head: 4, tail: 4 });
        c.push("ab");
        c.push("cdef");
        assert_eq!((c.text("").as_str(), c.omitted()), ("abcdef", 0));
        c.push("ghijkl");
        assert_eq!(c.text(""), "abcd\n[... 4 bytes omitted ...]\nijkl");
        assert_eq!(c.omitted(), 4);
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        let mut c = Capture::new(Limits { head: 3, tail: 4 });
        c.push("ééééé");
        assert_eq!(c.text("; x"), "é\n[... 4 bytes omitted; x ...]\néé");
    }
}
