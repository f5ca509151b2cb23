//! Texts with and without secrets, from `caught.txt` and `stays.txt`, with values made up on the way.

pub(super) struct Sample {
    pub group: String,
    pub text: String,
    /// Text with [`super::MARK`] for each secret.
    pub safe: String,
    pub secrets: Vec<String>,
    /// Where the first secret is.
    pub at: usize,
}

/// Numbers that are always the same ones.
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % below
    }

    /// Letters of `sets` in turn, so that each is there.
    fn letters(&mut self, sets: &[&str], n: usize) -> String {
        (0..n)
            .map(|i| {
                let set = sets[if i < sets.len() {
                    i
                } else {
                    self.next(sets.len())
                }]
                .as_bytes();
                char::from(set[self.next(set.len())])
            })
            .collect()
    }
}

const LOWER: &str = "abcdefghijkmnpqrstuvwxyz";
const UPPER: &str = "ABCDEFGHJKLMNPQRSTUVWXYZ";
const DIGITS: &str = "123456789";

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(text)
}

/// What stands for `{name}`; none: braces of the text itself.
fn made(name: &str, chance: &mut Chance) -> Option<String> {
    let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let n = name[kind.len()..].parse().unwrap_or(0);
    Some(match (kind, n) {
        ("a", 1..) => chance.letters(&[LOWER, DIGITS, UPPER], n),
        ("l", 1..) => chance.letters(&[LOWER, DIGITS], n),
        ("h", 1..) => chance.letters(&["abcdef", DIGITS], n),
        ("U", 1..) => chance.letters(&[UPPER, "234567"], n),
        ("d", 1..) => chance.letters(&[DIGITS], n),
        ("p", 0) => format!("hunter{}", chance.letters(&[DIGITS], 2)),
        ("w", 0) => format!(
            "w{}x{}",
            chance.letters(&[DIGITS], 2),
            chance.letters(&[LOWER], 5)
        ),
        ("s", 0) => format!(
            "P!w{}#z%y^{}",
            chance.letters(&[DIGITS], 1),
            chance.letters(&[LOWER], 3)
        ),
        ("u", 0) => [8, 4, 4, 4, 12]
            .map(|n| chance.letters(&["abcdef", DIGITS], n))
            .join("-"),
        ("up", 0) => base64(&format!("me:{}", chance.letters(&[LOWER, DIGITS], 11))),
        ("b", 0) => base64(&chance.letters(&[LOWER, DIGITS], 12)),
        ("pem", 0) => [64, 64, 64, 31]
            .map(|n| chance.letters(&[UPPER, LOWER, DIGITS], n))
            .join("\n"),
        ("-", 0) => String::new(),
        _ => return None,
    })
}

fn expand(line: &str, chance: &mut Chance) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        rest = &rest[open..];
        let close = rest.find('}').filter(|i| *i < 6);
        match close.and_then(|i| Some((i, made(&rest[1..i], chance)?))) {
            Some((i, value)) => {
                out.push_str(&value);
                rest = &rest[i + 1..];
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out.replace('¶', "\n")
}

fn read(text: &str) -> Vec<Sample> {
    let mut group = String::new();
    let mut samples = Vec::new();
    for (n, line) in text.lines().enumerate() {
        if let Some(name) = line.strip_prefix("## ") {
            group = name.to_string();
        } else if !line.is_empty() && !line.starts_with("# ") {
            let mut chance = Chance(0x9e37_79b9_7f4a_7c15 ^ (n as u64 + 1));
            let marked = expand(line, &mut chance);
            let (mut text, mut safe, mut secrets, mut at) =
                (String::new(), String::new(), vec![], None);
            for (i, piece) in marked.split(['«', '»']).enumerate() {
                if i % 2 == 1 {
                    at.get_or_insert(text.len());
                    secrets.push(piece.to_string());
                    safe.push_str(super::MARK);
                } else {
                    safe.push_str(piece);
                }
                text.push_str(piece);
            }
            samples.push(Sample {
                group: group.clone(),
                text,
                safe,
                secrets,
                at: at.unwrap_or(0),
            });
        }
    }
    samples
}

pub(super) fn caught() -> Vec<Sample> {
    read(include_str!("caught.txt"))
}

pub(super) fn stays() -> Vec<Sample> {
    read(include_str!("stays.txt"))
}
