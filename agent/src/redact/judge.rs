//! Whether what stands where a secret would be is one: not a placeholder, a variable, a path, a
//! reference, a type, or a word of a sentence. Knows no places.

use super::{
    names::{Class, Names},
    rules::Need,
    value::Join,
};
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};

/// What is hidden is shown as this.
pub(super) const MARK: &str = "[redacted]";

struct Kinds {
    digits: usize,
    upper: usize,
    lower: usize,
}

fn kinds(value: &str) -> Kinds {
    let count = |is: fn(&u8) -> bool| value.bytes().filter(is).count();
    Kinds {
        digits: count(u8::is_ascii_digit),
        upper: count(u8::is_ascii_uppercase),
        lower: count(u8::is_ascii_lowercase),
    }
}

/// Where a value was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'t> {
    pub value: &'t str,
    pub quoted: bool,
    pub single: bool,
    pub join: Join,
    /// What comes after it on its line.
    pub after: &'t str,
}

/// A value after a name.
pub(super) fn is_secret(names: &Names, class: Class, name: &str, found: &Found<'_>) -> bool {
    let value = found.value;
    if is_no_value(names, found) {
        return false;
    }
    let k = kinds(value);
    let letters = k.upper + k.lower;
    let long = value.len();
    if found.join == Join::Word {
        return long >= 6 && k.digits > 0 && letters > 0;
    }
    match class {
        Class::Password => {
            // A sentence about a password.
            let prose = !found.quoted
                && matches!(found.join, Join::ColonSpace | Join::Flag)
                && k.lower == long
                && found.join == Join::ColonSpace
                && follows_word(found.after);
            let count = matches!(last_word(name), "pass" | "pw" | "community")
                && (k.digits == long || !found.quoted && long < 6 && k.digits == 0);
            let short = if found.quoted { 3 } else { 4 };
            !prose && !count && long >= short
        }
        Class::Token => {
            let number = value
                .bytes()
                .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b':' | b','));
            if number || looks_like_time(value) || value.contains("://") {
                return false;
            }
            let set = name.bytes().all(|b| !b.is_ascii_lowercase()) && found.join == Join::Is;
            (k.digits > 0 && letters > 0 && (long >= 10 || (set && long >= 6)))
                || (k.digits > 0 && k.upper > 0 && k.lower > 0 && long >= 8)
                || (k.upper > 0 && k.lower > 0 && long >= 20 && !value.contains(['.', ' ']))
                || (set && long >= 12)
        }
        Class::Key => {
            long >= 6
                && (k.digits > 0 || long >= 8)
                && !(name.eq_ignore_ascii_case("routing_key") && k.digits == 0)
        }
        Class::Auth => is_user_and_password(value),
    }
}

/// A value after a lead.
pub(super) fn is_led(names: &Names, need: Need, found: &Found<'_>) -> bool {
    if is_no_value(names, found) {
        return false;
    }
    let value = found.value;
    let k = kinds(value);
    match need {
        Need::Some => value.len() >= 3,
        Need::Quoted => found.quoted && value.len() >= 3,
        Need::Glued => value.len() >= 3 && !value.starts_with('-'),
        Need::Redis => value.len() >= 6 && k.digits > 0 && found.after.trim().is_empty(),
        Need::Whole if follows_word(found.after) => false,
        Need::Token | Need::Whole => {
            (k.digits > 0 && k.upper + k.lower > 0 && value.len() >= 8)
                || (k.upper > 0 && k.lower > 0 && value.len() >= 16)
                || value.len() >= 24
        }
    }
}

fn last_word(name: &str) -> &str {
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let cut = name.rfind(['_', '-', '.']).map_or(0, |i| i + 1);
    match &name[cut..] {
        w if w.eq_ignore_ascii_case("pass") => "pass",
        w if w.eq_ignore_ascii_case("pw") => "pw",
        w if w.eq_ignore_ascii_case("community") => "community",
        _ => "",
    }
}

fn follows_word(after: &str) -> bool {
    let mut bytes = after.bytes();
    bytes.next() == Some(b' ')
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && after
            .trim_start()
            .bytes()
            .take_while(u8::is_ascii_alphabetic)
            .count()
            > 1
}

