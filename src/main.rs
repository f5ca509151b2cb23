//! The executable: every role of Operator is a subcommand of it.

use std::process::ExitCode;

fn main() -> ExitCode {
    operator_tui::cli::main()
}
