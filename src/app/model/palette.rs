//! Which colours may be used. What they are used for is a matter of roles (`ui::theme`).

use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Palette {
    /// The terminal's own colours, with dim and italic.
    #[default]
    Terminal,
    /// Its sixteen colours alone: for terminals that draw no dim, no italic.
    Sixteen,
    /// No colour at all.
    Mono,
}

impl Palette {
    pub const ALL: [Self; 3] = [Self::Terminal, Self::Sixteen, Self::Mono];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Sixteen => "sixteen",
            Self::Mono => "mono",
        }
    }
}

impl FromStr for Palette {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|p| p.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no theme: terminal, sixteen or mono"))
    }
}
