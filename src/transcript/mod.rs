//! The last hundred lines of a child, and whatever else is read line by line: what was said, how it
//! reads, where the reader stands in it.
//!
//! `ring` and `compose` take in what comes, `clean` once; `shown` says how it reads (`markdown`,
//! `shell`), `rows` and `wrap` how it fits, `view` and `doc` where the reader is. It reads no process
//! and draws nothing.

pub mod clean;
pub mod compose;
pub mod doc;
pub mod long;
mod markdown;
pub mod ring;
pub mod rows;
pub mod search;
mod shell;
pub mod shown;
pub mod view;
pub mod wrap;

pub use compose::Composer;
pub use doc::Doc;
pub use ring::{Kind, Line, Ring};
pub use rows::{Page, Piece, Row, Size};
pub use search::Needle;
pub use shown::{Shown, TextStyle};
pub use view::View;
