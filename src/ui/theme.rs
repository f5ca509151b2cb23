//! Roles and their looks. The terminal's own palette only: the user's theme decides what red is.
//! Without colours every role that carries meaning still has a glyph and a word beside it.

use ratatui::style::{Color, Modifier, Style};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Plain,
    Strong,
    Ok,
    Warn,
    Bad,
    Unknown,
    /// Claimed, not proven.
    Claimed,
    Accent,
    Dim,
    Selected,
    Command,
    Output,
    ErrorOutput,
    Reasoning,
    Thinking,
    Border,
    Focus,
    /// What a search found.
    Found,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    colours: bool,
}

impl Theme {
    pub const COLOUR: Self = Self { colours: true };
    pub const MONOCHROME: Self = Self { colours: false };

    /// Monochrome if `NO_COLOR` is set and not empty (no-color.org), or the terminal is dumb.
    pub fn from_env() -> Self {
        let set = |name| std::env::var_os(name).filter(|v| !v.is_empty());
        let dumb = set("TERM").is_some_and(|t| t == "dumb" || t == "vt100");
        if set("NO_COLOR").is_some() || dumb {
            Self::MONOCHROME
        } else {
            Self::COLOUR
        }
    }

    pub fn style(self, role: Role) -> Style {
        let style = Style::new();
        let (colour, modifier) = match role {
            Role::Plain | Role::Output | Role::Reasoning => return style,
            Role::Strong => (None, Modifier::BOLD),
            Role::Ok => (Some(Color::Green), Modifier::empty()),
            Role::Warn => (Some(Color::Yellow), Modifier::BOLD),
            Role::Bad => (Some(Color::Red), Modifier::BOLD),
            Role::Unknown => (Some(Color::Magenta), Modifier::ITALIC),
            Role::Claimed => (Some(Color::LightBlue), Modifier::BOLD),
            Role::Accent => (Some(Color::Cyan), Modifier::empty()),
            Role::Dim | Role::Border => (None, Modifier::DIM),
            Role::Selected => (None, Modifier::REVERSED),
            Role::ErrorOutput => (Some(Color::Yellow), Modifier::empty()),
            Role::Thinking => (None, Modifier::DIM.union(Modifier::ITALIC)),
            Role::Focus | Role::Command => (Some(Color::Cyan), Modifier::BOLD),
            Role::Found => (None, Modifier::REVERSED.union(Modifier::BOLD)),
        };
        let style = style.add_modifier(modifier);
        match colour {
            Some(colour) if self.colours => style.fg(colour),
            _ => style,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monochrome_has_no_colour_at_all() {
        for role in [
            Role::Ok,
            Role::Bad,
            Role::Unknown,
            Role::Command,
            Role::Focus,
            Role::Found,
        ] {
            let style = Theme::MONOCHROME.style(role);
            assert_eq!((style.fg, style.bg), (None, None), "{role:?}");
        }
        assert_ne!(
            Theme::COLOUR.style(Role::Unknown),
            Theme::COLOUR.style(Role::Ok)
        );
    }
}
