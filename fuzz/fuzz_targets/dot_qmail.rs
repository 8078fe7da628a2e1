//! The instructions of a dot-qmail file. What its owner writes costs little, and what qmail-local does not look at
//! changes nothing.

#![no_main]

use std::cell::Cell;

use libfuzzer_sys::fuzz_target;
use qmail_updater::host::dot_qmail::{DotQmail, Instruction, Program, Programs};
use qmail_updater::host::line::declared::Declarations;

fn parse(content: &[u8]) -> DotQmail {
    let asked = Cell::new(0);
    let exists = |path: &[u8]| {
        asked.set(asked.get() + 1);
        assert!(path.starts_with(b"/") && !path.contains(&0));
        path.len().is_multiple_of(2)
    };
    let declared = Declarations::default();
    let programs = Programs::of_directories(b"/var/qmail", b"/home/vpopmail", &declared, &exists);
    let found = DotQmail { shell_bytes: 0, ..DotQmail::parse(content, &programs) };
    assert!(asked.get() <= 16, "{} looks at the disk", asked.get());
    found
}

fuzz_target!(|content: &[u8]| {
    let found = parse(content);
    let lines = content.iter().filter(|b| **b == b'\n').count() + 1;
    assert_eq!(found.empty, content.is_empty());
    // At most each of `+list`, `exit 0` and vdelivermail's `delete`, the lines that are read as the shell does, and one that
    // decides.
    assert!(found.instructions.len() <= 12, "{:?}", found.instructions);
    let numbers = found.instructions.iter().map(|(number, _)| *number);
    assert!(numbers.clone().is_sorted_by(|a, b| a < b) && numbers.clone().all(|number| (1..=lines).contains(&number)));
    assert!(found.first_forward.is_none_or(|number| (1..=lines).contains(&number)));
    if found.blank_first || found.empty {
        assert_eq!(DotQmail { empty: false, blank_first: false, ..found }, DotQmail::default());
        return;
    }
    // Each line stands by itself: alone, it says what it says here, unless the file's paths were too many to look at.
    for (number, instruction) in &found.instructions {
        let line = content.split(|b| *b == b'\n').nth(number - 1).expect("the line is there");
        let alone = parse(line).instructions;
        let too_many = matches!(instruction, Instruction::Program(Program::Unknown(_) | Program::Line(_)));
        assert!(alone == [(1, instruction.clone())] || too_many, "{instruction:?}, alone {alone:?}");
    }
    // A comment in front moves every line by one.
    let moved = DotQmail {
        first_forward: found.first_forward.map(|number| number + 1),
        instructions: found.instructions.iter().map(|(number, what)| (number + 1, what.clone())).collect(),
        ..found
    };
    assert_eq!(parse(&[b"# note\n", content].concat()), moved);
    // Blanks at the ends of lines are cut, and neither comments nor forwards decide.
    let lines: Vec<&[u8]> = content.split(|b| *b == b'\n').collect();
    assert_eq!(parse(&lines.join(&b" \t\n"[..])), found);
    let behind = parse(&[content, b"\n# end\n+odd\n\n&joe@x.test\n"].concat());
    assert_eq!(behind.instructions, found.instructions);
    assert_eq!(behind.first_forward, found.first_forward.or(behind.first_forward));
});
