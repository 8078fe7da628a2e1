//! The programs of qmail that compile a text of the host: which file each reads and writes, and whether the compiled file
//! is behind. vpopmail runs both too, and each writes one temporary file with a fixed name.

use super::assign::{self, Assignments};
use super::control::Control;
use super::{Host, Layout};
use crate::error::Error;
use crate::root::Stamp;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// qmail-newu(8) compiles users/assign.
    Newu,
    /// qmail-newmrh(8) compiles control/morercpthosts.
    Newmrh,
}

/// What stat(2) says of a text and of the compiled file.
pub type Stamps = [Option<Stamp>; 2];

impl Compiler {
    /// All of them.
    pub const ALL: [Compiler; 2] = [Compiler::Newu, Compiler::Newmrh];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Compiler::Newu => "qmail-newu",
            Compiler::Newmrh => "qmail-newmrh",
        }
    }

    /// The program, as the host names it.
    pub fn program(self, layout: &Layout) -> Vec<u8> {
        [&layout.qmail[..], b"/bin/", self.name().as_bytes()].concat()
    }

    /// The text and the compiled file, as the host names them.
    pub fn files(self, layout: &Layout) -> [Vec<u8>; 2] {
        let file = |name: &str| [&layout.qmail[..], b"/", name.as_bytes()].concat();
        match self {
            Compiler::Newu => [file("users/assign"), assign::compiled_file(layout, &mut Vec::new())],
            Compiler::Newmrh => ["control/morercpthosts", "control/morercpthosts.cdb"].map(file),
        }
    }

    /// How the compiled file of this host differs from the text, in words; `None` when it does not.
    pub fn behind(self, host: &Host) -> Option<&String> {
        match self {
            Compiler::Newu => host.assignments.behind.as_ref(),
            Compiler::Newmrh => host.control.morercpthosts_behind.as_ref(),
        }
    }

    /// Those whose compiled file differs from the text.
    pub fn behind_of(host: &Host) -> Vec<Compiler> {
        Compiler::ALL.into_iter().filter(|compiler| compiler.behind(host).is_some()).collect()
    }

    /// How it differs, read now.
    ///
    /// # Errors
    /// A file that cannot be read, or that the program refuses.
    pub fn look(self, layout: &Layout) -> Result<Option<String>, Error> {
        match self {
            Compiler::Newu => Assignments::read(layout, &mut Vec::new()).map(|read| read.behind),
            Compiler::Newmrh => {
                Control::read(&layout.root, &layout.qmail, &mut Vec::new()).map(|read| read.morercpthosts_behind)
            }
        }
    }

    /// What both files are now. A file that is not there, or cannot be opened, has none.
    pub fn stamps(self, layout: &Layout) -> Stamps {
        self.files(layout).map(|file| {
            let opened = layout.root.open(&file).ok().flatten()?;
            Stamp::of_file(opened.into_file()).ok()
        })
    }
}
