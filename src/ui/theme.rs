//! Roles and their looks. The terminal's own palette only: the user's theme decides what red is.
//! Without colours every role that carries meaning still has a glyph and a word beside it.

use crate::{
    app::model::palette::Palette,
    transcript::{Kind, TextStyle},
};
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
pub struct Theme(Palette);

impl Theme {
    #[cfg(test)]
    pub const COLOUR: Self = Self(Palette::Terminal);

    pub fn new(palette: Palette) -> Self {
        Self(palette)
    }

    pub fn style(self, role: Role) -> Style {
        let (colour, modifier) = match role {
            Role::Plain | Role::Output | Role::Reasoning => (None, Modifier::empty()),
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
        self.of(colour, modifier)
    }

    /// How a piece of a line differs from its line.
    pub fn look(self, look: TextStyle) -> Style {
        let (colour, modifier) = match look {
            TextStyle::Strong => (None, Modifier::BOLD),
            TextStyle::Emphasis => (None, Modifier::ITALIC),
            TextStyle::Heading => (Some(Color::Cyan), Modifier::BOLD),
            TextStyle::Code => (Some(Color::Green), Modifier::empty()),
            TextStyle::Link => (Some(Color::Blue), Modifier::UNDERLINED),
            TextStyle::Faint => (None, Modifier::DIM),
            TextStyle::Struck => (None, Modifier::CROSSED_OUT),
            TextStyle::Program => (Some(Color::Cyan), Modifier::BOLD),
            TextStyle::Flag => (Some(Color::Yellow), Modifier::empty()),
            TextStyle::Quoted => (Some(Color::Green), Modifier::empty()),
            TextStyle::Variable => (Some(Color::Magenta), Modifier::empty()),
            TextStyle::Operator => (None, Modifier::BOLD),
        };
        self.of(colour, modifier)
    }

    fn of(self, colour: Option<Color>, mut modifier: Modifier) -> Style {
        let mut colour = colour;
        // Intensity is one thing: terminals differ in what bold and dim together are.
        let other = if modifier.contains(Modifier::BOLD) {
            Modifier::DIM
        } else if modifier.contains(Modifier::DIM) {
            Modifier::BOLD
        } else {
            Modifier::empty()
        };
        match self.0 {
            Palette::Terminal => {}
            Palette::Sixteen => {
                if modifier.contains(Modifier::DIM) {
                    colour = colour.or(Some(Color::DarkGray));
                }
                modifier -= Modifier::DIM | Modifier::ITALIC;
            }
            Palette::Mono => colour = None,
        }
        let style = Style::new().add_modifier(modifier).remove_modifier(other);
        colour.map_or(style, |colour| style.fg(colour))
    }
}

/// The look of a kind of line.
pub fn role(kind: Kind) -> Role {
    match kind {
        Kind::Plain | Kind::Key => Role::Plain,
        Kind::Output => Role::Output,
        Kind::Reasoning => Role::Reasoning,
        Kind::Thinking => Role::Thinking,
        Kind::Command | Kind::CommandMore => Role::Plain,
        Kind::Why | Kind::Notice | Kind::Child => Role::Dim,
        Kind::ErrorOutput => Role::ErrorOutput,
        Kind::Good => Role::Ok,
        Kind::Bad => Role::Bad,
        Kind::Waiting => Role::Claimed,
        Kind::MayChange => Role::Unknown,
        Kind::Changes | Kind::Warning => Role::Warn,
        Kind::Session => Role::Strong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 18] = [
        Role::Plain,
        Role::Strong,
        Role::Ok,
        Role::Warn,
        Role::Bad,
        Role::Unknown,
        Role::Claimed,
        Role::Accent,
        Role::Dim,
        Role::Selected,
        Role::Command,
        Role::Output,
        Role::ErrorOutput,
        Role::Reasoning,
        Role::Thinking,
        Role::Border,
        Role::Focus,
        Role::Found,
    ];

    #[test]
    fn monochrome_has_no_colour_and_sixteen_neither_dim_nor_italic() {
        for role in ROLES {
            let style = Theme::new(Palette::Mono).style(role);
            assert_eq!((style.fg, style.bg), (None, None), "{role:?}");
            let style = Theme::new(Palette::Sixteen).style(role);
            let faint = Modifier::DIM | Modifier::ITALIC;
            assert!(!style.add_modifier.intersects(faint), "{role:?}");
        }
    }

    #[test]
    fn what_must_not_look_alike_does_not_in_any_palette() {
        for palette in Palette::ALL {
            let theme = Theme::new(palette);
            let unlike = [Role::Ok, Role::Bad, Role::Selected, Role::Dim];
            for (n, a) in unlike.iter().enumerate() {
                for b in &unlike[n + 1..] {
                    assert_ne!(theme.style(*a), theme.style(*b), "{a:?} {b:?} {palette:?}");
                }
            }
        }
        let colour = Theme::new(Palette::Terminal);
        assert_ne!(colour.style(Role::Unknown), colour.style(Role::Ok));
    }
}
