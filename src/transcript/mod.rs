//! The last hundred lines of a child: what they say, where the reader stands in them, how they
//! wrap.
//!
//! It reads no process and draws nothing. Bytes from outside become clean text here, once.

pub mod clean;
pub mod compose;
pub mod doc;
pub mod ring;
pub mod view;
pub mod wrap;

pub use compose::Composer;
pub use doc::{Doc, Row, Size};
pub use ring::{Kind, Line, Ring};
pub use view::View;
