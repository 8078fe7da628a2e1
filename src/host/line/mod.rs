//! What a program line of a dot-qmail file comes to (docs/rules.md, 12): the line as the shell reads it, the programs in
//! it that are known or declared, and the exit codes that it can end with. Pure, but for what [`Programs`] asks of the
//! host.

pub mod aliases;
pub mod codes;
pub mod declared;
mod programs;
mod read;
pub mod words;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::dot_qmail::{Catchall, Programs};
use crate::text::Shown;
use aliases::{Fastforward, Vdeliver};
use codes::{Codes, Ending, FAILED, FILTER, PENDING, States};
use declared::Declared;
pub use programs::usual_places;
use words::Word;

/// A line longer than this is not read, in bytes.
pub const MAX_LINE: usize = 1000;

/// A command of a line, or several of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Runs a program.
    Run(Command),
    /// Ends the list with this code, or with that of the last command.
    Exit(Option<u8>),
    /// Does no more than to have this code.
    Code(u8),
    /// `:`, which has the code 0.
    Colon,
    /// Ends the list with what this comes to.
    Exec(Box<Node>),
    /// The opposite.
    Not(Box<Node>),
    /// One beside the other; the code is that of the last one.
    Pipeline(Vec<Node>),
    /// The first; then each other one when what came before it succeeded (true), or failed.
    AndOr(Box<Node>, Vec<(bool, Node)>),
    /// One after the other.
    List(Vec<Node>),
    /// The first of which the condition succeeds, else the last.
    If(Vec<(Node, Node)>, Option<Box<Node>>),
    /// In a shell of its own.
    Subshell(Box<Node>),
    /// With a redirection that may fail.
    Redirected(Box<Node>),
}

/// A program that a line runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its number in the line.
    pub number: usize,
    /// As the line names it, `~` expanded.
    pub name: Vec<u8>,
    /// The programs that only run it.
    pub wrappers: Vec<Vec<u8>>,
    /// Whether it is found by the shell, in PATH.
    pub in_path: bool,
    /// What it is.
    pub agent: Agent,
    /// What the administrator says about it.
    pub declared: Option<Declared>,
}

/// What is known about a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agent {
    /// Nothing.
    Unknown,
    /// bouncesaying without a condition.
    Bouncesaying,
    /// `vdelivermail X CATCHALL`.
    Vdelivermail(Catchall),
    /// vdelivermail with another number of arguments.
    VdelivermailMisused,
    /// Dovecot's delivery agent: the user that `-d` names.
    DovecotLda(Option<Word>),
    /// fastforward.
    Fastforward(Fastforward),
    /// The agent of vmailmgr.
    Vdeliver(Vdeliver),
    /// `echo`: it takes no message.
    Echo,
    /// `test`, `[` or `printf`: it takes no message, and may always fail.
    Test,
}

/// A line that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it does.
    pub node: Node,
    /// How many programs it runs.
    pub commands: usize,
}

/// The lines of a host that were read last, of those that mean the same in each home directory: most domains have one of a
/// few, and the parser takes longer than all the rest.
#[derive(Debug, Default)]
pub struct Lines(Mutex<VecDeque<Kept>>);

/// What follows the `|`, and what it does.
type Kept = (Box<[u8]>, Arc<Line>);

impl Clone for Lines {
    /// A copy of a host reads them again.
    fn clone(&self) -> Lines {
        Lines::default()
    }
}

impl Lines {
    /// So many are kept.
    const MOST: usize = 8;

    fn get(&self, command: &[u8]) -> Option<Arc<Line>> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = last.iter().position(|(line, _)| **line == *command)?;
        last.swap(0, at);
        Some(last[0].1.clone())
    }

    fn keep(&self, command: &[u8], line: &Arc<Line>) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.push_front((command.into(), line.clone()));
        last.truncate(Lines::MOST);
    }
}

/// Where a line goes on, and where it has ended.
#[derive(Debug, Default)]
struct Flow {
    on: States,
    ended: States,
}

