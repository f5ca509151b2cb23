//! Expansion of words: what they become, as far as that is known, and what expanding them does.

use super::{
    Effect,
    script::{self, Scope},
    variables,
    word::{Arg, Tail, is_plain},
};
use brush_parser::{
    ParserOptions,
    ast::Word,
    word::{self as grammar, Parameter, ParameterExpr, SpecialParameter, WordPiece},
};

pub(super) fn options() -> ParserOptions {
    ParserOptions {
        enable_extended_globbing: false,
        ..ParserOptions::default()
    }
}

/// A word as an argument, and what its expansion does.
pub(super) fn expand(word: &Word, scope: &Scope) -> (Arg, Effect) {
    expand_text(&word.value, scope)
}

pub(super) fn expand_text(text: &str, scope: &Scope) -> (Arg, Effect) {
    // By itself it is no wildcard, but a program.
    if text == "[" {
        return (Arg::exact(text), Effect::Reads);
    }
    let Ok(pieces) = grammar::parse(text, &options()) else {
        return (Arg::anything(), Effect::Unknown);
    };
    let mut reading = Reading::new(scope);
    for piece in &pieces {
        reading.piece(&piece.piece, false);
    }
    if reading.braces == Braces::Expand {
        // What a brace becomes is more words: a flag, too.
        reading.arg = Arg::anything();
        if let Some(tail) = number_range(text) {
            reading.arg = tail;
        }
    }
    (reading.arg, reading.effect)
}

/// What is assigned: no word is split there, and none is a name of a file.
pub(super) fn expand_assigned(text: &str, scope: &Scope) -> (Arg, Effect) {
    let Ok(pieces) = grammar::parse(text, &options()) else {
        return (Arg::anything(), Effect::Unknown);
    };
    let mut reading = Reading::new(scope);
    for piece in &pieces {
        match &piece.piece {
            WordPiece::Text(text) => reading.arg.push(text),
            WordPiece::CommandSubstitution(_) | WordPiece::BackquotedCommandSubstitution(_) => {
                reading.piece(&piece.piece, false);
            }
            other => reading.piece(other, true),
        }
    }
    (reading.arg, reading.effect)
}

/// What expanding the body of a here-document does.
pub(super) fn here_document(body: &str, scope: &Scope) -> Effect {
    let Ok(pieces) = grammar::parse_heredoc(body, &options()) else {
        return Effect::Unknown;
    };
    let mut reading = Reading::new(scope);
    for piece in &pieces {
        reading.piece(&piece.piece, true);
    }
    reading.effect
}

/// `prefix{1..3}suffix`, of plain text: each word begins with the prefix.
fn number_range(text: &str) -> Option<Arg> {
    let (before, rest) = text.split_once('{')?;
    let (range, after) = rest.split_once('}')?;
    let (from, to) = range.split_once("..")?;
    let number = |n: &str| !n.is_empty() && n.len() < 4 && n.bytes().all(|b| b.is_ascii_digit());
    let plain = |text: &str| text.is_empty() || is_plain(text);
    (plain(before) && number(from) && number(to) && plain(after.trim_start_matches('-'))).then(
        || Arg {
            text: before.to_owned(),
            tail: Tail::Words,
        },
    )
}

struct Reading<'s, 'b> {
    scope: &'s Scope<'b>,
    arg: Arg,
    effect: Effect,
    braces: Braces,
}

/// Braces that no quote keeps from becoming several words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Braces {
    None,
    Open,
    Expand,
}

impl<'s, 'b> Reading<'s, 'b> {
    fn new(scope: &'s Scope<'b>) -> Self {
        Self {
            scope,
            arg: Arg::exact(""),
            effect: Effect::Reads,
            braces: Braces::None,
        }
    }

    fn worst(&mut self, effect: Effect) {
        self.effect = self.effect.max(effect);
    }

