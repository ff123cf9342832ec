//! The watermark: up to which time no more records are expected.

use crate::lane::Standing;

/// The latest time that came of each source, in one batch or in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latest(Vec<(usize, i64)>);

impl Latest {
    /// A record of this time came of a source.
    pub fn record(&mut self, source: usize, nanos: i64) {
        match self.0.iter_mut().find(|(known, _)| *known == source) {
            Some((_, latest)) => *latest = nanos.max(*latest),
            None => self.0.push((source, nanos)),
        }
    }

    /// What came elsewhere, too.
    pub fn merge(&mut self, other: &Latest) {
        for &(source, nanos) in &other.0 {
            self.record(source, nanos);
        }
    }

    fn of(&self, source: usize) -> Option<i64> {
        let latest = self.0.iter().find(|(known, _)| *known == source);
        latest.map(|&(_, nanos)| nanos)
    }
}

/// From which sources more may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// From some.
    Some,
    /// From none, of which some are silent.
    NoneIsHeard,
    /// From none: all are over.
    NoneIsOver,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Watermark {
    lateness_nanos: u64,
    sources: usize,
    latest: Latest,
    /// Where it stands; it never goes back.
    at: i64,
}

impl Watermark {
    pub(super) fn new(lateness_nanos: u64, sources: usize) -> Watermark {
        Watermark {
            lateness_nanos,
            sources,
            latest: Latest::default(),
            at: i64::MIN,
        }
    }

    /// The latest time of all records.
    pub(super) fn latest(&self) -> Option<i64> {
        self.latest.0.iter().map(|&(_, nanos)| nanos).max()
    }

    /// The latest time of each source, by its number.
    pub(super) fn latest_by_source(&self) -> &[(usize, i64)] {
        &self.latest.0
    }

    /// Goes on where it stood in an earlier run.
    pub(super) fn restore(&mut self, at: i64, latest: impl Iterator<Item = (usize, i64)>) {
        self.at = at;
        latest.for_each(|(source, nanos)| self.latest.record(source, nanos));
    }

    pub(super) fn at(&self) -> i64 {
        self.at
    }

    /// Moves it on by what a batch brought: to the least of the latest times of the sources from which
    /// more may come.
    pub(super) fn advance(&mut self, latest: &Latest, standing: &[Standing]) -> Awaited {
        self.latest.merge(latest);
        let awaited = (0..self.sources).filter(|&source| {
            let standing = standing.get(source).copied();
            matches!(standing, None | Some(Standing::Active | Standing::Holding))
        });
        let times = awaited.map(|source| match standing.get(source) {
            Some(Standing::Holding) => None,
            _ => self.latest.of(source),
        });
        // A source of which nothing came, or one of several streams, holds it where it is.
        let Some(least) = times.min() else {
            return match standing.contains(&Standing::Idle) {
                true => Awaited::NoneIsHeard,
                false => Awaited::NoneIsOver,
            };
        };
        self.raise(least);
        Awaited::Some
    }

    /// Moves it to the least of the latest times of all sources, which are over. Returns where it stands then.
    pub(super) fn conclude(&mut self) -> i64 {
        self.raise(self.latest.0.iter().map(|&(_, nanos)| nanos).min());
        self.at
    }

    fn raise(&mut self, least: Option<i64>) {
        if let Some(least) = least {
            let at = least.saturating_sub_unsigned(self.lateness_nanos);
            self.at = self.at.max(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_source_from_which_more_may_come_holds_it() {
        use Standing::{Active, Holding, Idle, Over};
        let latest = |times: &[(usize, i64)]| Latest(times.to_vec());
        let mut watermark = Watermark::new(10, 2);
        let mut step = |times: &[(usize, i64)], standing: [Standing; 2]| {
            let awaited = watermark.advance(&latest(times), &standing);
            (awaited == Awaited::Some).then_some(watermark.at())
        };
        assert_eq!(step(&[(0, 100)], [Active, Active]), Some(i64::MIN));
        assert_eq!(step(&[(1, 50)], [Active, Active]), Some(40));
        assert_eq!(step(&[(1, 200), (0, 90)], [Active, Active]), Some(90));
        assert_eq!(step(&[], [Idle, Active]), Some(190));
        assert_eq!(
            step(&[(0, 120)], [Active, Active]),
            Some(190),
            "it never goes back"
        );
        assert_eq!(step(&[(0, 900), (1, 800)], [Active, Holding]), Some(190));
        assert_eq!(step(&[], [Over, Active]), Some(790));
        assert_eq!(step(&[], [Over, Idle]), None);
        assert_eq!(watermark.conclude(), 790);
    }
}
