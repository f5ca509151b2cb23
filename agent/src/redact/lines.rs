//! What lines mean for those after them: a private key, a value over many lines, a name whose value
//! is on the next line, netrc, the data of a Kubernetes Secret. Finds no secrets itself.

/// Inside a value that goes over lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Block {
    #[default]
    None,
    /// A private key, until its end or a line that is none of it.
    Key { marked: bool },
    /// Lines that are further in than this one.
    Indented { indent: usize, marked: bool },
    /// Until three quotes.
    Quoted { quotes: &'static str, marked: bool },
}

/// What is known of a value whose line does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Its name was on the line before.
    Named,
    /// It is where base64 may be a secret.
    Encoded,
    /// It is where secrets are.
    Plain,
}

pub(super) struct Told {
    pub at: usize,
    pub what: What,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    pub block: Block,
    /// Lines in which the value of a name may come.
    value_in: u8,
    /// Lines in which the password of a netrc entry may come.
    netrc_in: u8,
    /// In `data:` of a Kubernetes object: its indentation, and whether it is `stringData:`.
    data: Option<(usize, bool)>,
    /// The object is known to be something else than a Secret.
    no_secret: bool,
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t']).len()
}

/// `key` and the place of its value in `key: value`, `"key": "value"` and `- key: value`.
fn entry(line: &str) -> Option<(&str, usize)> {
    let start = line.len() - line.trim_start_matches([' ', '\t', '-']).len();
    let body = &line[start..];
    let (key, colon) = if let Some(quoted) = body.strip_prefix('"') {
        let end = quoted.find('"')?;
        (&quoted[..end], end + 2)
    } else {
        let end = body.find([':', '='])?;
        (body[..end].trim_end(), end)
    };
    let after = body.get(colon..)?;
    let gap = after.len() - after.trim_start().len();
    if !after.trim_start().starts_with([':', '=']) {
        return None;
    }
    let value = colon + gap + 1;
    let gap = body[value..].len() - body[value..].trim_start_matches([' ', '\t']).len();
    Some((key, start + value + gap))
}

impl Lines {
    /// Whether a line is only what it says itself.
    pub(super) fn is_plain(&self) -> bool {
        self.block == Block::None && self.value_in == 0 && self.netrc_in == 0 && self.data.is_none()
    }

    /// `name: DB_PASSWORD`: its value is on the next line.
    pub(super) fn names_a_value(&mut self, line: &str, start: usize, end: usize) {
        let before = line[..start].trim_end_matches(['"', '\'']);
        let before = before.trim_end().trim_end_matches([':', '=']);
        let key = before.trim_end_matches(['"', '\'']);
        let after = line[end..].trim_matches(['"', '\'', ',', ' ', '\n', '\r']);
        let key_ends = |word: &str| {
            key.len() >= word.len()
                && key
                    .get(key.len() - word.len()..)
                    .is_some_and(|k| k.eq_ignore_ascii_case(word))
        };
        if after.is_empty() && before.len() < start && (key_ends("name") || key_ends("key")) {
            self.value_in = 2;
        }
    }

    pub(super) fn netrc(&mut self, line: &str, start: usize) {
        if line[..start].trim().is_empty() {
            self.netrc_in = 4;
        }
    }

    /// A line with `data:`, `kind:` or `apiVersion:`.
    pub(super) fn kubernetes(&mut self, line: &str) {
        let Some((key, value)) = entry(line) else {
            return;
        };
        let rest = line[value..].trim();
        match key {
            "apiVersion" => self.no_secret = false,
            "kind" => {
                let kind = rest.trim_matches(['"', '\'', ',']);
                self.no_secret = !matches!(kind, "Secret" | "SecretList" | "List");
            }
            "data" | "stringData" if rest.is_empty() || rest == "{" => {
                let at = line.len() - line.trim_start_matches([' ', '\t', '-']).len();
                self.data = (!self.no_secret).then_some((at, key == "stringData"));
            }
            _ => {}
        }
    }

    /// What is known of the value of this line; one line further.
    pub(super) fn told(&mut self, line: &str) -> Option<Told> {
        let (value_in, netrc_in) = (self.value_in, self.netrc_in);
        self.value_in = value_in.saturating_sub(1);
        self.netrc_in = netrc_in.saturating_sub(1);
        if line.trim().is_empty() {
            return None;
        }
        if netrc_in > 0 {
            let word = line.trim_start();
            if let Some(rest) = word.strip_prefix("password") {
                let value = rest.trim_start_matches([' ', '\t']);
                if value.len() < rest.len() && !value.trim_end().contains(' ') {
                    self.netrc_in = 0;
                    let at = line.len() - value.len();
                    return Some(Told {
                        at,
                        what: What::Plain,
                    });
                }
            }
        }
        if let Some((data, plain)) = self.data {
            if indent(line) > data {
                let (_, at) = entry(line)?;
                let what = if plain { What::Plain } else { What::Encoded };
                return Some(Told { at, what });
            }
            self.data = None;
        }
        if value_in > 0
            && let Some((key, at)) = entry(line)
            && key.eq_ignore_ascii_case("value")
        {
            self.value_in = 0;
            return Some(Told {
                at,
                what: What::Named,
            });
        }
        None
    }
}
