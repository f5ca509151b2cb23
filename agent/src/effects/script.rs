//! Lists, pipelines, loops and groups of commands: which run, in which order, and what is known of
//! variables where each does. What one command does is in [`super::command`].

use super::{
    Effect, command, expansion,
    limits::{self, Budget},
    variables::Variables,
    word::{Arg, Tail},
};
use brush_parser::{
    Token, ast,
    ast::{AndOr, Command, CompoundCommand, CompoundList, ExtendedTestExpr, Pipeline},
};

/// Rounds after which nothing more is learned of the variables of a loop.
const ROUNDS: usize = 4;
/// Words of a `for` that are tried one by one.
const MAX_WORDS: usize = 16;

/// Where a command stands.
#[derive(Debug, Clone)]
pub(super) struct Scope<'b> {
    pub variables: Variables,
    pub budget: &'b Budget,
}

/// Judges a text by itself: no variable of ours is in it.
pub(super) fn judge(text: &str, budget: &Budget) -> Effect {
    let mut scope = Scope {
        variables: Variables::default(),
        budget,
    };
    budget.text(|| match parse(text) {
        Some(program) => lists(&program.complete_commands, &mut scope),
        None => Effect::Unknown,
    })
}

/// What a command substitution does, and whether what it prints is plain words.
pub(super) fn substitution(text: &str, scope: &Scope) -> (Effect, bool) {
    let Some(program) = parse(text) else {
        return (Effect::Unknown, false);
    };
    let mut plain = false;
    let mut inner = scope.clone();
    let effect = scope.budget.text(|| {
        let effect = lists(&program.complete_commands, &mut inner);
        if let [list] = program.complete_commands.as_slice()
            && let [item] = list.0.as_slice()
            && item.0.additional.is_empty()
        {
            plain = command::prints_plain(&item.0.first.seq, scope);
        }
        effect
    });
    (effect, plain)
}

fn parse(text: &str) -> Option<ast::Program> {
    if !limits::is_parsed(text) {
        return None;
    }
    let options = expansion::options();
    let tokens = brush_parser::uncached_tokenize_str(text, &options.tokenizer_options()).ok()?;
    // Here-documents that never end, and what comes of them, is not what a shell makes of it.
    let operator = |token: &Token, text: &str| matches!(token, Token::Operator(o, _) if o == text);
    if tokens
        .iter()
        .any(|token| operator(token, ";&") || operator(token, ";;&"))
    {
        return None;
    }
    brush_parser::parse_tokens(&tokens, &options).ok()
}

fn lists(lists: &[CompoundList], scope: &mut Scope) -> Effect {
    lists.iter().fold(Effect::Reads, |worst, list| {
        worst.max(self::list(list, scope))
    })
}

/// A process substitution: in a shell of its own.
pub(super) fn group(list: &CompoundList, scope: &Scope) -> Effect {
    self::list(list, &mut scope.clone())
}

fn list(list: &CompoundList, scope: &mut Scope) -> Effect {
    let mut worst = Effect::Reads;
    for ast::CompoundListItem(and_or, separator) in &list.0 {
        worst = worst.max(match separator {
            ast::SeparatorOperator::Sequence => chain(and_or, scope),
            // In the background it has variables of its own.
            ast::SeparatorOperator::Async => chain(and_or, &mut scope.clone()),
        });
    }
    worst
}

fn chain(chain: &ast::AndOrList, scope: &mut Scope) -> Effect {
    let mut worst = pipeline(&chain.first, scope);
    for next in &chain.additional {
        let (AndOr::And(next) | AndOr::Or(next)) = next;
        let before = scope.variables.clone();
        worst = worst.max(pipeline(next, scope));
        scope.variables.or(&before);
    }
    worst
}

fn pipeline(pipeline: &Pipeline, scope: &mut Scope) -> Effect {
    if let [only] = pipeline.seq.as_slice() {
        return command(only, scope);
    }
    let each = pipeline.seq.iter();
    each.fold(Effect::Reads, |worst, part| {
        worst.max(command(part, &mut scope.clone()))
    })
}

