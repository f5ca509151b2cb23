//! What the screen looks like and what keys do there: a dashboard on a clock of its own, fed with
//! events.

mod fixtures;
mod hostile;
mod reading;
mod replay;
mod scenes;
mod stage;
mod steering;
