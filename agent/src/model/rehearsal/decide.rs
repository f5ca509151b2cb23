//! From facts to the next step: look, find what is not running, read why, put it right, look
//! again. What it does not understand it escalates; it never guesses and never tries a remedy that
//! has failed.

use super::{
    facts::{CLUSTER, CLUSTER_AGAIN, Facts, NODES, Remedy, logs},
    read::Node,
};

/// Looks after a remedy before it is taken to have failed; two seconds apart.
const PATIENCE: usize = 20;
/// Looks at a cluster that is not well though nothing was done: PD may only be late.
const DOUBT: usize = 5;
/// Times it lets itself be sent back.
const ROUNDS: usize = 2;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Say `text`, run `command`; `why` goes with the command.
    Run {
        text: String,
        command: String,
        why: String,
    },
    /// End the turn: the work is done, or there was none.
    Done(String),
    /// End the turn: a person must go on.
    Escalate(String),
}

fn run(text: impl Into<String>, command: impl Into<String>, why: impl Into<String>) -> Step {
    Step::Run {
        text: text.into(),
        command: command.into(),
        why: why.into(),
    }
}

pub(super) fn next(facts: &Facts) -> Step {
    if let Some(ended) = &facts.ended {
        return Step::Escalate(format!(
            "a command of mine did not come to its end, so I cannot tell what it did. {ended}"
        ));
    }
    if facts.round > ROUNDS {
        return Step::Escalate(format!(
            "it is still violated after I looked {} times. {}",
            facts.round,
            history(facts)
        ));
    }
    let look = match &facts.look {
        None => return first_look(facts),
        Some(Err(why)) => {
            return Step::Escalate(format!(
                "I cannot read the state of the cluster, so I touch nothing. {why}"
            ));
        }
        Some(Ok(look)) => look,
    };
    let nodes = match &facts.nodes {
        None => return second_look(facts, &look.complaints(&facts.invariant)),
        Some(Err(why)) => {
            return Step::Escalate(format!(
                "I cannot read the state of the processes, so I touch nothing. {why}"
            ));
        }
        Some(Ok(nodes)) => nodes,
    };
    // PD first: without a majority of it the stores cannot report.
    let mut stopped: Vec<&Node> = nodes.iter().filter(|n| n.state != "running").collect();
    stopped.sort_by_key(|n| (!n.is_pd(), n.name.clone()));
    if let Some(node) = stopped.first() {
        return put_right(facts, node, stopped.len());
    }
    let complaints = look.complaints(&facts.invariant);
    if facts.invariant == "low_disk_space" {
        return Step::Escalate(format!(
            "every process runs, and making room on a disk means deleting something: that is not \
             mine to choose. {}",
            facts.message
        ));
    }
    let acted = facts.applied_now().next().is_some();
    // A look from before the remedy proves nothing.
    if complaints.is_empty() && (!acted || facts.looks > 0) {
        return done(facts, acted);
    }
    let patience = if acted { PATIENCE } else { DOUBT };
    if facts.looks < patience {
        return look_again(facts, &complaints, acted);
    }
    Step::Escalate(format!(
        "every process runs, and yet {}. That is beyond what I understand. {}",
        list(&complaints),
        history(facts)
    ))
}

fn first_look(facts: &Facts) -> Step {
    let text = if facts.round > 0 {
        "The monitor does not agree that it is repaired. I look again from the start.".to_string()
    } else if facts.seen_before {
        "Somebody worked on this ticket before me. I go by what is true now, so I look first."
            .to_string()
    } else {
        format!(
            "The ticket says {}. I look at the cluster before I touch anything.",
            if facts.message.is_empty() {
                "little"
            } else {
                &facts.message
            }
        )
    };
    run(
        text,
        CLUSTER,
        "see what PD and the stores say about themselves",
    )
}

fn second_look(facts: &Facts, complaints: &[String]) -> Step {
    if facts.applied_now().next().is_some() {
        return run(
            if facts.looks == 0 {
                "Now I check that the process really runs."
            } else {
                "It takes longer than it should. I look at the processes again."
            },
            NODES,
            "does it run, or did it stop again?",
        );
    }
    let text = if complaints.is_empty() {
        "The cluster looks well from here. I check the processes too before I believe it."
            .to_string()
    } else {
        format!(
            "I see that {}. That is the symptom; the cause is a process, or the path to it.",
            list(complaints)
        )
    };
    run(text, NODES, "is a process gone, or alive and stuck?")
}

