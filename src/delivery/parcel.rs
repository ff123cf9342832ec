//! The reports of one batch, packed: what waits for a sink, in memory or in the state file.
//!
//! The merge packs what it has sorted; a courier unpacks it into the same reports that the console's sinks see,
//! with as many rows as its sink wants. Packed, a row takes its key's bytes and some six more, so a batch of a
//! million keys is some 16 MB and is packed in 20 ms; nothing is parsed, and a key comes out byte for byte.
//!
//! The format is ours alone, but it outlives the program that wrote it: its first byte is its version. Numbers are
//! seven bits a byte, the lowest first; times are eight bytes.

use std::io;

use crate::clock::Timestamp;
use crate::decimal::Decimal;
use crate::key::{KeyKind, KeyRef};
use crate::ledger::Ledger;
use crate::sink::{BatchReport, Hidden, Row, RowSums, Rows, TotalsReport, WindowReport};
use crate::window::{Trend, WindowSpec};

/// The version of the format.
const VERSION: u8 = 1;

/// Version, batch, start, end.
const HEADER_BYTES: usize = 1 + 3 * 8;

/// What a report begins with.
const BATCH: u8 = 1;
const WINDOW: u8 = 2;
const TOTALS: u8 = 3;

/// The reports of one batch: its own, its windows', the totals behind the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    bytes: Vec<u8>,
}

/// Which reports a sink wants, and how many rows of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Batches with their rows.
    pub batches: bool,
    /// Windows.
    pub windows: bool,
    /// The totals at the end.
    pub totals: bool,
    /// Batches' ledgers, with rows or without.
    pub ledger: bool,
    /// Rows of a report; `None`: all.
    pub top: Option<usize>,
}

impl Choice {
    /// Everything.
    pub const ALL: Choice = Choice {
        batches: true,
        windows: true,
        totals: true,
        ledger: true,
        top: None,
    };
}

/// One report of a parcel.
#[derive(Clone, Copy, Debug)]
pub enum Report<'a> {
    /// The batch; always the first, except by event time, where there is none.
    Batch(BatchReport<'a>),
    /// A window that it closed, or changed.
    Window(WindowReport<'a>),
    /// The totals, if the batch was a run's last.
    Totals(TotalsReport<'a>),
}

impl Report<'_> {
    /// The rows.
    pub fn rows(&self) -> &Rows<'_> {
        match self {
            Report::Batch(report) => &report.counts,
            Report::Window(report) => &report.counts,
            Report::Totals(report) => &report.totals,
        }
    }
}

/// Packs reports.
#[derive(Debug, Default)]
pub struct Packer {
    /// Empty between two parcels.
    out: Vec<u8>,
}

impl Packer {
    /// Begins the parcel of a batch.
    pub fn begin(&mut self, batch: u64, start: Timestamp, end: Timestamp) {
        self.out.clear();
        self.out.push(VERSION);
        self.out.extend(batch.to_le_bytes());
        self.time(start);
        self.time(end);
    }

    /// Adds the batch's own report, without latencies and lag.
    pub fn batch(&mut self, report: &BatchReport<'_>) {
        self.out.push(BATCH);
        self.ledger(&report.ledger);
        self.rows(&report.counts);
    }

    /// Adds a window's report.
    pub fn window(&mut self, report: &WindowReport<'_>) {
        self.out.push(WINDOW);
        self.number(report.spec.length_nanos);
        self.number(report.spec.slide_nanos);
        for time in [report.start, report.end, report.covered.0, report.covered.1] {
            self.time(time);
        }
        self.out.push(u8::from(report.is_final));
        self.rows(&report.counts);
        self.out.push(u8::from(report.trending.is_some()));
        let trends = report.trending.unwrap_or_default();
        self.number(trends.len() as u64);
        for trend in trends {
            self.key(trend.key);
            self.number(trend.count);
            self.number(trend.previous);
        }
    }

    /// Adds the totals.
    pub fn totals(&mut self, report: &TotalsReport<'_>) {
        self.out.push(TOTALS);
        self.time(report.end);
        self.ledger(&report.ledger);
        self.rows(&report.totals);
    }

    /// The parcel, unless nothing was added to it.
    pub fn finish(&mut self) -> Option<Parcel> {
        let bytes = std::mem::take(&mut self.out);
        (bytes.len() > HEADER_BYTES).then_some(Parcel { bytes })
    }

    fn ledger(&mut self, ledger: &Ledger) {
        for (_, figure) in ledger.columns() {
            self.number(figure);
        }
        self.number(ledger.unsummed);
    }