    fn piece(&mut self, piece: &WordPiece, quoted: bool) {
        match piece {
            WordPiece::Text(text) if quoted => self.arg.push(&text.replace("\\\n", "")),
            WordPiece::Text(text) => self.unquoted(text),
            WordPiece::SingleQuotedText(text) => self.arg.push(text),
            WordPiece::AnsiCQuotedText(text) => match decoded(text) {
                Some(text) => self.arg.push(&text),
                None => self.arg.push_tail(Tail::Quoted),
            },
            WordPiece::DoubleQuotedSequence(pieces) => {
                for piece in pieces {
                    self.piece(&piece.piece, true);
                }
            }
            // The catalogue of the language says what it becomes.
            WordPiece::GettextDoubleQuotedSequence(_) => {
                self.arg.push_tail(Tail::Quoted);
                self.worst(Effect::Unknown);
            }
            WordPiece::TildeExpansion(_) => self.arg.push_tail(Tail::Plain),
            WordPiece::ParameterExpansion(parameter) => self.parameter(parameter, quoted),
            WordPiece::CommandSubstitution(text) => self.substitution(text, quoted),
            // A backslash in there means something else than it does elsewhere.
            WordPiece::BackquotedCommandSubstitution(text) if text.contains('\\') => {
                self.arg.push_tail(Tail::Anything);
                self.worst(Effect::Unknown);
            }
            WordPiece::BackquotedCommandSubstitution(text) => self.substitution(text, quoted),
            WordPiece::EscapeSequence(text) => {
                let text = text.strip_prefix('\\').unwrap_or(text);
                self.arg.push(if text == "\n" { "" } else { text });
            }
            WordPiece::ArithmeticExpression(expression) => {
                self.arg.push_tail(Tail::Plain);
                // A difference is negative.
                if self.arg.text.is_empty() && expression.value.contains(['-', '~']) {
                    self.arg.push_tail(Tail::Quoted);
                }
                self.worst(arithmetic(&expression.value, self.scope));
            }
        }
    }

    fn unquoted(&mut self, text: &str) {
        let rest = match (self.braces, text.find('{')) {
            (Braces::None, None) => "",
            (Braces::None, Some(at)) => {
                self.braces = Braces::Open;
                &text[at..]
            }
            _ => text,
        };
        if rest.contains(',') || rest.contains("..") {
            self.braces = Braces::Expand;
        }
        // No file is called like an address.
        let address = self.arg.text.starts_with("http") || text.starts_with("http");
        match text.find(['*', '?', '[']) {
            Some(at) if !(address && (text.contains("://") || self.arg.text.contains("://"))) => {
                self.arg.push(&text[..at]);
                self.arg.push_tail(Tail::Files);
            }
            _ => self.arg.push(text),
        }
    }

    fn substitution(&mut self, text: &str, quoted: bool) {
        let (effect, plain) = script::substitution(text, self.scope);
        self.worst(effect);
        self.arg.push_tail(match (plain, quoted) {
            (true, true) => Tail::Plain,
            (true, false) => Tail::Words,
            (false, true) => Tail::Quoted,
            (false, false) => Tail::Anything,
        });
    }

    fn unknown_value(&mut self, quoted: bool) {
        self.arg
            .push_tail(if quoted { Tail::Quoted } else { Tail::Anything });
    }

    fn parameter(&mut self, expression: &ParameterExpr, quoted: bool) {
        use ParameterExpr as P;
        match expression {
            P::Parameter {
                parameter,
                indirect: false,
            } => self.value(parameter, quoted),
            P::ParameterLength {
                parameter: Parameter::Named(_) | Parameter::Positional(_),
                indirect: false,
            } => self.arg.push_tail(Tail::Plain),
            P::UseDefaultValues {
                parameter,
                indirect: false,
                default_value: word,
                ..
            }
            | P::UseAlternativeValue {
                parameter,
                indirect: false,
                alternative_value: word,
                ..
            }
            | P::IndicateErrorIfNullOrUnset {
                parameter,
                indirect: false,
                error_message: word,
                ..
            }
            | P::RemoveSmallestSuffixPattern {
                parameter,
                indirect: false,
                pattern: word,
            }
            | P::RemoveLargestSuffixPattern {
                parameter,
                indirect: false,
                pattern: word,
            }
            | P::RemoveSmallestPrefixPattern {
                parameter,
                indirect: false,
                pattern: word,
            }
            | P::RemoveLargestPrefixPattern {
                parameter,
                indirect: false,
                pattern: word,
            } if is_simple(parameter) => {
                if let Some(word) = word {
                    let (_, effect) = expand_text(word, self.scope);
                    self.worst(effect);
                }
                self.unknown_value(quoted);
            }
            // Subscripts, indirection and `@P` run what a value holds; `:=` assigns.
            _ => {
                self.unknown_value(quoted);
                self.worst(Effect::Unknown);
            }
        }
    }

