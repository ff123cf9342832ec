//! Records in order, and the tally of what they are.
//!
//! A [`Spec`] goes in; whole lines come out, into the caller's buffer, as fast as memory allows: no branch depends on
//! a record's content unless bad lines are asked for. Record `i` depends on the spec and on `i` alone, so it does not
//! matter how a stream is cut into calls, and the last records can be taken back.
//!
//! The loop is one free function, compiled once per shape, key distribution and absence of bad lines.

use crate::expectation::Expectation;
use crate::keys::{self, Alias, Cell, Pick, Uniform};
use crate::mix::{Words, base_of};
use crate::record::bad::{Fault, spoil};
use crate::record::order::Order;
use crate::record::wide::Wide;
use crate::record::{LANE_KEY, LANE_VERDICT, Layout};
use crate::spec::{Shape, Spec, SpecError};

/// Bytes to reserve at a time in [`Generator::fill`].
const FILL_BYTES: usize = 256 * 1024;

/// Writes the records of a [`Spec`], from the first on, and tallies them.
pub struct Generator {
    base: u64,
    cells: Vec<Cell>,
    layout: AnyLayout,
    pick: AnyPick,
    verdicts: Verdicts,
    scratch: Vec<u8>,
    expectation: Expectation,
}

enum AnyLayout {
    Order(Order),
    Wide(Wide),
}

enum AnyPick {
    Uniform(Uniform),
    Alias(Alias),
}

/// Which lines are bad: a 32-bit word below `malformed_below` is malformed, else below `missing_below` missing.
/// `0 <= malformed_below <= missing_below <= 2^32`.
#[derive(Clone, Copy)]
struct Verdicts {
    malformed_below: u64,
    missing_below: u64,
}

/// What a call of `fill_slice` wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    pub(crate) records: u64,
    pub(crate) bytes: usize,
}

impl Generator {
    /// A generator that stands before the first record.
    ///
    /// # Errors
    ///
    /// A field of the spec that is out of its range.
    pub fn new(spec: &Spec) -> Result<Self, SpecError> {
        spec.check()?;
        let share = |p: f64| (p * 2f64.powi(32)).round() as u64;
        Ok(Generator {
            base: base_of(spec.seed),
            cells: keys::cells(spec.keys),
            layout: match spec.shape {
                Shape::Order => AnyLayout::Order(Order),
                Shape::Wide => AnyLayout::Wide(Wide::new()),
            },
            pick: if spec.zipf == 0.0 {
                AnyPick::Uniform(Uniform { keys: spec.keys })
            } else {
                AnyPick::Alias(Alias::zipf(spec.keys, spec.zipf))
            },
            verdicts: Verdicts {
                malformed_below: share(spec.malformed),
                missing_below: share((spec.malformed + spec.missing).min(1.0)),
            },
            scratch: Vec::new(),
            expectation: Expectation::new(spec.keys),
        })
    }

    /// Appends the next `records` lines, each with its newline, to `buf`.
    pub fn fill(&mut self, buf: &mut Vec<u8>, records: u64) {
        let mut left = records;
        while left > 0 {
            let len = buf.len();
            let guess = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .saturating_mul(80);
            buf.resize(len + guess.clamp(2 * Wide::ROOM, FILL_BYTES), 0);
            let filled = self.fill_slice(&mut buf[len..], left);
            buf.truncate(len + filled.bytes);
            left -= filled.records;
        }
    }

    /// Records written so far: the index of the next one.
    pub fn position(&self) -> u64 {
        self.expectation.lines
    }

    /// What a correct counter reports for the records written so far.
    pub fn expectation(&self) -> &Expectation {
        &self.expectation
    }

    pub(crate) fn into_expectation(self) -> Expectation {
        self.expectation
    }

    /// Writes at most `records_max` lines to the start of `room`, as many as surely fit; at least one if `room` has
    /// 1 KiB. Bytes behind them may be overwritten.
    pub(crate) fn fill_slice(&mut self, room: &mut [u8], records_max: u64) -> Filled {
        let Generator {
            base,
            cells,
            layout,
            pick,
            verdicts,
            scratch,
            expectation,
        } = self;
        let tally = Tally {
            expectation,
            scratch,
        };
        match (layout, pick) {
            (AnyLayout::Order(layout), AnyPick::Uniform(pick)) => write_lines(
                room,
                records_max,
                *base,
                layout,
                pick,
                cells,
                *verdicts,
                tally,
            ),
            (AnyLayout::Order(layout), AnyPick::Alias(pick)) => write_lines(
                room,
                records_max,
                *base,
                layout,
                pick,
                cells,
                *verdicts,
                tally,
            ),
            (AnyLayout::Wide(layout), AnyPick::Uniform(pick)) => write_lines(
                room,
                records_max,
                *base,
                layout,
                pick,
                cells,
                *verdicts,
                tally,
            ),
            (AnyLayout::Wide(layout), AnyPick::Alias(pick)) => write_lines(
                room,
                records_max,
                *base,
                layout,
                pick,
                cells,
                *verdicts,
                tally,
            ),
        }
    }