/// Nothing, a placeholder, something that a program puts there, or the place of a secret.
fn is_no_value(names: &Names, found: &Found<'_>) -> bool {
    let value = found.value.trim();
    let Some(first) = value.bytes().next() else {
        return true;
    };
    if value.contains(MARK) || MARK.starts_with(value) {
        return true;
    }
    if names.is_nothing(value) {
        return true;
    }
    // `*****`, `xxxx`, `....`
    if value.bytes().all(|b| b == first) && !first.is_ascii_digit() {
        return true;
    }
    let wrapped = |a: &str, b: &str| value.starts_with(a) && value.ends_with(b);
    let word = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if wrapped("<", ">")
        || wrapped("{{", "}}")
        || wrapped("${", "}")
        || wrapped("[", "]")
        || wrapped("(", ")")
        || (wrapped("%", "%") && value.len() > 2 && word(&value[1..value.len() - 1]))
        || (wrapped("{", "}") && (value.len() < 4 || word(&value[1..value.len() - 1])))
        || (wrapped("@", "@") && value.len() > 2 && word(&value[1..value.len() - 1]))
    {
        return true;
    }
    // `$(…)` and `${…}` that go on after the end of a bare word.
    if !found.single
        && (value.starts_with("$(")
            || value.starts_with("${")
            || value.starts_with('`')
            || value.starts_with("{{"))
    {
        return true;
    }
    if let Some(variable) = value.strip_prefix('$')
        && !found.single
        && word(variable)
        && !variable.bytes().any(|b| b.is_ascii_digit())
    {
        return true;
    }
    if matches!(
        value,
        "%s" | "%v" | "%q" | "%d" | "{}" | "?" | "$1" | "$2" | "$@" | "$*"
    ) {
        return true;
    }
    if !found.quoted
        && matches!(first, b'{' | b'[' | b'(' | b'*' | b'-' | b'|')
        && found.value.len() < 4
    {
        return true;
    }
    // YAML's anchors and the beginning of a list or an object.
    if !found.quoted && matches!(first, b'{' | b'[' | b'&' | b'*') && found.join != Join::Is {
        return true;
    }
    // An expression that is to match one.
    if [".*", ".+", "[^", "\\S", "\\w", "(.*", "([^", "(\\S", "(?"]
        .iter()
        .any(|r| value.starts_with(r))
    {
        return true;
    }
    // A flag comes next, and no value.
    if first == b'-' && found.join == Join::Flag {
        return true;
    }
    // A call in a program: `getenv("X")`, `os.environ["X"]`.
    let code = value
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':'))
        .count();
    if !found.quoted && code > 0 {
        let next = value.as_bytes().get(code).or_else(|| {
            found
                .after
                .as_bytes()
                .first()
                .filter(|_| code == value.len())
        });
        if matches!(next, Some(b'(' | b'[')) && value.as_bytes()[0].is_ascii_alphabetic() {
            return true;
        }
    }
    is_path(value) || names.is_reference(value)
}

fn is_path(value: &str) -> bool {
    let path = |s: &str| {
        s.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-' | b'~'))
    };
    ["/", "./", "../", "~/", "@/", "@./", "@-"]
        .iter()
        .any(|p| value.starts_with(p))
        && path(value.trim_start_matches('@'))
        // Base64 may begin so too.
        && !(value.len() >= 32 && value.matches('/').count() < 2 + value.len() / 40 && !value.contains(['.', '-', '_']))
}

fn looks_like_time(value: &str) -> bool {
    let b = value.as_bytes();
    b.len() >= 10 && b[4] == b'-' && b[7] == b'-' && b[..4].iter().all(u8::is_ascii_digit)
}

pub(super) fn decoded(value: &str) -> Option<Vec<u8>> {
    let bare = value.trim_end_matches('=');
    let padding = value.len() - bare.len();
    if padding > 2 || (padding > 0 && !value.len().is_multiple_of(4)) || bare.len() < 4 {
        return None;
    }
    BASE64_STANDARD_NO_PAD.decode(bare).ok()
}

/// `dXNlcjpwYXNz`
fn is_user_and_password(value: &str) -> bool {
    decoded(value).is_some_and(|d| {
        d.iter()
            .position(|b| *b == b':')
            .is_some_and(|i| i + 1 < d.len())
            && d.iter().all(|b| matches!(b, b' '..=b'~'))
    })
}

/// A value of `data` of a Kubernetes Secret, where one of a ConfigMap could be as well.
pub(super) fn is_encoded(value: &str) -> bool {
    let Some(bytes) = decoded(value) else {
        return false;
    };
    let text = std::str::from_utf8(&bytes)
        .is_ok_and(|t| t.chars().all(|c| !c.is_control() || c.is_whitespace()));
    let k = kinds(value);
    text || (value.len() >= 24 && k.digits > 0 && k.upper > 0 && k.lower > 0)
}

/// The user of a URL without a password: a token, not a name.
pub(super) fn is_token_of_url(user: &str) -> bool {
    let k = kinds(user);
    user.len() >= 16
        && k.digits > 1
        && k.upper + k.lower > 1
        && user
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'~' | b'.'))
}

/// With digits and letters of both cases, as of chance.
pub(super) fn is_mixed(value: &str) -> bool {
    let k = kinds(value);
    k.digits > 1 && k.upper > 1 && k.lower > 1
}

/// A password in a URL.
pub(super) fn is_password_of_url(names: &Names, value: &str) -> bool {
    let found = Found {
        value,
        quoted: false,
        single: false,
        join: Join::Is,
        after: "",
    };
    // How GitHub takes a token: as the user, with this for a password.
    !value.is_empty()
        && value != "x-oauth-basic"
        && (!is_no_value(names, &found) || names.is_nothing(value) && value != "redacted")
}
