//! Which colours the dashboard may use: what was asked for, what is written, what suits the
//! terminal.

use super::config_file;
use crate::app::model::palette::Palette;

#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct ThemeArgs {
    /// Colours: `terminal` (its own, with dim and italic), `sixteen` or `mono` [default: what suits
    /// TERM; mono if NO_COLOR is set]
    #[arg(long, value_name = "THEME")]
    theme: Option<Palette>,
}

impl ThemeArgs {
    /// `NO_COLOR` (no-color.org) wins over `config.toml`, not over a flag.
    pub(super) fn palette(&self) -> color_eyre::Result<Palette> {
        let set = |name| std::env::var(name).ok().filter(|v: &String| !v.is_empty());
        let term = set("TERM").unwrap_or_default();
        if let Some(asked) = self.theme {
            return Ok(asked);
        }
        if set("NO_COLOR").is_some() || matches!(term.as_str(), "vt100" | "vt220") {
            return Ok(Palette::Mono);
        }
        if let Some(written) = config_file::read()?.theme {
            return written
                .parse()
                .map_err(|e| color_eyre::eyre::eyre!("config.toml: {e}"));
        }
        Ok(match term.as_str() {
            "linux" | "ansi" | "xterm-16color" => Palette::Sixteen,
            _ => Palette::Terminal,
        })
    }
}