    /// Takes back the last `records`: they are generated again next, and the tally no longer knows them.
    ///
    /// # Panics
    ///
    /// When fewer were generated.
    pub(crate) fn rewind(&mut self, records: u64) {
        let position = self.position();
        assert!(
            records <= position,
            "rewind by {records} at record {position}"
        );
        let target = position - records;
        // The tally of the records taken back comes from generating them once more, into an empty tally.
        let mut taken = Expectation::new(self.cells.len() as u64);
        taken.lines = target;
        std::mem::swap(&mut self.expectation, &mut taken);
        let mut room = vec![0; FILL_BYTES];
        while self.position() < position {
            self.fill_slice(&mut room, position - self.position());
        }
        std::mem::swap(&mut self.expectation, &mut taken);
        taken.lines -= target;
        self.expectation.subtract(&taken);
    }
}

/// Where `write_lines` notes what it wrote, and its spare buffer for bad lines.
struct Tally<'a> {
    expectation: &'a mut Expectation,
    scratch: &'a mut Vec<u8>,
}

/// Decides outside the loop whether lines can be bad at all.
#[allow(
    clippy::too_many_arguments,
    reason = "a hot loop takes plain arguments"
)]
fn write_lines<L: Layout, P: Pick>(
    room: &mut [u8],
    records_max: u64,
    base: u64,
    layout: &L,
    pick: &P,
    cells: &[Cell],
    verdicts: Verdicts,
    tally: Tally<'_>,
) -> Filled {
    if verdicts.missing_below == 0 {
        write_good(
            room,
            records_max,
            base,
            layout,
            pick,
            cells,
            tally.expectation,
        )
    } else {
        write_mixed(
            room,
            records_max,
            base,
            layout,
            pick,
            cells,
            verdicts,
            tally,
        )
    }
}

fn write_good<L: Layout, P: Pick>(
    room: &mut [u8],
    records_max: u64,
    base: u64,
    layout: &L,
    pick: &P,
    cells: &[Cell],
    expectation: &mut Expectation,
) -> Filled {
    let first = expectation.lines;
    let totals = &mut expectation.totals[..];
    let mut bytes = 0;
    let mut records = 0;
    while records < records_max && room.len() - bytes >= L::ROOM {
        let words = Words::of(base, first + records);
        let key = pick.pick(words.lane(LANE_KEY));
        bytes += layout.put(&mut room[bytes..], words, &cells[key]).len;
        totals[key] += 1;
        records += 1;
    }
    expectation.lines += records;
    expectation.counted += records;
    Filled { records, bytes }
}

