//! Which names say that a secret is their value: `DB_PASSWORD`, `clientSecret`, `x-api-key`; and
//! which only speak of one: `password_file`, `token_count`. The words are in `rules.toml`.

use serde::Deserialize;

/// So much of a name is looked at on each side of the word in it.
const SIDE: usize = 80;
/// Words of a name that are looked at, from its end.
const WORDS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Password,
    /// Called a token: much is, so its value has to look like one.
    Token,
    Key,
    /// `auth` of docker and npm: base64 of user and password.
    Auth,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Names {
    password: Vec<String>,
    token: Vec<String>,
    key: Vec<String>,
    word: Vec<String>,
    key_of: Vec<String>,
    about: Vec<String>,
    other: Vec<String>,
    nothing: Vec<String>,
    reference: Vec<String>,
}

fn has(list: &[String], word: &str) -> bool {
    list.iter().any(|w| w == word)
}

fn ends(list: &[String], word: &str) -> bool {
    list.iter().any(|w| word.ends_with(w.as_str()))
}

/// Without those that are found with another one.
fn fewest(mut all: Vec<String>, found: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let others = all.clone();
    all.retain(|w| !others.iter().any(|o| o != w && found(w, o)));
    all.sort();
    all.dedup();
    all
}

pub(super) fn in_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')
}

impl Names {
    /// What a name with a secret has in it.
    pub(super) fn starts(&self) -> Vec<String> {
        let mut all: Vec<String> = [&self.password, &self.token, &self.key]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        for of in &self.key_of {
            all.extend(["", "_", "-", "."].map(|between| format!("{of}{between}key")));
        }
        all.push("auth\"".into());
        all.push("_auth".into());
        all.push("credentials".into());
        // One of them finds every name that another one is in.
        fewest(all, |word, other| word.contains(other))
    }

    /// And what has one only where the name's last word ends with it: `pass` is in many a word.
    pub(super) fn last_words(&self) -> Vec<String> {
        fewest(self.word.clone(), |word, other| word.ends_with(other))
    }

    /// The whole name around a word of it.
    pub(super) fn around(text: &[u8], start: usize, end: usize) -> (usize, usize) {
        let mut end = end;
        while end > start && !in_name(text[end - 1]) {
            end -= 1;
        }
        let left = text[..start]
            .iter()
            .rev()
            .take(SIDE)
            .take_while(|b| in_name(**b))
            .count();
        let right = text[end..]
            .iter()
            .take(SIDE)
            .take_while(|b| in_name(**b))
            .count();
        let mut from = start - left;
        // What an escape left: `\nPASS=`, `%26pass=`.
        if from < start {
            let skipped = match from.checked_sub(1).map(|i| text[i]) {
                Some(b'\\') if matches!(text[from], b'n' | b'r' | b't') => 1,
                Some(b'%') => 2,
                _ => 0,
            };
            from = (from + skipped).min(start);
        }
        (from, end + right)
    }

    pub(super) fn class(&self, name: &str) -> Option<Class> {
        let bare = name.trim_start_matches(['-', '/', '_', '.']);
        if bare.eq_ignore_ascii_case("auth") {
            return Some(Class::Auth);
        }
        let words = split(bare);
        let mut found = None;
        for i in (0..words.len()).rev() {
            let word = words[i].trim_end_matches(|c: char| c.is_ascii_digit());
            let last = i + 1 == words.len();
            let class = if ends(&self.password, word) {
                Some(Class::Password)
            } else if has(&self.word, word) {
                last.then_some(Class::Password)
            } else if ends(&self.token, word) {
                last.then_some(Class::Token)
            } else if ends(&self.key, word)
                || (word == "key" && i > 0 && has(&self.key_of, &words[i - 1]))
            {
                Some(Class::Key)
            } else if word == "credentials" && last {
                Some(Class::Token)
            } else {
                None
            };
            if class.is_some() {
                found = class.map(|c| (i, c));
                break;
            }
            if has(&self.about, word) {
                return None;
            }
        }
        let (at, class) = found?;
        if words[..at].iter().any(|w| has(&self.other, w)) {
            return None;
        }
        Some(class)
    }

    /// Whether a value only says that there is none, or a word of a sentence.
    pub(super) fn is_nothing(&self, value: &str) -> bool {
        let word = value.trim_end_matches(['.', '!', '?', ':', ',']);
        self.nothing.iter().any(|w| w.eq_ignore_ascii_case(word))
    }

    /// Whether a value only says where the secret is.
    pub(super) fn is_reference(&self, value: &str) -> bool {
        self.reference.iter().any(|r| {
            value
                .get(..r.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(r))
        })
    }
}

/// `dbPassword`, `DB_PASSWORD` and `db-password` are the same two words.
fn split(name: &str) -> Vec<String> {
    let bytes = name.as_bytes();
    let mut words: Vec<String> = vec![String::new()];
    for (i, &b) in bytes.iter().enumerate() {
        let upper = b.is_ascii_uppercase();
        let before = i.checked_sub(1).map(|i| bytes[i]);
        let hump = upper
            && (before.is_some_and(|p| p.is_ascii_lowercase())
                || (before.is_some_and(|p| p.is_ascii_uppercase() || p.is_ascii_digit())
                    && bytes.get(i + 1).is_some_and(u8::is_ascii_lowercase)));
        if matches!(b, b'_' | b'-' | b'.') {
            words.push(String::new());
            continue;
        }
        if hump {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(char::from(b.to_ascii_lowercase()));
        }
    }
    words.retain(|w| !w.is_empty());
    let skip = words.len().saturating_sub(WORDS);
    words.split_off(skip)
}

#[cfg(test)]
mod tests {
    use super::{super::rules::RULES, *};

    #[test]
    fn names_of_secrets_are_told_from_names_about_them() {
        for (name, class) in [
            ("password", Some(Class::Password)),
            ("DB_PASSWORD", Some(Class::Password)),
            ("PGPASSWORD", Some(Class::Password)),
            ("dbPassword", Some(Class::Password)),
            ("DBPassword2", Some(Class::Password)),
            ("spring.datasource.password", Some(Class::Password)),
            ("DB_PASS", Some(Class::Password)),
            ("DB_PASSWORD_PROD", Some(Class::Password)),
            ("SECRET_KEY_BASE", Some(Class::Password)),
            ("clientSecret", Some(Class::Password)),
            ("--db-password", Some(Class::Password)),
            ("GH_TOKEN", Some(Class::Token)),
            ("authToken", Some(Class::Token)),
            ("_authToken", Some(Class::Token)),
            ("x-api-key", Some(Class::Key)),
            ("DD_APP_KEY", Some(Class::Key)),
            ("client-key-data", Some(Class::Key)),
            ("AccountKey", Some(Class::Key)),
            ("auth", Some(Class::Auth)),
            ("password_file", None),
            ("PASSWORD_FILE", None),
            ("passwordFile", None),
            ("password-stdin", None),
            ("token_count", None),
            ("tokens", None),
            ("max_token", None),
            ("secretName", None),
            ("existingSecret", None),
            ("private_key_id", None),
            ("start_key", None),
            ("primary_key", None),
            ("bypass", None),
            ("compass", None),
            ("tokenizer", None),
            ("client-certificate-data", None),
            ("author", None),
        ] {
            assert_eq!(RULES.names.class(name), class, "{name}");
        }
    }
}
