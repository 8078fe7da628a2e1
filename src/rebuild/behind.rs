//! What is said of the compiled files that are not what their sources say, where the compilers are not run.

use std::collections::BTreeSet;

use crate::host::Host;
use crate::host::compilers::Compiler;
use crate::report::{Code, Note};

/// Which compiled files are not what their sources say, and who makes them, when the guard holds these domains. For
/// commands that do not run the compilers.
pub fn behind(host: &Host, held: &BTreeSet<Vec<u8>>) -> Vec<Note> {
    Compiler::ALL.into_iter().filter_map(|compiler| behind_of(compiler, host, held)).collect()
}

/// The same of one.
pub fn behind_of(compiler: Compiler, host: &Host, held: &BTreeSet<Vec<u8>>) -> Option<Note> {
    let (how, name) = (&compiler.behind(host)?.how, compiler.name());
    let text = match (compiler.put_off(host, held), compiler.lost(host)) {
        (Some(why), _) => format!("do not run {name} now: {why}"),
        (None, Some(lost)) => format!("{how}, {lost}: put back a line that went by mistake, or run {name}"),
        (None, None) => format!("{how}: run {name}"),
    };
    Some(Note::warning(text).of(Code::CompiledStale))
}