fn command(command: &Command, scope: &mut Scope) -> Effect {
    if !scope.budget.command() {
        return Effect::Unknown;
    }
    let redirected = |redirects: &Option<ast::RedirectList>, scope: &Scope| {
        let redirects = redirects.iter().flat_map(|list| &list.0);
        redirects.fold(Effect::Reads, |worst, redirect| {
            worst.max(command::redirect(redirect, scope))
        })
    };
    match command {
        Command::Simple(simple) => command::judge(simple, scope),
        Command::Compound(compound, redirects) => {
            redirected(redirects, scope).max(self::compound(compound, scope))
        }
        // From here on a name means something else, at the latest when it is called.
        Command::Function(function) => {
            let ast::FunctionBody(body, _) = &function.body;
            compound(body, &mut scope.clone()).max(Effect::Unknown)
        }
        Command::ExtendedTest(test, redirects) => {
            redirected(redirects, scope).max(condition(&test.expr, scope))
        }
    }
}

fn compound(compound: &CompoundCommand, scope: &mut Scope) -> Effect {
    match compound {
        CompoundCommand::BraceGroup(group) => list(&group.list, scope),
        CompoundCommand::Subshell(shell) => list(&shell.list, &mut scope.clone()),
        CompoundCommand::Arithmetic(arithmetic) => {
            expansion::arithmetic(&arithmetic.expr.value, scope)
        }
        CompoundCommand::ArithmeticForClause(clause) => {
            let parts = [&clause.initializer, &clause.condition, &clause.updater];
            // What is counted with begins as a number.
            if let Some(first) = &clause.initializer
                && let Some((name, value)) = first.value.split_once('=')
                && value.trim().bytes().all(|b| b.is_ascii_digit())
            {
                let name = name.trim();
                if !super::variables::is_harmless(name) {
                    return Effect::Unknown;
                }
                scope.variables.set(name, number());
            }
            let counted = parts
                .into_iter()
                .flatten()
                .fold(Effect::Reads, |worst, part| {
                    worst.max(expansion::arithmetic(&part.value, scope))
                });
            counted.max(again(scope, |scope| list(&clause.body.list, scope)))
        }
        CompoundCommand::ForClause(clause) => for_each(clause, scope),
        CompoundCommand::WhileClause(clause) | CompoundCommand::UntilClause(clause) => {
            let ast::WhileOrUntilClauseCommand(condition, body, _) = clause;
            again(scope, |scope| {
                let asked = list(condition, scope);
                asked.max(list(&body.list, scope))
            })
        }
        CompoundCommand::IfClause(clause) => {
            let mut worst = list(&clause.condition, scope);
            let mut otherwise = scope.clone();
            worst = worst.max(list(&clause.then, scope));
            for part in clause.elses.iter().flatten() {
                if let Some(condition) = &part.condition {
                    worst = worst.max(list(condition, &mut otherwise));
                }
                let mut branch = otherwise.clone();
                worst = worst.max(list(&part.body, &mut branch));
                scope.variables.or(&branch.variables);
            }
            scope.variables.or(&otherwise.variables);
            worst
        }
        CompoundCommand::CaseClause(clause) => {
            let mut worst = expansion::expand(&clause.value, scope).1;
            let before = scope.clone();
            for case in &clause.cases {
                for pattern in &case.patterns {
                    worst = worst.max(expansion::expand(pattern, scope).1);
                }
                let mut branch = before.clone();
                if let Some(body) = &case.cmd {
                    worst = worst.max(list(body, &mut branch));
                }
                scope.variables.or(&branch.variables);
            }
            worst
        }
        CompoundCommand::Coprocess(process) => {
            command(&process.body, &mut scope.clone()).max(Effect::Unknown)
        }
    }
}

fn number() -> Arg {
    Arg {
        text: String::new(),
        tail: Tail::Plain,
    }
}