/// `node` does not run.
fn put_right(facts: &Facts, node: &Node, stopped: usize) -> Step {
    let name = &node.name;
    if node.state == "paused" {
        if facts.tried(Remedy::Resume, name) {
            return Step::Escalate(format!(
                "{name} is paused again after I resumed it: somebody, or something, pauses it. {}",
                history(facts)
            ));
        }
        return run(
            format!(
                "{name} is paused: the process is there and holds its connections, but it is \
                 frozen. It needs to go on, not to be started again.{}",
                others(stopped)
            ),
            Remedy::Resume.command(name),
            format!("let the frozen process of {name} go on"),
        );
    }
    let Some(log) = facts.logs.get(name) else {
        let text = if facts.tried(Remedy::Start, name) {
            format!(
                "{name} did not stay up: it {}. Its log should say why.",
                node.ending()
            )
        } else {
            format!(
                "{name} does not run: its process {}. Before I start it I read its last words.{}",
                node.ending(),
                others(stopped)
            )
        };
        return run(text, logs(name), format!("why did {name} stop?"));
    };
    let found = if log.is_empty() {
        "its log says nothing".to_string()
    } else {
        quoted(log)
    };
    if let Some(tried) = facts.applied.iter().rev().find(|a| a.node == *name) {
        let said = if tried.output.is_empty() {
            String::new()
        } else {
            quoted(&tried.output)
        };
        return Step::Escalate(format!(
            "I started {name}, and it does not stay up: it {}. Starting it again would not help, and \
             repairing or throwing away its data is not mine to decide.\n{said}\nThe end of its \
             log:\n{found}",
            node.ending()
        ));
    }
    let cause = if node.exit.starts_with("signal") {
        "The log ends without an error, as it does when something else kills a process."
    } else {
        "Its data is still where it was; a start is the least I can do."
    };
    run(
        format!("{cause} I start {name}."),
        Remedy::Start.command(name),
        format!("bring back the process of {name}; it keeps its data and its place"),
    )
}

fn look_again(facts: &Facts, complaints: &[String], acted: bool) -> Step {
    let text = match (acted, facts.looks) {
        (true, 0) => "It runs. Now the cluster must see it that way too.".to_string(),
        (true, _) => format!("Not there yet: {}.", list(complaints)),
        (false, _) => format!(
            "Every process runs, and yet {}. PD may only be late, so I wait and look again.",
            list(complaints)
        ),
    };
    run(text, CLUSTER_AGAIN, "has the cluster recovered?")
}

fn done(facts: &Facts, acted: bool) -> Step {
    if !acted {
        return Step::Done(
            "Every process runs, PD has a leader, all stores are up and every region has its \
             leader and its peers. I find nothing broken, and I changed nothing."
                .into(),
        );
    }
    Step::Done(format!(
        "{} All stores are up, PD has a leader, and every region has its leader and its peers. I \
         believe it is repaired; the monitor must say so.",
        history(facts)
    ))
}

/// What was done, in order.
fn history(facts: &Facts) -> String {
    let done: Vec<String> = facts
        .applied
        .iter()
        .map(|a| {
            let verb = match a.remedy {
                Remedy::Start => "started",
                Remedy::Resume => "resumed",
            };
            format!(
                "{verb} {}{}",
                a.node,
                if a.worked {
                    ""
                } else {
                    " (the command failed)"
                }
            )
        })
        .collect();
    if done.is_empty() {
        "I changed nothing.".into()
    } else {
        format!("I {}.", list(&done))
    }
}

fn others(stopped: usize) -> &'static str {
    if stopped > 1 {
        " It is not the only one; I take them one by one."
    } else {
        ""
    }
}

/// "a", "a and b", "a, b and c".
fn list(items: &[String]) -> String {
    match items {
        [] => "nothing is known".into(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

fn quoted(text: &str) -> String {
    text.lines()
        .map(|l| format!("> {l}"))
        .collect::<Vec<_>>()
        .join("\n")
}
