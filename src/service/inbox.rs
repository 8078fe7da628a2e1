//! What was heard since the last rebuild began: what the next one has to look at, and how the log calls its reason. Pure:
//! no clock, no thread, no file.

use std::fmt::Write;

use crate::pipe::notice::Notice;
use crate::rebuild::memory::Scope;
use crate::service::schedule::Cause;
use crate::text::Shown;

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
    /// Whether a watch saw a change.
    is_seen: bool,
    /// Whether a trigger came through a pipe.
    is_touched: bool,
}

impl Inbox {
    /// The next rebuild has to look at this, too.
    pub fn add(&mut self, scope: Scope) {
        self.scope.add(scope);
    }

    /// A watch saw a change, at which the next rebuild has to look.
    pub fn see(&mut self, scope: Scope) {
        self.is_seen = true;
        self.add(scope);
    }

    /// A trigger that says nothing came through a pipe: the next rebuild looks at everything.
    pub fn touch(&mut self) {
        self.is_touched = true;
        self.add(Scope::All);
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
        let Inbox { scope, notice, heard, is_seen, is_touched } = std::mem::take(self);
        let mut story = match (cause, notice) {
            (Cause::Trigger, Some(notice)) => notice.to_string(),
            (Cause::Trigger, None) if is_seen && !is_touched => watched(&scope),
            _ => cause.word(),
        };
        if heard > MAX_LOGGED {
            let _ = write!(story, " and {} more notices", heard - 1);
        }
        (scope, story)
    }
}

/// What a watch saw, for the log: the first home directory, when the change is in some.
fn watched(scope: &Scope) -> String {
    let Scope::Some { homes, .. } = scope else { return "watch".to_owned() };
    let mut homes = homes.iter();
    let first = homes.next().map(|home| format!("watch:{}", Shown(home)));
    match (first, homes.len()) {
        (None, _) => "watch".to_owned(),
        (Some(first), 0) => first,
        (Some(first), more) => format!("{first} and {more} more"),
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
    fn a_change_that_a_watch_saw_is_called_so_with_its_home() {
        let mut inbox = Inbox::default();
        let mut story = |see: &dyn Fn(&mut Inbox)| {
            see(&mut inbox);
            inbox.take(Cause::Trigger).1
        };
        assert_eq!(story(&|inbox| inbox.see(Scope::home(b"/a b".to_vec()))), "watch:/a b");
        let two = |inbox: &mut Inbox| {
            inbox.see(Scope::home(b"/b".to_vec()));
            inbox.see(Scope::home(b"/a".to_vec()));
        };
        assert_eq!(story(&two), "watch:/a and 1 more");
        assert_eq!(story(&|inbox| inbox.see(Scope::All)), "watch", "a control file");
        assert_eq!(story(&|inbox| inbox.see(Scope::default())), "watch", "a published table");
        // What was typed counts more.
        let typed = |inbox: &mut Inbox| {
            inbox.see(Scope::home(b"/a".to_vec()));
            inbox.touch();
        };
        assert_eq!(story(&typed), "trigger");
        let told = |inbox: &mut Inbox| {
            inbox.see(Scope::home(b"/a".to_vec()));
            inbox.heed(notices(1), 0);
        };
        assert_eq!(story(&told), "mod_user:joe@a.test");
    }

    #[test]
    fn notices_that_were_not_kept_make_the_next_rebuild_look_at_everything() {
        let mut inbox = Inbox::default();
        inbox.heed(notices(1), 1);
        assert_eq!(inbox.take(Cause::Trigger).0, Scope::All);
    }
}
