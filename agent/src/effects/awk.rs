//! `awk`: a program of its own. It writes with `print >`, and runs with `system`, `|` and
//! `getline`; a `>` that compares is something else.

use super::{Effect, arguments::Call};

pub(super) fn judge(call: &Call) -> Effect {
    match call.operands.first().and_then(|program| program.known()) {
        Some(program) => self::program(program),
        None => Effect::Unknown,
    }
}

/// Functions and statements that run, read on or take from elsewhere.
const RUNS: &[&str] = &["system", "getline"];

fn program(text: &str) -> Effect {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    // `@` calls what a variable names; a line that goes on may hide a word.
    let hidden = text.contains('@') || text.contains("\\\n");
    if hidden || words.any(|word| RUNS.contains(&word)) {
        return Effect::Unknown;
    }
    let pipes = text.replace("||", "").contains('|');
    if !text.contains('>') && !pipes {
        return Effect::Reads;
    }
    match tokens(text) {
        Some(tokens) => written(&tokens),
        None => Effect::Unknown,
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Number,
    Text,
    Pattern,
    Sign(char),
    /// Two signs that belong together: `||`, `&&`, `>=`, `>>`.
    Pair(char),
}

/// The tokens of a program. None: a slash that could be one of two things, or text that never ends.
fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let token = match c {
            '#' => {
                while chars.next_if(|c| *c != '\n').is_some() {}
                continue;
            }
            '"' => {
                loop {
                    match chars.next()? {
                        '\\' => {
                            chars.next()?;
                        }
                        '"' => break,
                        '\n' => return None,
                        _ => {}
                    }
                }
                Token::Text
            }
            '/' => match slash(tokens.last())? {
                Slash::Divides => Token::Sign('/'),
                Slash::Pattern => {
                    let mut bracket = false;
                    loop {
                        match chars.next()? {
                            '\\' => {
                                chars.next()?;
                            }
                            '[' => bracket = true,
                            ']' => bracket = false,
                            // Not every awk takes that for the same.
                            '/' if bracket => return None,
                            '/' => break,
                            '\n' => return None,
                            _ => {}
                        }
                    }
                    Token::Pattern
                }
            },
            c if c.is_ascii_alphabetic() || c == '_' => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    word.push(c);
                }
                Token::Word(word)
            }
            c if c.is_ascii_digit() || c == '.' => {
                while chars
                    .next_if(|c| c.is_ascii_alphanumeric() || *c == '.')
                    .is_some()
                {}
                Token::Number
            }
            '\n' => Token::Sign(';'),
            c if c.is_whitespace() => continue,
            '|' | '&' if chars.next_if_eq(&c).is_some() => Token::Pair(c),
            '>' | '<' | '=' | '!' if chars.next_if_eq(&'=').is_some() => Token::Pair('='),
            c if c.is_ascii() => Token::Sign(c),
            _ => return None,
        };
        tokens.push(token);
    }
    Some(tokens)
}

enum Slash {
    Divides,
    Pattern,
}

/// What a slash begins after this token, where that is certain.
fn slash(before: Option<&Token>) -> Option<Slash> {
    match before {
        None | Some(Token::Pair(_)) => Some(Slash::Pattern),
        Some(Token::Sign('{' | '}' | ';' | '(' | ',' | '!' | '~' | '&' | '|' | '?' | ':')) => {
            Some(Slash::Pattern)
        }
        Some(Token::Number) => Some(Slash::Divides),
        Some(Token::Sign(']')) => Some(Slash::Divides),
        Some(Token::Word(word)) => {
            let is_variable = !matches!(
                word.as_str(),
                "print"
                    | "printf"
                    | "return"
                    | "in"
                    | "else"
                    | "do"
                    | "case"
                    | "length"
                    | "exit"
                    | "delete"
                    | "BEGIN"
                    | "END"
            );
            is_variable.then_some(Slash::Divides)
        }
        _ => None,
    }
}

/// Whether something is printed elsewhere, or piped.
fn written(tokens: &[Token]) -> Effect {
    // How deep in parentheses the statement that prints is.
    let (mut depth, mut printing): (usize, Option<usize>) = (0, None);
    for token in tokens {
        match token {
            Token::Word(word) if word == "print" || word == "printf" => printing = Some(depth),
            Token::Sign('(' | '[') => depth += 1,
            Token::Sign(')' | ']') => depth = depth.saturating_sub(1),
            Token::Sign(';' | '}' | '{') => (depth, printing) = (0, None),
            Token::Sign('|') => return Effect::Changes,
            Token::Sign('>') if printing.is_some_and(|at| depth <= at) => return Effect::Changes,
            _ => {}
        }
    }
    Effect::Reads
}