    /// The rows' length in bytes stands before them, so that a reader can pass over them.
    fn rows(&mut self, rows: &Rows<'_>) {
        let has_sums = rows.shown.first().is_some_and(|row| row.sums.is_some());
        self.out.push(u8::from(has_sums));
        self.number(rows.shown.len() as u64);
        self.number(rows.hidden.keys);
        self.number(rows.hidden.count);
        self.out.push(u8::from(rows.hidden.sum.is_some()));
        if let Some(sum) = &rows.hidden.sum {
            self.sum(sum);
        }
        let length_at = self.out.len();
        self.out.extend(0u64.to_le_bytes());
        let begin = self.out.len();
        for row in rows.shown {
            self.key(row.key);
            self.number(row.count);
            self.number(row.total);
            if let Some(sums) = &row.sums {
                self.sum(sums.sum);
                self.sum(sums.total);
            }
        }
        let length = (self.out.len() - begin) as u64;
        self.out[length_at..begin].copy_from_slice(&length.to_le_bytes());
    }

    fn key(&mut self, key: KeyRef<'_>) {
        self.out.push(key.kind as u8);
        self.bytes(key.bytes);
    }

    fn sum(&mut self, sum: &Decimal) {
        self.bytes(sum.to_string().as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    fn time(&mut self, time: Timestamp) {
        self.out.extend(time.as_nanos().to_le_bytes());
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.out.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.out.push(number as u8);
    }
}

impl Parcel {
    /// The parcel with these bytes, as they were saved.
    ///
    /// # Errors
    /// If a later version of the program wrote it.
    pub fn from_bytes(bytes: Vec<u8>) -> io::Result<Parcel> {
        match bytes.first() {
            Some(&VERSION) if bytes.len() >= HEADER_BYTES => Ok(Parcel { bytes }),
            _ => Err(damaged()),
        }
    }

    /// As it is saved.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The batch's number.
    pub fn batch(&self) -> u64 {
        u64::from_le_bytes(self.header(0))
    }

    /// When the batch began.
    pub fn start(&self) -> Timestamp {
        Timestamp::from_nanos(i64::from_le_bytes(self.header(1)))
    }

    /// When it ended.
    pub fn end(&self) -> Timestamp {
        Timestamp::from_nanos(i64::from_le_bytes(self.header(2)))
    }

    /// What it is known by, whenever it is handed over, among all parcels of a job.
    pub fn key(&self, job: &str) -> String {
        format!("{job}/{}/{}", self.start().as_nanos(), self.batch())
    }

    /// Shows each of the reports that are wanted.
    ///
    /// # Errors
    /// What `show` answers, and [`io::ErrorKind::InvalidData`] if the parcel is damaged.
    pub fn each(
        &self,
        choice: &Choice,
        mut show: impl FnMut(&Report<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut reader = Unpacker {
            rest: &self.bytes[HEADER_BYTES..],
        };
        while let Some((&tag, rest)) = reader.rest.split_first() {
            reader.rest = rest;
            match tag {
                BATCH => self.show_batch(&mut reader, choice, &mut show)?,
                WINDOW => show_window(&mut reader, choice, &mut show)?,
                TOTALS => show_totals(&mut reader, choice, &mut show)?,
                _ => return Err(damaged()),
            }
        }
        Ok(())
    }

    fn show_batch(
        &self,
        reader: &mut Unpacker<'_>,
        choice: &Choice,
        show: &mut impl FnMut(&Report<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let ledger = reader.ledger()?;
        let mut rows = reader.rows()?;
        if !choice.batches {
            rows = PackedRows::default();
        }
        if !choice.batches && !choice.ledger {
            return Ok(());
        }
        rows.show(choice.top, |counts| {
            show(&Report::Batch(BatchReport {
                batch: self.batch(),
                start: self.start(),
                end: self.end(),
                ledger,
                counts,
                totals: None,
                latency: None,
                lag: &[],
            }))
        })
    }

    fn header<const N: usize>(&self, nth: usize) -> [u8; N] {
        let at = 1 + nth * N;
        *self.bytes[at..]
            .first_chunk()
            .expect("a parcel has its header")
    }
}

fn show_window(
    reader: &mut Unpacker<'_>,
    choice: &Choice,
    show: &mut impl FnMut(&Report<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let spec = WindowSpec {
        length_nanos: reader.number()?,
        slide_nanos: reader.number()?,
    };
    let (start, end) = (reader.time()?, reader.time()?);
    let covered = (reader.time()?, reader.time()?);
    let is_final = reader.byte()? != 0;
    let rows = reader.rows()?;
    let has_trends = reader.byte()? != 0;
    let mut trends = Vec::new();
    for _ in 0..reader.number()? {
        trends.push(Trend {
            key: reader.key()?,
            count: reader.number()?,
            previous: reader.number()?,
        });
    }
    if !choice.windows {
        return Ok(());
    }
    rows.show(choice.top, |counts| {
        show(&Report::Window(WindowReport {
            spec,
            start,
            end,
            covered,
            is_final,
            counts,
            trending: has_trends.then_some(&trends),
        }))
    })
}

fn show_totals(
    reader: &mut Unpacker<'_>,
    choice: &Choice,
    show: &mut impl FnMut(&Report<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let end = reader.time()?;
    let ledger = reader.ledger()?;
    let rows = reader.rows()?;
    if !choice.totals {
        return Ok(());
    }
    rows.show(choice.top, |totals| {
        show(&Report::Totals(TotalsReport {
            end,
            ledger,
            totals,
            latency: None,
            lag: &[],
        }))
    })
}

/// Rows that are still packed.
#[derive(Default)]
struct PackedRows<'a> {
    rows: &'a [u8],
    count: u64,
    has_sums: bool,
    hidden: Hidden,
}

impl PackedRows<'_> {
    /// Unpacks the first `top` rows; the others are hidden.
    fn show<T>(
        &self,
        top: Option<usize>,
        show: impl FnOnce(Rows<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        let shown = top.map_or(self.count, |top| self.count.min(top as u64));
        let mut hidden = self.hidden;
        // Rows borrow their sums, which are therefore unpacked first.
        let mut sums = Vec::new();
        if self.has_sums || shown < self.count {
            let mut reader = Unpacker { rest: self.rows };
            for nth in 0..self.count {
                reader.key()?;
                let (count, _) = (reader.number()?, reader.number()?);
                let own = match self.has_sums {
                    true => Some((reader.sum()?, reader.sum()?)),
                    false => None,
                };
                if nth < shown {
                    sums.extend(own);
                    continue;
                }
                hidden.keys = hidden.keys.saturating_add(1);
                hidden.count = hidden.count.saturating_add(count);
                if let Some((sum, _)) = own {
                    *hidden.sum.get_or_insert_default() += &sum;
                }
            }
        }
        let mut reader = Unpacker { rest: self.rows };
        let mut rows = Vec::with_capacity(usize::try_from(shown).unwrap_or(0).min(self.rows.len()));
        for nth in 0..shown {
            let row = Row {
                key: reader.key()?,
                count: reader.number()?,
                total: reader.number()?,
                sums: sums
                    .get(nth as usize)
                    .map(|(sum, total)| RowSums { sum, total }),
            };
            if self.has_sums {
                reader.bytes()?;
                reader.bytes()?;
            }
            rows.push(row);
        }
        show(Rows {
            shown: &rows,
            hidden,
        })
    }
}

/// Reads what a [`Packer`] wrote.
struct Unpacker<'a> {
    rest: &'a [u8],
}

impl<'a> Unpacker<'a> {
    fn take(&mut self, count: u64) -> io::Result<&'a [u8]> {
        let count = usize::try_from(count).map_err(|_| damaged())?;
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(damaged)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn eight(&mut self) -> io::Result<[u8; 8]> {
        Ok(*self.take(8)?.first_chunk().expect("eight bytes are eight"))
    }

    fn number(&mut self) -> io::Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(damaged())
    }

    fn time(&mut self) -> io::Result<Timestamp> {
        Ok(Timestamp::from_nanos(i64::from_le_bytes(self.eight()?)))
    }

    fn bytes(&mut self) -> io::Result<&'a [u8]> {
        let count = self.number()?;
        self.take(count)
    }

    fn key(&mut self) -> io::Result<KeyRef<'a>> {
        let kind = KeyKind::from_u8(self.byte()?).ok_or_else(damaged)?;
        let bytes = self.bytes()?;
        Ok(KeyRef { kind, bytes })
    }

    fn sum(&mut self) -> io::Result<Decimal> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| damaged())?;
        Decimal::printed(text).ok_or_else(damaged)
    }

    fn ledger(&mut self) -> io::Result<Ledger> {
        Ok(Ledger {
            lines: self.number()?,
            counted: self.number()?,
            missing: self.number()?,
            filtered: self.number()?,
            malformed: self.number()?,
            oversize: self.number()?,
            blank: self.number()?,
            late: self.number()?,
            unsummed: self.number()?,
        })
    }

    fn rows(&mut self) -> io::Result<PackedRows<'a>> {
        let has_sums = self.byte()? != 0;
        let count = self.number()?;
        let mut hidden = Hidden {
            keys: self.number()?,
            count: self.number()?,
            sum: None,
        };
        if self.byte()? != 0 {
            hidden.sum = Some(self.sum()?);
        }
        let length = u64::from_le_bytes(self.eight()?);
        Ok(PackedRows {
            rows: self.take(length)?,
            count,
            has_sums,
            hidden,
        })
    }
}