/// The body of a loop, until nothing new is known of the variables at its beginning.
fn again(scope: &mut Scope, mut body: impl FnMut(&mut Scope) -> Effect) -> Effect {
    let mut worst = Effect::Reads;
    for _ in 0..ROUNDS {
        let before = scope.variables.clone();
        worst = worst.max(body(scope));
        scope.variables.or(&before);
        if scope.variables == before || worst == Effect::Changes {
            return worst;
        }
    }
    worst.max(Effect::Unknown)
}

fn for_each(clause: &ast::ForClauseCommand, scope: &mut Scope) -> Effect {
    if !super::variables::is_harmless(&clause.variable_name) {
        return Effect::Unknown;
    }
    let mut worst = Effect::Reads;
    let mut words = Vec::new();
    // Without words it goes over the positional parameters.
    let Some(values) = &clause.values else {
        return Effect::Unknown;
    };
    for value in values {
        let (word, effect) = expansion::expand(value, scope);
        worst = worst.max(effect);
        words.push(word);
    }
    let known = words.iter().all(|word| word.tail == Tail::Nothing);
    let body = |scope: &mut Scope, value: Arg| {
        again(scope, |scope| {
            scope.variables.set(&clause.variable_name, value.clone());
            list(&clause.body.list, scope)
        })
    };
    if known && words.len() <= MAX_WORDS {
        let before = scope.variables.clone();
        for word in words {
            worst = worst.max(body(scope, word));
        }
        scope.variables.or(&before);
        return worst;
    }
    let one = |word: Arg| match word.tail {
        Tail::Words => Arg {
            tail: Tail::Plain,
            ..word
        },
        Tail::Files if !word.text.is_empty() => Arg {
            tail: Tail::Quoted,
            ..word
        },
        Tail::Anything | Tail::Files => Arg {
            text: String::new(),
            tail: Tail::Anything,
        },
        _ => word,
    };
    let value = words.into_iter().map(one).reduce(|a, b| a.or(&b));
    worst.max(body(scope, value.unwrap_or_else(Arg::anything)))
}

/// `[[ … ]]`: what comparing as numbers computes, and what a subscript of `-v` runs, is not known.
fn condition(condition: &ExtendedTestExpr, scope: &Scope) -> Effect {
    use ast::{BinaryPredicate as B, UnaryPredicate as U};
    match condition {
        ExtendedTestExpr::And(a, b) | ExtendedTestExpr::Or(a, b) => {
            self::condition(a, scope).max(self::condition(b, scope))
        }
        ExtendedTestExpr::Not(a) | ExtendedTestExpr::Parenthesized(a) => self::condition(a, scope),
        ExtendedTestExpr::UnaryTest(
            U::ShellVariableIsSetAndAssigned | U::ShellVariableIsSetAndNameRef,
            _,
        ) => Effect::Unknown,
        ExtendedTestExpr::UnaryTest(_, word) => expansion::expand(word, scope).1,
        ExtendedTestExpr::BinaryTest(predicate, a, b) => {
            let ((left, one), (right, other)) =
                (expansion::expand(a, scope), expansion::expand(b, scope));
            let computes = matches!(
                predicate,
                B::ArithmeticEqualTo
                    | B::ArithmeticNotEqualTo
                    | B::ArithmeticLessThan
                    | B::ArithmeticLessThanOrEqualTo
                    | B::ArithmeticGreaterThan
                    | B::ArithmeticGreaterThanOrEqualTo
            );
            let number = |arg: &Arg| match arg.tail {
                Tail::Nothing => {
                    !arg.text.is_empty() && arg.text.bytes().all(|b| b.is_ascii_digit())
                }
                Tail::Plain => arg.text.is_empty(),
                _ => false,
            };
            if computes && !(number(&left) && number(&right)) {
                return one.max(other).max(Effect::Unknown);
            }
            one.max(other)
        }
    }
}
