//! Who is here: everybody who has signed in and has a page open.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// How many pages everybody has open.
type Pages = BTreeMap<Arc<str>, usize>;

/// Who is here.
#[derive(Clone, Debug, Default)]
pub(super) struct Company(watch::Sender<Pages>);

/// Somebody has a page open; dropped, it is closed.
#[derive(Debug)]
pub(super) struct Present {
    company: Company,
    name: Arc<str>,
}

impl Company {
    /// Somebody opens a page.
    pub(super) fn enter(&self, name: Arc<str>) -> Present {
        self.0.send_modify(|pages| *pages.entry(Arc::clone(&name)).or_default() += 1);
        Present { company: self.clone(), name }
    }

    /// Changes whenever somebody comes or goes.
    pub(super) fn watch(&self) -> watch::Receiver<Pages> {
        self.0.subscribe()
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.company.0.send_modify(|pages| {
            if let Some(count) = pages.get_mut(&self.name) {
                *count -= 1;
            }
            pages.retain(|_, count| *count > 0);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_two_pages_open_is_here_until_both_are_closed() {
        let company = Company::default();
        let names = || company.0.borrow().keys().map(ToString::to_string).collect::<Vec<_>>();
        let (first, second) = (company.enter("anna".into()), company.enter("anna".into()));
        let bert = company.enter("bert".into());
        assert_eq!(names(), ["anna", "bert"]);
        drop(first);
        drop(bert);
        assert_eq!(names(), ["anna"]);
        drop(second);
        assert!(names().is_empty());
    }
}