    fn value(&mut self, parameter: &Parameter, quoted: bool) {
        let value = match parameter {
            Parameter::Named(name) => self.scope.variables.get(name),
            Parameter::Special(
                SpecialParameter::LastExitStatus
                | SpecialParameter::ProcessId
                | SpecialParameter::LastBackgroundProcessId
                | SpecialParameter::PositionalParameterCount,
            ) => Some(Arg {
                text: String::new(),
                tail: Tail::Plain,
            }),
            Parameter::Positional(_) | Parameter::Special(_) => None,
            // A subscript is an expression, and that may run something.
            _ => {
                self.worst(Effect::Unknown);
                None
            }
        };
        let Some(value) = value else {
            // All of several positional parameters are several words, quoted or not.
            let all = matches!(
                parameter,
                Parameter::Special(SpecialParameter::AllPositionalParameters { .. })
            );
            return self.unknown_value(quoted && !all);
        };
        let whole = is_plain(&value.text) || value.text.is_empty();
        match (value.tail, quoted) {
            (Tail::Nothing, true) => self.arg.push(&value.text),
            (Tail::Nothing, false) if is_plain(&value.text) || is_flag(&value.text) => {
                self.arg.push(&value.text);
            }
            (Tail::Plain, _) if whole => {
                self.arg.push(&value.text);
                self.arg.push_tail(Tail::Plain);
            }
            (Tail::Words, false) if whole => {
                self.arg.push(&value.text);
                self.arg.push_tail(Tail::Words);
            }
            // Words that are one argument: no flag, for the first does not look like one.
            (Tail::Words, true) if whole => {
                self.arg.push(&value.text);
                self.arg.push_tail(Tail::Plain);
            }
            (_, quoted) => self.unknown_value(quoted),
        }
    }
}

fn is_simple(parameter: &Parameter) -> bool {
    matches!(
        parameter,
        Parameter::Named(_) | Parameter::Positional(_) | Parameter::Special(_)
    )
}

fn is_flag(text: &str) -> bool {
    text.starts_with('-') && is_plain(text.trim_start_matches('-'))
}

/// `$'…'` with the escapes that are one character each.
fn decoded(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next()? {
                'n' => '\n',
                't' => '\t',
                '\\' => '\\',
                '\'' => '\'',
                '"' => '"',
                _ => return None,
            },
            c => c,
        });
    }
    Some(out)
}

/// What computing an expression does: numbers and variables, and no subscript, for a subscript
/// runs what is in it. Variables are expressions again.
pub(super) fn arithmetic(expression: &str, scope: &Scope) -> Effect {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_ \t+-*/%()<>=!&|?:,^~$".contains(c);
    if !expression.chars().all(plain) || expression.contains("$(") {
        return Effect::Unknown;
    }
    let names = expression
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'));
    for name in names {
        let value = scope.variables.get(name);
        let counted = value.is_some_and(|v| match v.tail {
            Tail::Nothing => v.text.bytes().all(|b| b.is_ascii_digit()),
            Tail::Plain => v.text.is_empty(),
            _ => false,
        });
        if !counted || (expression.contains('=') && !variables::is_harmless(name)) {
            return Effect::Unknown;
        }
    }
    Effect::Reads
}
