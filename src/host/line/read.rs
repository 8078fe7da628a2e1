//! The shell's grammar, by a parser of its own (brush-parser), cut down to what sh -c certainly does with it. What any
//! shell could take in another way is not read.

use brush_parser::ast::{
    AndOr, AndOrList, Assignment, AssignmentName, AssignmentValue, Command, CommandPrefixOrSuffixItem, CompoundCommand,
    CompoundList, IfClauseCommand, IoFileRedirectKind, IoFileRedirectTarget, IoRedirect, Pipeline, Program,
    SeparatorOperator, SimpleCommand,
};
use brush_parser::{ParserOptions, TokenizerOptions, parse_tokens, uncached_tokenize_str};

use super::programs::Reader;
use super::words::{Word, is_name_byte};
use super::{MAX_LINE, Node};

/// At most so many operators stand in a line that is read.
const MAX_OPERATORS: usize = 32;
/// At most so many commands that hold others: each can double what the parser takes.
const MAX_DEPTH: usize = 6;
/// The words that begin such a command.
const OPENING: [&[u8]; 9] = [b"if", b"elif", b"while", b"until", b"for", b"case", b"select", b"function", b"coproc"];
/// What is not read wherever it stands: substitutions, here-documents, what only some shells know.
const NOT_READ: [&[u8]; 12] = [b"`", b"$(", b"<<", b"<(", b">(", b"((", b"[[", b";;", b"|&", b"&>", b"<>", b">|"];
/// Variables that mean more to a shell or to a program than their name, and those that qmail-local sets.
const KEPT_VARIABLES: [&[u8]; 24] = [
    b"PATH",
    b"HOME",
    b"USER",
    b"LOCAL",
    b"HOST",
    b"EXT",
    b"DEFAULT",
    b"RECIPIENT",
    b"SENDER",
    b"NEWSENDER",
    b"IFS",
    b"ENV",
    b"BASH_ENV",
    b"SHELLOPTS",
    b"BASHOPTS",
    b"POSIXLY_CORRECT",
    b"OPTIND",
    b"LINENO",
    b"PPID",
    b"UID",
    b"EUID",
    b"PS1",
    b"PS2",
    b"PS4",
];

/// Whether a command keeps its meaning when this variable is set.
pub fn may_be_set(name: &[u8]) -> bool {
    let is_numbered = |of: &[u8]| name.strip_prefix(of).is_some_and(|rest| rest.len() == 1 && rest[0].is_ascii_digit());
    !KEPT_VARIABLES.contains(&name)
        && !name.starts_with(b"LD_")
        && !name.starts_with(b"BASH")
        && !is_numbered(b"EXT")
        && !is_numbered(b"HOST")
        && name.first().is_some_and(|b| !b.is_ascii_digit())
        && name.iter().all(|b| is_name_byte(*b))
}

/// Reads a line; `None` when it cannot be known what the shell does with it.
pub fn read(command: &[u8], reader: &mut Reader<'_, '_>) -> Option<Node> {
    if let Some(words) = plain_words(command) {
        let words: Option<Vec<Word>> = words.into_iter().map(|word| reader.word(word)).collect();
        return reader.command(&words?);
    }
    match &parse(command)?.complete_commands[..] {
        [] => Some(Node::Code(0)),
        [list] => compound_list(list, reader),
        _ => None,
    }
}

