//! What a command does to what it runs on: reads, changes, or nobody knows, judged from its text.
//!
//! The text goes through a shell's own grammar, every program that it would start is looked up in
//! `tables`, and its arguments are read as that program reads them. Whatever is not understood is
//! unknown: a program, a flag, a word whose value is not known. Of several parts the worst counts.
//! Nothing is run, and nothing of the machine is looked at: that `PATH` leads to the programs that
//! are meant, and that no function or alias is in their place, is up to whoever runs the command.
//!
//! | file | holds |
//! |---|---|
//! | `limits` | what is not even parsed, and what a judgement may cost |
//! | `script` | lists, pipelines, loops: which commands run, and with which variables |
//! | `command` | one simple command: assignments, redirections, its program |
//! | `expansion` | what words of the shell become, `word`, and what that does; `variables`, values of variables |
//! | `table` | what is known of programs, read from `tables`; `arguments` reads a call by it |
//! | `wrapper` | programs that run another: env, sudo, xargs, ssh |
//! | `sed`, `awk`, `find`, `sql`, `url`, `test` | arguments that are a language of their own |

mod arguments;
mod awk;
mod command;
mod expansion;
mod find;
mod limits;
mod script;
mod sed;
mod sql;
mod table;
mod test;
mod url;
mod variables;
mod word;
mod wrapper;

#[cfg(test)]
mod tests;

pub use operator_ledger::Effect;

/// Judges a command line as bash would read it.
pub fn judge(command: &str) -> Effect {
    limits::guarded(command)
}
