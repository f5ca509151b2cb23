//! The processes that the dashboard starts and supervises.

/// The dashboard's children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Child {
    Agent,
    Monitor,
}

impl Child {
    pub const ALL: [Self; 2] = [Self::Agent, Self::Monitor];

    pub fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Monitor => "monitor",
        }
    }
}