#[allow(
    clippy::too_many_arguments,
    reason = "a hot loop takes plain arguments"
)]
fn write_mixed<L: Layout, P: Pick>(
    room: &mut [u8],
    records_max: u64,
    base: u64,
    layout: &L,
    pick: &P,
    cells: &[Cell],
    verdicts: Verdicts,
    tally: Tally<'_>,
) -> Filled {
    let Tally {
        expectation,
        scratch,
    } = tally;
    let first = expectation.lines;
    let mut bytes = 0;
    let mut records = 0;
    while records < records_max && room.len() - bytes >= L::ROOM {
        let words = Words::of(base, first + records);
        let key = pick.pick(words.lane(LANE_KEY));
        let here = &mut room[bytes..];
        let placed = layout.put(here, words, &cells[key]);
        let verdict = words.lane(LANE_VERDICT);
        let (share, kind) = (verdict >> 32, verdict as u32);
        bytes += if share >= verdicts.missing_below {
            expectation.totals[key] += 1;
            expectation.counted += 1;
            placed.len
        } else if share < verdicts.malformed_below {
            expectation.malformed += 1;
            spoil(Fault::Malformed, here, &placed, kind, scratch)
        } else {
            expectation.missing += 1;
            spoil(Fault::Missing, here, &placed, kind, scratch)
        };
        records += 1;
    }
    expectation.lines += records;
    Filled { records, bytes }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::Value;

    use super::*;

    fn bytes_of(spec: &Spec, records: u64, step: u64) -> (Vec<u8>, Generator) {
        let mut generator = Generator::new(spec).expect("a valid spec");
        let mut bytes = Vec::new();
        while generator.position() < records {
            let left = records - generator.position();
            generator.fill(&mut bytes, step.min(left));
        }
        (bytes, generator)
    }

    fn specs() -> Vec<Spec> {
        let plain = Spec::default();
        vec![
            plain.clone(),
            Spec {
                shape: Shape::Wide,
                ..plain.clone()
            },
            Spec {
                keys: 3,
                seed: 7,
                ..plain.clone()
            },
            Spec {
                keys: 1_000,
                zipf: 1.1,
                ..plain.clone()
            },
            Spec {
                malformed: 0.05,
                missing: 0.1,
                ..plain.clone()
            },
            Spec {
                shape: Shape::Wide,
                keys: 50,
                zipf: 0.8,
                malformed: 0.3,
                missing: 0.3,
                seed: 9,
            },
            Spec {
                malformed: 1.0,
                ..plain.clone()
            },
            Spec {
                missing: 1.0,
                ..plain
            },
        ]
    }

    /// The slow, simple oracle: parses every line and looks at `status`.
    fn recount(bytes: &[u8]) -> (Expectation, Vec<(String, u64)>) {
        let mut ledger = Expectation::new(0);
        let mut totals: HashMap<String, u64> = HashMap::new();
        for line in bytes
            .strip_suffix(b"\n")
            .expect("ends in a newline")
            .split(|&byte| byte == b'\n')
        {
            ledger.lines += 1;
            match serde_json::from_slice::<Value>(line) {
                Err(_) => ledger.malformed += 1,
                Ok(value) => match value.get("status") {
                    Some(Value::String(status)) => {
                        ledger.counted += 1;
                        *totals.entry(status.clone()).or_default() += 1;
                    }
                    Some(Value::Object(_) | Value::Array(_)) | None => ledger.missing += 1,
                    Some(scalar) => panic!("{scalar} is not generated"),
                },
            }
        }
        let mut rows: Vec<_> = totals.into_iter().collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        (ledger, rows)
    }

    #[test]
    fn expectation_is_what_a_slow_recount_finds() {
        for spec in specs() {
            let (bytes, generator) = bytes_of(&spec, 5_000, 5_000);
            let expected = generator.expectation();
            let (ledger, rows) = recount(&bytes);
            assert_eq!(expected.lines, 5_000, "{spec:?}");
            let columns = |e: &Expectation| [e.lines, e.counted, e.missing, e.malformed];
            assert_eq!(columns(expected), columns(&ledger), "{spec:?}");
            assert_eq!(expected.ranked(), rows, "{spec:?}");
        }
    }

    #[test]
    fn bytes_do_not_depend_on_how_the_stream_is_cut() {
        for spec in specs() {
            let (whole, generator) = bytes_of(&spec, 3_000, 3_000);
            for step in [1, 7, 1_000] {
                let (cut, other) = bytes_of(&spec, 3_000, step);
                assert!(whole == cut, "{spec:?} in steps of {step}");
                assert_eq!(generator.expectation(), other.expectation());
            }
        }
    }

    #[test]
    fn seeds_differ() {
        let spec = Spec::default();
        let other = Spec {
            seed: 2,
            ..spec.clone()
        };
        assert_ne!(bytes_of(&spec, 10, 10).0, bytes_of(&other, 10, 10).0);
    }

    #[test]
    fn bytes_stay_what_they_were() {
        let (bytes, _) = bytes_of(&Spec::default(), 1, 1);
        let first = r#"{"order_id": "9eae15656eadf0af3381a7fc81b708ce", "status": "DELIVERED"}"#;
        assert_eq!(String::from_utf8_lossy(&bytes), format!("{first}\n"));
    }

    #[test]
    fn rewinding_takes_back_bytes_and_tally() {
        for spec in specs() {
            let (whole, generator) = bytes_of(&spec, 6_000, 6_000);
            let (mut cut, mut other) = bytes_of(&spec, 5_000, 5_000);
            other.rewind(4_400);
            let kept = memchr::memchr_iter(b'\n', &cut)
                .nth(599)
                .expect("600 lines")
                + 1;
            cut.truncate(kept);
            assert_eq!(
                other.expectation(),
                bytes_of(&spec, 600, 600).1.expectation()
            );
            other.fill(&mut cut, 5_400);
            assert!(cut == whole, "{spec:?}");
            assert_eq!(other.expectation(), generator.expectation());
        }
    }

    #[test]
    fn filling_a_slice_stops_where_a_record_may_not_fit() {
        let mut generator = Generator::new(&Spec {
            shape: Shape::Wide,
            ..Spec::default()
        })
        .expect("valid");
        let mut room = [0; 2_000];
        let filled = generator.fill_slice(&mut room, u64::MAX);
        assert_eq!(filled.records, 2);
        assert_eq!(memchr::memchr_iter(b'\n', &room[..filled.bytes]).count(), 2);
        assert_eq!(
            generator.fill_slice(&mut room[..10], 1),
            Filled {
                records: 0,
                bytes: 0
            }
        );
    }
}
