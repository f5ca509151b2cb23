//! A word of a command after expansion, as far as its value is known.

/// What comes after the known beginning of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing: the text is all of it.
    Nothing,
    /// Something without a space, a quote or a wildcard; as a whole it does not begin with `-`.
    Plain,
    /// Any number of such words.
    Words,
    /// Anything, in the same argument.
    Quoted,
    /// Names of files: any number of arguments, each with the known beginning.
    Files,
    /// Anything: more arguments, and none.
    Anything,
}

/// One word after expansion, or the words it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arg {
    pub text: String,
    pub tail: Tail,
}

impl Arg {
    pub(super) fn exact(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            tail: Tail::Nothing,
        }
    }

    pub(super) fn anything() -> Self {
        Self {
            text: String::new(),
            tail: Tail::Anything,
        }
    }

    /// The whole value, where it is known.
    pub(super) fn known(&self) -> Option<&str> {
        (self.tail == Tail::Nothing).then_some(self.text.as_str())
    }

    pub(super) fn is(&self, text: &str) -> bool {
        self.known() == Some(text)
    }

    /// It is one argument, whatever its value.
    pub(super) fn is_one(&self) -> bool {
        matches!(self.tail, Tail::Nothing | Tail::Plain | Tail::Quoted)
    }

    /// It is no flag, or no flags.
    pub(super) fn is_operand(&self) -> bool {
        match self.tail {
            Tail::Anything => false,
            Tail::Plain | Tail::Words if self.text.is_empty() => true,
            _ if self.text.is_empty() => self.tail == Tail::Nothing,
            _ => !self.text.starts_with('-'),
        }
    }

    /// What is known of it where either is what it is.
    pub(super) fn or(&self, other: &Self) -> Self {
        if self == other {
            return self.clone();
        }
        let plain = |arg: &Self| match arg.tail {
            Tail::Nothing => is_plain(&arg.text),
            Tail::Plain => arg.text.is_empty() || is_plain(&arg.text),
            _ => false,
        };
        if !plain(self) || !plain(other) {
            return Self::anything();
        }
        let same = self.text.bytes().zip(other.text.bytes());
        let same = same.take_while(|(a, b)| a == b).count();
        Self {
            text: self.text.get(..same).unwrap_or_default().to_owned(),
            tail: Tail::Plain,
        }
    }

    pub(super) fn push(&mut self, text: &str) {
        if self.tail == Tail::Nothing {
            self.text.push_str(text);
        } else if self.text.is_empty() && text.starts_with('-') {
            // What is before it may be empty, and then it is a flag.
            self.tail = match self.tail {
                Tail::Plain => Tail::Quoted,
                Tail::Words => Tail::Anything,
                other => other,
            };
        }
    }

    pub(super) fn push_tail(&mut self, tail: Tail) {
        self.tail = match (self.tail, tail) {
            (before, Tail::Nothing) => before,
            (Tail::Nothing, after) => after,
            // A wildcard or a split after something else: anything.
            (Tail::Plain, Tail::Plain) => Tail::Plain,
            (Tail::Plain | Tail::Quoted, Tail::Plain | Tail::Quoted) => Tail::Quoted,
            (Tail::Plain | Tail::Files, Tail::Plain | Tail::Files) => Tail::Files,
            _ => Tail::Anything,
        };
    }
}

/// A word that stays one word, is no flag and means nothing to a shell.
pub(super) fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:,@%+=-".contains(c);
    !text.is_empty() && !text.starts_with('-') && text.chars().all(plain)
}