fn damaged() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "what waits for it is damaged, or of a newer tallyline",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sink::testing;
    use crate::sink::{JsonSink, Sink as _};

    /// What a sink would print of a parcel.
    fn printed(parcel: &Parcel, choice: &Choice) -> String {
        let mut text = Vec::new();
        let mut sink = JsonSink::new(&mut text);
        parcel
            .each(choice, |report| match report {
                Report::Batch(report) => sink.batch(report),
                Report::Window(report) => sink.window(report),
                Report::Totals(report) => sink.totals(report),
            })
            .unwrap();
        String::from_utf8(text).unwrap()
    }

    fn pack(rows: &[Row<'_>]) -> (Parcel, String) {
        let (batch, totals) = (testing::batch(rows), testing::totals(rows));
        let window = testing::window(rows);
        let mut packer = Packer::default();
        packer.begin(batch.batch, batch.start, batch.end);
        packer.batch(&batch);
        packer.window(&window);
        packer.totals(&totals);
        let mut text = Vec::new();
        let mut sink = JsonSink::new(&mut text);
        sink.batch(&batch).unwrap();
        sink.window(&window).unwrap();
        sink.totals(&totals).unwrap();
        (packer.finish().unwrap(), String::from_utf8(text).unwrap())
    }

    #[test]
    fn what_comes_out_is_what_went_in() {
        let keys = testing::hostile_keys();
        let sums: Vec<Decimal> = ["0.1", "-5", "99999999999999999.000001"]
            .map(|text| Decimal::parse(text.as_bytes()).unwrap())
            .into();
        let plain: Vec<Row<'_>> = keys
            .iter()
            .zip(1..)
            .map(|(key, count)| Row {
                key: KeyRef::string(key),
                count,
                total: u64::MAX - count,
                sums: None,
            })
            .collect();
        let summed: Vec<Row<'_>> = plain
            .iter()
            .zip(sums.iter().cycle())
            .map(|(row, sum)| Row {
                sums: Some(RowSums { sum, total: sum }),
                ..*row
            })
            .collect();
        for rows in [&plain[..], &summed, &testing::STATUSES, &[]] {
            let (parcel, expected) = pack(rows);
            assert_eq!(printed(&parcel, &Choice::ALL), expected);
            let again = Parcel::from_bytes(parcel.bytes().to_vec()).unwrap();
            assert_eq!(printed(&again, &Choice::ALL), expected);
        }
    }

    #[test]
    fn a_limit_hides_rows_and_a_choice_leaves_reports_out() {
        let (parcel, _) = pack(&testing::STATUSES);
        let all: u64 = testing::STATUSES.iter().map(|row| row.count).sum();
        for top in 0..=testing::STATUSES.len() + 1 {
            let choice = Choice {
                top: Some(top),
                ..Choice::ALL
            };
            let check = |report: &Report<'_>| {
                let rows = report.rows();
                assert_eq!(rows.shown.len(), top.min(testing::STATUSES.len()));
                let shown: u64 = rows.shown.iter().map(|row| row.count).sum();
                assert_eq!(shown + rows.hidden.count, all);
                Ok(())
            };
            parcel.each(&choice, check).unwrap();
        }
        let none = Choice {
            batches: false,
            windows: false,
            totals: false,
            ..Choice::ALL
        };
        let ledgers = printed(&parcel, &none);
        assert_eq!(ledgers.lines().count(), 1);
        assert!(
            ledgers.contains("\"counted\":990") && ledgers.contains("\"counts\":[]"),
            "{ledgers}"
        );
    }

    #[test]
    fn nothing_is_no_parcel() {
        let mut packer = Packer::default();
        packer.begin(1, Timestamp::default(), Timestamp::default());
        assert_eq!(packer.finish(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn a_damaged_parcel_is_told_and_not_believed(
            cut in 0usize..400, at in 0usize..400, flip in 1u8..,
        ) {
            let (parcel, _) = pack(&testing::STATUSES);
            let mut bytes = parcel.bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            bytes.truncate(bytes.len() - cut % bytes.len());
            // An error or other figures, but neither a panic nor memory without bound.
            if let Ok(parcel) = Parcel::from_bytes(bytes) {
                let mut rows = 0;
                let looked = parcel.each(&Choice::ALL, |report| {
                    rows += report.rows().shown.len();
                    Ok(())
                });
                prop_assert!(looked.is_err() || rows <= parcel.bytes().len());
            }
        }
    }
}
