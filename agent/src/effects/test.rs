//! `test` and `[`: they look, but a subscript in `-v` or `-R` is computed, and computing can run
//! something.

use super::{Effect, word::Arg};

pub(super) fn judge(args: &[Arg]) -> Effect {
    let computes = |arg: &Arg| matches!(arg.text.as_str(), "-v" | "-R");
    if args.iter().any(computes) || args.iter().any(|arg| !arg.is_one() && !arg.is_operand()) {
        return Effect::Unknown;
    }
    Effect::Reads
}
