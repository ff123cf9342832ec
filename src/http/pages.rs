//! Pages of what is in the order of time, from two places: what is kept in memory, and the history behind it.
//!
//! A page is asked for by the places that it is to lie between. First it is told what the history has to give
//! ([`Asked::of_history`]), then both are put together ([`Asked::put`]).

use std::sync::Arc;

use crate::state::Page;

/// What is asked for, in places: numbers of batches, ends of windows in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Behind this place: then the first are on the page, and the next one is later.
    pub(super) after: Option<i64>,
    /// Before this place. Without `after` the last are on the page, and the next one is earlier.
    pub(super) before: Option<i64>,
    /// At the most so many.
    pub(super) limit: usize,
}

impl Asked {
    /// What to read of the history, if the page needs it: one more than there is room for, to know whether there are more.
    pub(super) fn of_history<T>(&self, kept: &[Arc<T>], place: impl Fn(&T) -> i64) -> Option<Page> {
        let first = kept.first().map(|item| place(item));
        let before = [self.before, first].into_iter().flatten().min();
        let limit = match self.after {
            Some(_) => self.limit + 1,
            None => (self.limit + 1).saturating_sub(self.of(kept, &place).len()),
        };
        // Nothing lies between two places beside each other.
        let is_empty = |(after, before): (i64, i64)| before <= after.saturating_add(1);
        let is_needed = limit > 0 && !self.after.zip(before).is_some_and(is_empty);
        is_needed.then_some(Page {
            after: self.after,
            before,
            limit,
        })
    }

    /// The page, of what was read of the history and what is kept, and whether there are more beyond it.
    pub(super) fn put<T>(
        &self,
        mut page: Vec<Arc<T>>,
        kept: &[Arc<T>],
        place: impl Fn(&T) -> i64,
    ) -> (Vec<Arc<T>>, bool) {
        page.extend_from_slice(self.of(kept, &place));
        let beyond = page.len().saturating_sub(self.limit);
        match self.after {
            Some(_) => page.truncate(self.limit),
            None => drop(page.drain(..beyond)),
        }
        (page, beyond > 0)
    }

    /// Where the next page begins, if there are more: `after` or `before`, and the place.
    pub(super) fn next<T>(
        &self,
        page: &[Arc<T>],
        has_more: bool,
        place: impl Fn(&T) -> i64,
    ) -> Option<(&'static str, i64)> {
        let (bound, edge) = match self.after {
            Some(_) => ("after", page.last()),
            None => ("before", page.first()),
        };
        edge.filter(|_| has_more).map(|item| (bound, place(item)))
    }

    /// Those that are asked for of these.
    fn of<'t, T>(&self, kept: &'t [Arc<T>], place: &impl Fn(&T) -> i64) -> &'t [Arc<T>] {
        let behind = |bound: i64| kept.partition_point(|item| place(item) <= bound);
        let end = self.before.map_or(kept.len(), |before| {
            kept.partition_point(|item| place(item) < before)
        });
        let start = self.after.map_or(0, behind).min(end);
        &kept[start..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for a page of 1 to 10, of which those from 6 on are kept; tells what was read, and of what.
    fn page(after: Option<i64>, before: Option<i64>, limit: usize) -> (Vec<i64>, bool, usize) {
        let all = |items: std::ops::RangeInclusive<i64>| items.map(Arc::new).collect::<Vec<_>>();
        let kept = all(6..=10);
        let asked = Asked {
            after,
            before,
            limit,
        };
        let history = asked.of_history(&kept, |&item| item).map(|page| {
            let (after, before) = (page.after.unwrap_or(0), page.before.unwrap_or(100));
            assert!(before <= 6, "what is kept is not read: {page:?}");
            let mut found = all(1..=5);
            found.retain(|item| **item > after && **item < before);
            match page.after {
                Some(_) => found.truncate(page.limit),
                None => drop(found.drain(..found.len().saturating_sub(page.limit))),
            }
            found
        });
        let read = history.as_ref().map_or(0, Vec::len);
        let (page, has_more) = asked.put(history.unwrap_or_default(), &kept, |&item| item);
        (page.iter().map(|item| **item).collect(), has_more, read)
    }

    #[test]
    fn the_last_are_on_the_page_and_the_history_is_asked_if_they_do_not_do() {
        assert_eq!(page(None, None, 3), (vec![8, 9, 10], true, 0));
        assert_eq!(page(None, None, 5), (vec![6, 7, 8, 9, 10], true, 1));
        assert_eq!(page(None, Some(9), 5), (vec![4, 5, 6, 7, 8], true, 3));
        assert_eq!(page(None, Some(6), 3), (vec![3, 4, 5], true, 4));
        assert_eq!(page(None, Some(4), 3), (vec![1, 2, 3], false, 3));
        assert_eq!(page(None, Some(4), 2), (vec![2, 3], true, 3));
        assert_eq!(page(None, None, 100).0.len(), 10);
        assert_eq!(page(None, Some(1), 3), (vec![], false, 0));
    }

    #[test]
    fn the_first_behind_a_place_are_on_the_page() {
        assert_eq!(page(Some(0), None, 3), (vec![1, 2, 3], true, 4));
        assert_eq!(page(Some(3), None, 4), (vec![4, 5, 6, 7], true, 2));
        assert_eq!(page(Some(5), None, 5), (vec![6, 7, 8, 9, 10], false, 0));
        assert_eq!(page(Some(8), None, 5), (vec![9, 10], false, 0));
        assert_eq!(page(Some(10), None, 5), (vec![], false, 0));
        assert_eq!(page(Some(2), Some(8), 3), (vec![3, 4, 5], true, 3));
        assert_eq!(page(Some(2), Some(4), 3), (vec![3], false, 1));
        assert_eq!(page(Some(7), Some(3), 3), (vec![], false, 0));
        assert_eq!(page(Some(i64::MAX), None, 3), (vec![], false, 0));
    }

    #[test]
    fn without_anything_kept_all_is_of_the_history() {
        let asked = Asked {
            after: None,
            before: None,
            limit: 2,
        };
        let none: [Arc<i64>; 0] = [];
        let page = asked.of_history(&none, |&item| item);
        let wanted = Page {
            after: None,
            before: None,
            limit: 3,
        };
        assert_eq!(page, Some(wanted));
        let read = [1, 2, 3].map(Arc::new).to_vec();
        let (page, has_more) = asked.put(read, &none, |&item| item);
        assert_eq!((page, has_more), ([2, 3].map(Arc::new).to_vec(), true));
    }
}