impl Line {
    /// Reads what follows the `|`; `None` when it cannot be known what it does.
    pub fn read(command: &[u8], programs: &Programs<'_>, probes: &mut usize) -> Option<Arc<Line>> {
        if let Some(line) = programs.lines.and_then(|lines| lines.get(command)) {
            return Some(line);
        }
        let mut reader = programs::Reader::new(programs, probes);
        let node = read::read(command, &mut reader)?;
        let line = Arc::new(Line { node, commands: reader.commands() });
        if let Some(lines) = programs.lines.filter(|_| reader.is_general()) {
            lines.keep(command, &line);
        }
        Some(line)
    }

    /// What the line can come to when its programs end as `ask` says.
    pub fn run(&self, ask: &mut dyn FnMut(&Command) -> Vec<Ending>) -> States {
        let Flow { mut on, ended } = self.node.run(&States::start(), ask);
        on.extend(ended);
        on
    }

    /// The codes that it can end with when each of its programs can end with each of these.
    pub fn codes(&self, of_programs: Codes) -> Codes {
        self.run(&mut |_| vec![Ending { codes: of_programs, set: 0, clear: 0 }]).codes()
    }

    /// The programs that it runs, in their order.
    pub fn programs(&self) -> Vec<&Command> {
        let mut found = Vec::new();
        self.node.collect(&mut found);
        found
    }

    /// Whether it asks for more of a name than whether it is a mailbox.
    pub fn asks_names(&self) -> bool {
        self.programs().iter().any(|command| match &command.agent {
            Agent::Fastforward(_) | Agent::Vdeliver(_) => true,
            Agent::DovecotLda(Some(word)) => !word.is_ext_at(),
            _ => false,
        })
    }

    /// Whether a program in it may deliver to the mailboxes of vpopmail: a filter may run vdelivermail itself.
    pub fn may_serve_mailboxes(&self) -> bool {
        self.programs().iter().any(|command| match command.declared {
            Some(declared) => declared == Declared::Mailboxes,
            None => matches!(
                command.agent,
                Agent::Vdelivermail(_) | Agent::VdelivermailMisused | Agent::DovecotLda(_) | Agent::Unknown
            ),
        })
    }
}

/// What a program that cannot be known comes to.
pub fn unknown() -> Vec<Ending> {
    vec![
        Ending { codes: Codes::of(0), set: PENDING, clear: 0 },
        Ending { codes: Codes::ALL.without(Codes::of(0)), set: PENDING | FAILED, clear: 0 },
    ]
}

/// What a filter comes to.
pub fn filter() -> Vec<Ending> {
    vec![
        Ending { codes: Codes::of(0), set: 0, clear: 0 },
        Ending { codes: Codes::ALL.without(Codes::of(0)), set: FAILED | FILTER, clear: 0 },
    ]
}

