//! SQL in an argument: statements that look, made of words and functions that are known to.
//! Whatever else there could be in a statement is not known.

use super::Effect;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    Mysql,
    Sqlite,
}

/// How a statement that looks begins.
const LOOKS: &[&str] = &[
    "select", "show", "explain", "with", "values", "table", "desc", "describe",
];
/// Words of statements that change, and of clauses that do so in one that looks.
const CHANGES: &[&str] = &[
    "insert", "update", "delete", "drop", "alter", "create", "truncate", "grant", "revoke",
    "merge", "replace", "vacuum", "reindex", "cluster", "kill", "flush", "purge",
];
const ELSEWHERE: &[&str] = &[
    "into", "copy", "call", "do", "execute", "prepare", "lock", "refresh", "reset", "set", "begin",
    "commit", "share", "load", "import", "handler", "listen", "notify", "discard", "attach",
    "pragma", "nextval", "outfile", "dumpfile",
];
/// Functions that look, and words before a parenthesis that are none.
const FUNCTIONS: &[&str] = &[
    "abs",
    "age",
    "all",
    "and",
    "any",
    "array",
    "array_agg",
    "as",
    "avg",
    "between",
    "by",
    "cardinality",
    "case",
    "cast",
    "char_length",
    "coalesce",
    "concat",
    "count",
    "current_setting",
    "date",
    "date_trunc",
    "else",
    "except",
    "exists",
    "explain",
    "extract",
    "filter",
    "floor",
    "format",
    "format_bytes",
    "from",
    "greatest",
    "having",
    "host",
    "if",
    "ifnull",
    "in",
    "inet_server_addr",
    "intersect",
    "interval",
    "is",
    "isnull",
    "join",
    "lag",
    "lead",
    "least",
    "left",
    "length",
    "like",
    "lower",
    "ltrim",
    "max",
    "min",
    "mod",
    "not",
    "now",
    "nullif",
    "on",
    "or",
    "over",
    "pg_backend_pid",
    "pg_blocking_pids",
    "pg_current_wal_lsn",
    "pg_database_size",
    "pg_get_indexdef",
    "pg_indexes_size",
    "pg_is_in_recovery",
    "pg_last_wal_receive_lsn",
    "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp",
    "pg_postmaster_start_time",
    "pg_relation_size",
    "pg_size_pretty",
    "pg_stat_file",
    "pg_table_size",
    "pg_total_relation_size",
    "pg_wal_lsn_diff",
    "position",
    "rank",
    "right",
    "round",
    "row",
    "row_number",
    "rtrim",
    "select",
    "split_part",
    "string_agg",
    "substr",
    "substring",
    "sum",
    "then",
    "timestampdiff",
    "to_char",
    "to_timestamp",
    "trim",
    "union",
    "upper",
    "using",
    "values",
    "version",
    "when",
    "where",
    "with",
    "current_date",
    "unix_timestamp",
    "from_unixtime",
    "database",
    "user",
    "current_user",
];
/// What psql and sqlite3 do by themselves, and that looks.
const COMMANDS: &[&str] = &[
    "\\l",
    "\\l+",
    "\\d",
    "\\d+",
    "\\dt",
    "\\dt+",
    "\\di",
    "\\di+",
    "\\dv",
    "\\dn",
    "\\dn+",
    "\\du",
    "\\dx",
    "\\df",
    "\\db",
    "\\dp",
    "\\conninfo",
    "\\x",
    "\\timing",
    ".tables",
    ".schema",
    ".databases",
    ".indexes",
    ".dbinfo",
];

pub(super) fn judge(text: &str, dialect: Dialect) -> Effect {
    let trimmed = text.trim();
    if trimmed.starts_with(['\\', '.']) {
        let mut words = trimmed.split_whitespace();
        let known = words.next().is_some_and(|word| COMMANDS.contains(&word));
        let plain = |word: &str| {
            word.chars()
                .all(|c| c.is_ascii_alphanumeric() || "_.*".contains(c))
        };
        let right = trimmed.starts_with('\\') == (dialect == Dialect::Postgres);
        return if known && right && words.all(plain) {
            Effect::Reads
        } else {
            Effect::Unknown
        };
    }
    // MySQL shows a row as lines then.
    let trimmed = match dialect {
        Dialect::Mysql => trimmed.strip_suffix("\\G").unwrap_or(trimmed),
        _ => trimmed,
    };
    let Some(words) = words(trimmed, dialect) else {
        return Effect::Unknown;
    };
    let mut worst = Effect::Reads;
    for statement in words.split(|word| *word == Word::End) {
        worst = worst.max(self::statement(statement));
    }
    worst
}

#[derive(Debug, Clone, PartialEq)]
enum Word {
    Name(String),
    Open,
    Other,
    End,
}

fn statement(words: &[Word]) -> Effect {
    let Some(first) = words.first() else {
        return Effect::Reads;
    };
    let looks = matches!(first, Word::Name(name) if LOOKS.contains(&name.as_str()));
    // What would make a thing is shown, and made by nobody.
    let words = match words {
        [Word::Name(show), Word::Name(create), rest @ ..]
            if show == "show" && create == "create" =>
        {
            rest
        }
        _ => words,
    };
    let is = |list: &[&str]| {
        let name = |word: &Word| matches!(word, Word::Name(name) if list.contains(&name.as_str()));
        words.iter().any(name)
    };
    if is(CHANGES) {
        return Effect::Changes;
    }
    let calls = words.windows(2).any(|pair| match pair {
        [Word::Name(name), Word::Open] => !FUNCTIONS.contains(&name.as_str()),
        _ => false,
    });
    if !looks || calls || is(ELSEWHERE) {
        return Effect::Unknown;
    }
    Effect::Reads
}

/// The words of a text. None: it has what servers read in more than one way.
fn words(text: &str, dialect: Dialect) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let word = match c {
            '\'' => {
                // In front of it a letter changes what a backslash is.
                while let Some(c) = chars.next() {
                    match c {
                        '\\' => return None,
                        '\'' if chars.next_if_eq(&'\'').is_none() => break,
                        _ => {}
                    }
                    chars.peek()?;
                }
                Word::Other
            }
            // A name for one server, a text for another.
            '"' | '`' => {
                let mut name = String::new();
                loop {
                    match chars.next()? {
                        '\\' => return None,
                        d if d == c => break,
                        d => name.push(d.to_ascii_lowercase()),
                    }
                }
                if dialect == Dialect::Postgres || c == '`' {
                    Word::Name(name)
                } else {
                    Word::Other
                }
            }
            '-' if chars.peek() == Some(&'-') => return None,
            '/' if chars.peek() == Some(&'*') => return None,
            ':' if chars.peek() == Some(&'=') => return None,
            // Psql's variables, commands, texts between dollars, comments of MySQL.
            '$' | '\\' | '#' | '@' | '&' => return None,
            ':' if dialect == Dialect::Postgres && chars.next_if_eq(&':').is_none() => return None,
            ';' => Word::End,
            '(' => Word::Open,
            c if c.is_ascii_alphabetic() || c == '_' => {
                let mut name = String::from(c.to_ascii_lowercase());
                while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c.to_ascii_lowercase());
                }
                Word::Name(name)
            }
            c if c.is_whitespace() => continue,
            c if c.is_ascii() => Word::Other,
            _ => return None,
        };
        words.push(word);
    }
    Some(words)
}
