//! What was heard since the last rebuild began: what the next one has to look at, and how the log calls its reason. Pure:
//! no clock, no thread, no file.

use std::fmt::Write;

use crate::pipe::notice::Notice;
use crate::rebuild::memory::Scope;
use crate::service::schedule::Cause;

/// How many notices are logged before each rebuild; the rest is counted.
const MAX_LOGGED: usize = 5;

/// The state machine.
#[derive(Debug, Default)]
pub struct Inbox {
    /// What the next rebuild has to look at.
    scope: Scope,
    /// The last notice.
    notice: Option<Notice>,
    /// How many notices were heard.
    heard: usize,
}

impl Inbox {
    /// The next rebuild has to look at this, too.
    pub fn add(&mut self, scope: Scope) {
        self.scope.add(scope);
    }

    /// Counts notices, of which `more` were not kept; those that the log tells of.
    pub fn count<'n>(&mut self, notices: &'n [Notice], more: usize) -> &'n [Notice] {
        let room = MAX_LOGGED.saturating_sub(self.heard);
        self.heard += notices.len() + more;
        &notices[..notices.len().min(room)]
    }

    /// The next rebuild looks at what these notices are about; at everything, when there were `more`.
    pub fn heed(&mut self, notices: Vec<Notice>, more: usize) {
        if more > 0 {
            self.add(Scope::All);
        }
        for notice in &notices {
            self.add(notice.domain().map_or(Scope::All, |domain| Scope::domain(domain.to_vec())));
        }
        self.notice = notices.into_iter().last();
    }

    /// A rebuild begins for this cause: what it has to look at, and its reason as the log has it.
    pub fn take(&mut self, cause: Cause) -> (Scope, String) {
        let Inbox { scope, notice, heard } = std::mem::take(self);
        let mut story = match (cause, notice) {
            (Cause::Trigger, Some(notice)) => notice.to_string(),
            _ => cause.word(),
        };
        if heard > MAX_LOGGED {
            let _ = write!(story, " and {} more notices", heard - 1);
        }
        (scope, story)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notices(number: usize) -> Vec<Notice> {
        vec![Notice::parse(b"mod_user\tjoe@a.test").unwrap(); number]
    }

    #[test]
    fn a_storm_of_notices_is_counted_and_its_first_five_are_logged() {
        let mut inbox = Inbox::default();
        assert_eq!(inbox.count(&notices(3), 0).len(), 3);
        assert_eq!(inbox.count(&notices(10), 7).len(), 2);
        assert_eq!(inbox.count(&notices(1), 0).len(), 0);
        inbox.heed(notices(1), 0);
        let (scope, story) = inbox.take(Cause::Trigger);
        assert_eq!(scope, Scope::domain(b"a.test".to_vec()));
        assert!(story.ends_with(" and 20 more notices"), "{story}");
        // All of that is over.
        assert_eq!(inbox.take(Cause::Trigger), (Scope::default(), "trigger".to_owned()));
    }

    #[test]
    fn notices_that_were_not_kept_make_the_next_rebuild_look_at_everything() {
        let mut inbox = Inbox::default();
        inbox.heed(notices(1), 1);
        assert_eq!(inbox.take(Cause::Trigger).0, Scope::All);
    }
}