/// The words, as they are written, of a command that is no more than a program by its whole path and its arguments: most
/// lines are, and the parser takes long. `None` for all others.
fn plain_words(command: &[u8]) -> Option<Vec<&[u8]>> {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"/.,:+-_@%= \t'\"".contains(b);
    let (mut words, mut start, mut quote) = (Vec::new(), None, None);
    for (at, byte) in command.iter().enumerate() {
        match (quote, byte) {
            (None, b' ' | b'\t') => words.extend(start.take().map(|start| &command[start..at])),
            (None, b'\'' | b'"') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
        if start.is_none() && !(matches!(byte, b' ' | b'\t')) {
            start = Some(at);
        }
    }
    words.extend(start.map(|start| &command[start..]));
    let name = words.first()?;
    let is_path = name.starts_with(b"/") && !name.contains(&b'=');
    (is_path && quote.is_none() && command.len() <= MAX_LINE && command.iter().all(is_plain)).then_some(words)
}

fn parse(command: &[u8]) -> Option<Program> {
    let text = std::str::from_utf8(command).ok().filter(|_| is_plain(command))?;
    let tokens = TokenizerOptions { enable_extended_globbing: false, posix_mode: true, sh_mode: true };
    let tokens = uncached_tokenize_str(text, &tokens).ok()?;
    let options =
        ParserOptions { enable_extended_globbing: false, posix_mode: true, sh_mode: true, ..ParserOptions::default() };
    parse_tokens(&tokens, &options).ok()
}

/// Whether the parser is asked at all: what it takes long for, and what shells disagree about, is left out.
fn is_plain(command: &[u8]) -> bool {
    let is_text = command.iter().all(|b| b.is_ascii_graphic() || matches!(b, b' ' | b'\t'));
    if !is_text || command.len() > MAX_LINE || NOT_READ.iter().any(|what| memchr::memmem::find(command, what).is_some())
    {
        return false;
    }
    let operators = command.iter().filter(|b| matches!(b, b'|' | b';' | b'&' | b'<' | b'>' | b'(' | b')')).count();
    let ends_word = |b: &u8| matches!(b, b' ' | b'\t' | b'|' | b';' | b'&' | b'<' | b'>' | b'(' | b')');
    let opening = command.iter().filter(|b| matches!(b, b'(' | b'{')).count()
        - memchr::memmem::find_iter(command, b"${").count()
        + command.split(ends_word).filter(|word| OPENING.contains(word)).count();
    // A pattern, or the name of an array: each level of `a[''a[''` takes the parser twice as long as the one before.
    if operators > MAX_OPERATORS || opening > MAX_DEPTH || holds_pattern(command) {
        return false;
    }
    // Some shells take only one digit for a descriptor, and one `!`, which is a word of its own.
    let (mut digits, mut is_negated, mut starts_word) = (0, false, true);
    for (at, byte) in command.iter().enumerate() {
        if matches!(byte, b'<' | b'>') && digits > 1 {
            return false;
        }
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        let is_bang = *byte == b'!' && starts_word;
        if is_bang && (is_negated || !matches!(command.get(at + 1), Some(b' ' | b'\t'))) {
            return false;
        }
        is_negated = is_bang || (is_negated && matches!(byte, b' ' | b'\t'));
        starts_word = matches!(byte, b' ' | b'\t' | b';' | b'|' | b'&' | b'(' | b')' | b'{' | b'}');
    }
    true
}

/// Whether a `[` that is no word stands outside of quotes and comments.
fn holds_pattern(command: &[u8]) -> bool {
    let (mut quote, mut is_escaped, mut starts_word) = (None, false, true);
    for (at, byte) in command.iter().enumerate() {
        let was_escaped = std::mem::take(&mut is_escaped);
        let may_begin = std::mem::take(&mut starts_word);
        match (quote, *byte) {
            _ if was_escaped => {}
            (None, b'#') if may_begin => return false,
            (None, b'\'' | b'"') => quote = Some(*byte),
            (Some(open), byte) if open == byte => quote = None,
            (None | Some(b'"'), b'\\') => is_escaped = true,
            (None, b'[') if !(may_begin && matches!(command.get(at + 1), Some(b' ' | b'\t'))) => return true,
            (None, b' ' | b'\t' | b';' | b'|' | b'&' | b'(' | b')') => starts_word = true,
            _ => {}
        }
    }
    false
}

fn compound_list(list: &CompoundList, reader: &mut Reader<'_, '_>) -> Option<Node> {
    let mut nodes = Vec::with_capacity(list.0.len());
    for item in &list.0 {
        if !matches!(item.1, SeparatorOperator::Sequence) {
            return None;
        }
        nodes.push(and_or(&item.0, reader)?);
    }
    match nodes.len() {
        0 => None,
        1 => nodes.pop(),
        _ => Some(Node::List(nodes)),
    }
}

fn and_or(list: &AndOrList, reader: &mut Reader<'_, '_>) -> Option<Node> {
    let first = pipeline(&list.first, reader)?;
    if list.additional.is_empty() {
        return Some(first);
    }
    let mut others = Vec::with_capacity(list.additional.len());
    for other in &list.additional {
        others.push(match other {
            AndOr::And(next) => (true, pipeline(next, reader)?),
            AndOr::Or(next) => (false, pipeline(next, reader)?),
        });
    }
    Some(Node::AndOr(Box::new(first), others))
}

fn pipeline(pipeline: &Pipeline, reader: &mut Reader<'_, '_>) -> Option<Node> {
    if pipeline.timed.is_some() || pipeline.seq.is_empty() {
        return None;
    }
    let mut nodes = Vec::with_capacity(pipeline.seq.len());
    for element in &pipeline.seq {
        nodes.push(command(element, reader)?);
    }
    let node = if nodes.len() == 1 { nodes.pop()? } else { Node::Pipeline(nodes) };
    Some(if pipeline.bang { Node::Not(Box::new(node)) } else { node })
}

fn command(command: &Command, reader: &mut Reader<'_, '_>) -> Option<Node> {
    match command {
        Command::Simple(simple) => simple_command(simple, reader),
        Command::Compound(compound, redirects) => {
            let node = match compound {
                CompoundCommand::BraceGroup(group) => compound_list(&group.list, reader)?,
                CompoundCommand::Subshell(shell) => Node::Subshell(Box::new(compound_list(&shell.list, reader)?)),
                CompoundCommand::IfClause(clause) => if_clause(clause, reader)?,
                _ => return None,
            };
            let mut may_fail = false;
            for redirect in redirects.iter().flat_map(|redirects| &redirects.0) {
                may_fail |= redirection(redirect, reader)?;
            }
            // An exit in it ends the shell, which a redirection that fails does not.
            let node = if may_fail { Node::Redirected(Box::new(Node::List(vec![node]))) } else { node };
            Some(node)
        }
        Command::Function(_) | Command::ExtendedTest(..) => None,
    }
}

fn if_clause(clause: &IfClauseCommand, reader: &mut Reader<'_, '_>) -> Option<Node> {
    let mut branches = vec![(compound_list(&clause.condition, reader)?, compound_list(&clause.then, reader)?)];
    let mut otherwise = None;
    for other in clause.elses.iter().flatten() {
        let body = compound_list(&other.body, reader)?;
        match &other.condition {
            // A part that runs before its body does.
            Some(condition) => branches.push((compound_list(condition, reader)?, body)),
            None => otherwise = Some(Box::new(body)),
        }
    }
    Some(Node::If(branches, otherwise))
}

/// Whether it may fail; `None` when it cannot be known where it leads.
fn redirection(redirect: &IoRedirect, reader: &Reader<'_, '_>) -> Option<bool> {
    let IoRedirect::File(number, kind, target) = redirect else { return None };
    if number.is_some_and(|number| !(0..=9).contains(&number)) {
        return None;
    }
    let is_descriptor = |text: &[u8]| matches!(text, b"0" | b"1" | b"2");
    match (kind, target) {
        (IoFileRedirectKind::DuplicateInput | IoFileRedirectKind::DuplicateOutput, IoFileRedirectTarget::Fd(to)) => {
            (0..=2).contains(to).then_some(false)
        }
        (
            IoFileRedirectKind::DuplicateInput | IoFileRedirectKind::DuplicateOutput,
            IoFileRedirectTarget::Duplicate(word) | IoFileRedirectTarget::Filename(word),
        ) => is_descriptor(word.value.as_bytes()).then_some(false),
        (
            IoFileRedirectKind::Read | IoFileRedirectKind::Write | IoFileRedirectKind::Append,
            IoFileRedirectTarget::Filename(word),
        ) => Some(reader.word(word.value.as_bytes())?.literal()? != b"/dev/null"),
        _ => None,
    }
}

/// The name of a variable that is set before a command; `None` when that changes what the command means.
fn assignment(assignment: &Assignment, reader: &Reader<'_, '_>) -> Option<()> {
    let (AssignmentName::VariableName(name), AssignmentValue::Scalar(value)) = (&assignment.name, &assignment.value)
    else {
        return None;
    };
    let value = value.value.as_bytes();
    let is_plain = !assignment.append && may_be_set(name.as_bytes()) && !value.contains(&b'~');
    is_plain.then_some(())?;
    reader.word(value).map(|_| ())
}

fn simple_command(command: &SimpleCommand, reader: &mut Reader<'_, '_>) -> Option<Node> {
    let prefix = command.prefix.iter().flat_map(|prefix| &prefix.0);
    let suffix = command.suffix.iter().flat_map(|suffix| &suffix.0);
    let (mut may_fail, mut is_set) = (false, false);
    let mut words: Vec<Word> = Vec::new();
    for item in prefix {
        match item {
            CommandPrefixOrSuffixItem::IoRedirect(redirect) => may_fail |= redirection(redirect, reader)?,
            CommandPrefixOrSuffixItem::AssignmentWord(set, _) => {
                assignment(set, reader)?;
                is_set = true;
            }
            CommandPrefixOrSuffixItem::Word(_) | CommandPrefixOrSuffixItem::ProcessSubstitution(..) => return None,
        }
    }
    if let Some(name) = &command.word_or_name {
        words.push(reader.word(name.value.as_bytes())?);
    }
    for item in suffix {
        match item {
            CommandPrefixOrSuffixItem::IoRedirect(redirect) => may_fail |= redirection(redirect, reader)?,
            CommandPrefixOrSuffixItem::Word(word) | CommandPrefixOrSuffixItem::AssignmentWord(_, word) => {
                words.push(reader.word(word.value.as_bytes())?);
            }
            CommandPrefixOrSuffixItem::ProcessSubstitution(..) => return None,
        }
    }
    if words.is_empty() {
        // What a redirection alone does is of no use to anybody.
        return (is_set && !may_fail).then_some(Node::Code(0));
    }
    let node = reader.command(&words)?;
    Some(if may_fail { Node::Redirected(Box::new(node)) } else { node })
}

#[cfg(test)]
mod tests {
    use brush_parser::ast::CompoundListItem;
    use proptest::proptest;

    use super::*;

    /// The words of a simple command, as the parser finds them.
    fn parsed_words(command: &[u8]) -> Option<Vec<Vec<u8>>> {
        let program = parse(command)?;
        let [list] = &program.complete_commands[..] else { return None };
        let [CompoundListItem(list, SeparatorOperator::Sequence)] = &list.0[..] else { return None };
        let Pipeline { timed: None, bang: false, seq } = &list.first else { return None };
        let [Command::Simple(SimpleCommand { prefix: None, word_or_name: Some(name), suffix })] = &seq[..] else {
            return None;
        };
        let mut words = vec![name.value.clone().into_bytes()];
        for item in suffix.iter().flat_map(|suffix| &suffix.0) {
            match item {
                CommandPrefixOrSuffixItem::Word(word) | CommandPrefixOrSuffixItem::AssignmentWord(_, word) => {
                    words.push(word.value.clone().into_bytes());
                }
                _ => return None,
            }
        }
        list.additional.is_empty().then_some(words)
    }

    proptest! {
        #[test]
        fn the_words_of_a_plain_command_are_those_that_the_parser_finds(command in r#"/[-a-z0-9/.,:+_@%=' \t"]{0,24}"#) {
            if let Some(words) = plain_words(command.as_bytes()) {
                let words: Vec<Vec<u8>> = words.into_iter().map(<[u8]>::to_vec).collect();
                assert_eq!(parsed_words(command.as_bytes()), Some(words), "{command}");
            }
        }
    }
}
