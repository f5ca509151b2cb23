//! Why a person is called, until they come.

#[derive(Debug, Default)]
pub struct Attention {
    /// Why somebody was called, until they come.
    pub mark: Option<String>,
    /// Calls that were not rung yet.
    pub calls: usize,
    /// The title as the terminal has it.
    pub title: String,
    /// Proposals that somebody was called for.
    pub asked: Vec<(Option<String>, String)>,
}

impl Attention {
    /// Calls somebody.
    pub fn call(&mut self, why: impl Into<String>) {
        self.mark = Some(why.into());
        self.calls += 1;
    }

    /// Somebody is there.
    pub fn answered(&mut self) {
        self.mark = None;
    }
}