impl Node {
    fn run(&self, from: &States, ask: &mut dyn FnMut(&Command) -> Vec<Ending>) -> Flow {
        if from.is_empty() {
            return Flow::default();
        }
        let going = |on: States| Flow { on, ended: States::default() };
        match self {
            Node::Run(command) => going(from.after(&ask(command))),
            Node::Exit(None) => Flow { on: States::default(), ended: from.clone() },
            Node::Exit(Some(code)) => Flow { on: States::default(), ended: from.with_code(*code) },
            Node::Code(code) => going(from.with_code(*code)),
            Node::Colon => going(from.with_code(0)),
            Node::Exec(node) => {
                let Flow { on, mut ended } = node.run(from, ask);
                ended.extend(on);
                Flow { on: States::default(), ended }
            }
            Node::Not(node) => {
                let Flow { on, ended } = node.run(from, ask);
                Flow { on: on.negated(), ended }
            }
            Node::Subshell(node) => {
                let Flow { mut on, ended } = node.run(from, ask);
                on.extend(ended);
                going(on)
            }
            Node::Pipeline(nodes) => {
                let mut met = from.clone();
                for node in nodes {
                    let Flow { mut on, ended } = node.run(&from.as_before(&met), ask);
                    on.extend(ended);
                    met = on;
                }
                going(met)
            }
            Node::AndOr(first, others) => {
                let mut flow = first.run(from, ask);
                for (and, node) in others {
                    let (zero, failed) = std::mem::take(&mut flow.on).split();
                    let (goes, stays) = if *and { (zero, failed) } else { (failed, zero) };
                    let next = node.run(&goes, ask);
                    flow.on = stays;
                    flow.on.extend(next.on);
                    flow.ended.extend(next.ended);
                }
                flow
            }
            Node::List(nodes) => {
                let mut flow = going(from.clone());
                for node in nodes {
                    let next = node.run(&flow.on, ask);
                    flow.on = next.on;
                    flow.ended.extend(next.ended);
                }
                flow
            }
            Node::If(branches, otherwise) => {
                let mut flow = Flow::default();
                let mut left = from.clone();
                for (condition, body) in branches {
                    let asked = condition.run(&left, ask);
                    let (zero, failed) = asked.on.split();
                    let done = body.run(&zero, ask);
                    flow.on.extend(done.on);
                    flow.ended.extend(asked.ended);
                    flow.ended.extend(done.ended);
                    left = failed;
                }
                match otherwise {
                    Some(node) => {
                        let done = node.run(&left, ask);
                        flow.on.extend(done.on);
                        flow.ended.extend(done.ended);
                    }
                    None => flow.on.extend(left.with_code(0)),
                }
                flow
            }
            Node::Redirected(node) => {
                let mut flow = node.run(from, ask);
                let failed = from.after(&[Ending { codes: Codes::of(2), set: FAILED, clear: 0 }]);
                match **node {
                    // A builtin of this kind ends the shell then.
                    Node::Colon | Node::Exit(_) | Node::Exec(_) => flow.ended.extend(failed),
                    _ => flow.on.extend(failed),
                }
                flow
            }
        }
    }

    fn collect<'n>(&'n self, found: &mut Vec<&'n Command>) {
        match self {
            Node::Run(command) => found.push(command),
            Node::Exit(_) | Node::Code(_) | Node::Colon => {}
            Node::Exec(node) | Node::Not(node) | Node::Subshell(node) | Node::Redirected(node) => node.collect(found),
            Node::Pipeline(nodes) | Node::List(nodes) => nodes.iter().for_each(|node| node.collect(found)),
            Node::AndOr(first, others) => {
                first.collect(found);
                others.iter().for_each(|(_, node)| node.collect(found));
            }
            Node::If(branches, otherwise) => {
                for (condition, body) in branches {
                    condition.collect(found);
                    body.collect(found);
                }
                otherwise.iter().for_each(|node| node.collect(found));
            }
        }
    }
}

impl fmt::Display for Command {
    /// Its name, what runs it, and what is known about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for wrapper in &self.wrappers {
            write!(f, "{} runs ", Shown(wrapper))?;
        }
        write!(f, "{}", Shown(&self.name))?;
        if self.in_path {
            f.write_str(" (found in PATH, if qmail has the usual one)")?;
        }
        f.write_str(match (self.declared, &self.agent) {
            (Some(Declared::Mailboxes), _) => ", declared: mailboxes",
            (Some(Declared::Passes), _) => ", declared: passes",
            (Some(Declared::Accepts), _) => ", declared: accepts",
            (Some(Declared::Refuses), _) => ", declared: refuses",
            (Some(Declared::Unusable), _) => ", whose declaration cannot be used",
            (None, Agent::Unknown) => ", which is not known: codes 0 to 255",
            (None, Agent::Bouncesaying) => ": code 100",
            (None, Agent::Vdelivermail(_)) => ": code 0 for its users",
            (None, Agent::VdelivermailMisused) => ", without exactly two arguments: code 111",
            (None, Agent::DovecotLda(None)) => " without -d: code 0",
            (None, Agent::DovecotLda(Some(_))) => ": code 0 for its users, else 67",
            (None, Agent::Fastforward(Fastforward { passes: true, .. })) => ": code 99 for its names, else 0",
            (None, Agent::Fastforward(_)) => ": code 0 for its names, else 100",
            (None, Agent::Vdeliver(_)) => ": code 0 for its users, else 100",
            (None, Agent::Echo) => ": code 0",
            (None, Agent::Test) => ": code 0, 1 or 2",
        })
    }
}
