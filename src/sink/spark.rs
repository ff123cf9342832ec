//! What Spark Streaming's `pprint()` prints, for those who replace such a job.
//!
//! Per batch two blocks under the same head: the batch's counts, as after `reduceByKey`, and the
//! totals, as after `updateStateByKey`. Keys are written as Python's `repr` writes them, so
//! nothing in them drives the terminal; long ones are not cut, as `pprint()` does not. Which
//! characters `repr` shows depends on the Unicode version; here it is the compiler's, which is
//! newer than most Pythons'. A number keeps its source text (`1e5` is not turned into `100000.0`).
//! A composite key is a tuple; with a sum, the value is the pair of count and sum.
//!
//! Spark has no ledger and no closing totals, so neither are here: the last batch has the totals.

use std::io::{self, Write};

use jiff::tz::TimeZone;

use crate::key::{KeyKind, KeyRef};

use super::pieces::Pieces;
use super::text::{is_printable, push_format};
use super::{BatchReport, RowSums, Rows, Sink, TotalsReport, WindowReport};

/// The line above and below the time: 43 dashes.
const RULE: &str = "-------------------------------------------\n";

/// Writes batches and totals as `pprint()` does.
#[derive(Debug)]
pub struct SparkSink<W> {
    out: Pieces<W>,
    zone: TimeZone,
    /// The key at hand, reused.
    key: String,
}

impl<W: Write> SparkSink<W> {
    /// A sink that writes to `writer` and shows times in `zone`.
    pub fn new(writer: W, zone: TimeZone) -> SparkSink<W> {
        SparkSink {
            out: Pieces::new(writer),
            zone,
            key: String::new(),
        }
    }

    fn head(&mut self, time: &str) {
        self.out.push_str(RULE);
        self.out.push_str("Time: ");
        self.out.push_str(time);
        self.out.push_str("\n");
        self.out.push_str(RULE);
    }

    /// One `pprint()`.
    fn block(&mut self, time: &str, rows: &Rows<'_>) -> io::Result<()> {
        self.head(time);
        for row in rows.shown {
            self.key.clear();
            push_repr(row.key, &mut self.key);
            self.out.push_str("(");
            self.out.push_str(&self.key);
            self.out.push_str(", ");
            match row.sums {
                None => self.out.push_u64(row.count),
                Some(RowSums { sum, .. }) => {
                    self.out.push_str(&format!("({}, {sum})", row.count));
                }
            }
            self.out.push_str(")\n");
            self.out.spill()?;
        }
        if rows.hidden.keys > 0 {
            self.out.push_str("...\n");
        }
        self.out.push_str("\n");
        Ok(())
    }
}

impl<W: Write> Sink for SparkSink<W> {
    fn wants_totals(&self) -> bool {
        true
    }

    fn batch(&mut self, report: &BatchReport<'_>) -> io::Result<()> {
        let time = report.end.civil(&self.zone);
        self.block(&time, &report.counts)?;
        if let Some(totals) = &report.totals {
            self.block(&time, totals)?;
        }
        self.out.finish()
    }

    /// What `pprint()` prints of `reduceByKeyAndWindow`; then of pairs of each growing key and its
    /// count, previous count and ratio.
    fn window(&mut self, report: &WindowReport<'_>) -> io::Result<()> {
        let time = report.end.civil(&self.zone);
        self.block(&time, &report.counts)?;
        if let Some(trends) = report.trending {
            self.head(&time);
            for trend in trends {
                self.key.clear();
                push_repr(trend.key, &mut self.key);
                self.out.push_str(&format!(
                    "({}, ({}, {}, {}))\n",
                    self.key,
                    trend.count,
                    trend.previous,
                    trend.ratio_text()
                ));
            }
            self.out.push_str("\n");
        }
        self.out.finish()
    }

    /// Prints nothing: the last batch's totals are these.
    fn totals(&mut self, _: &TotalsReport<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// Appends the `repr` of what `json.loads` makes of `key`.
fn push_repr(key: KeyRef<'_>, out: &mut String) {
    match key.kind {
        KeyKind::Null => out.push_str("None"),
        KeyKind::False => out.push_str("False"),
        KeyKind::True => out.push_str("True"),
        KeyKind::Number => out.push_str(&key.text()),
        KeyKind::String => push_repr_str(&key.text(), out),
        KeyKind::Composite => {
            let mut separator = "(";
            for part in key.parts() {
                out.push_str(separator);
                push_repr(part, out);
                separator = ", ";
            }
            out.push(')');
        }
    }
}

fn push_repr_str(text: &str, out: &mut String) {
    // Double quotes only where they save escapes.
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c => match u32::from(c) {
                code @ ..=0xff => push_format(out, format_args!("\\x{code:02x}")),
                code @ ..=0xffff => push_format(out, format_args!("\\u{code:04x}")),
                code => push_format(out, format_args!("\\U{code:08x}")),
            },
        }
    }
    out.push(quote);
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, row};
    use super::super::{Hidden, Row, Rows};
    use super::*;

    fn written(report: &BatchReport<'_>, zone: TimeZone) -> String {
        testing::written(
            |out| Box::new(SparkSink::new(out, zone)),
            |sink| sink.batch(report),
        )
    }

    fn repr(key: KeyRef<'_>) -> String {
        let mut out = String::new();
        push_repr(key, &mut out);
        out
    }

    #[test]
    fn a_batch_and_its_totals() {
        let rows = [
            row(KeyRef::string("PLACED"), 250, 1200),
            row(KeyRef::number("5"), 1, 2),
            row(KeyRef::null(), 1, 1),
            row(KeyRef::boolean(true), 1, 1),
        ];
        let totals = [row(KeyRef::string("PLACED"), 1200, 1200)];
        let mut report = testing::batch(&rows);
        report.totals = Some(Rows {
            shown: &totals,
            hidden: Hidden {
                keys: 3,
                count: 4,
                sum: None,
            },
        });
        assert_eq!(
            written(&report, TimeZone::UTC),
            "-------------------------------------------\n\
             Time: 2026-11-22 15:47:40\n\
             -------------------------------------------\n\
             ('PLACED', 250)\n\
             (5, 1)\n\
             (None, 1)\n\
             (True, 1)\n\
             \n\
             -------------------------------------------\n\
             Time: 2026-11-22 15:47:40\n\
             -------------------------------------------\n\
             ('PLACED', 1200)\n\
             ...\n\
             \n"
        );
    }

    #[test]
    fn composite_keys_are_tuples_and_sums_stand_beside_their_count() {
        let bytes = testing::composite(&[KeyRef::string("PLACED"), KeyRef::null()]);
        let sum = testing::decimal("-1.50");
        let rows = [Row {
            sums: Some(RowSums::total(&sum)),
            ..row(KeyRef::composite(&bytes), 250, 250)
        }];
        let text = written(&testing::batch(&rows), TimeZone::UTC);
        assert!(
            text.ends_with("\n(('PLACED', None), (250, -1.50))\n\n"),
            "{text}"
        );
    }

    #[test]
    fn an_empty_batch_has_its_head() {
        let mut report = testing::batch(&[]);
        report.totals = Some(Rows {
            shown: &[],
            hidden: Hidden::default(),
        });
        let block = "-------------------------------------------\n\
                     Time: 2026-11-22 21:17:40\n\
                     -------------------------------------------\n\
                     \n";
        assert_eq!(written(&report, testing::kolkata()), block.repeat(2));
    }

    #[test]
    fn the_end_prints_nothing() {
        let report = testing::totals(&testing::STATUSES);
        let text = testing::written(
            |out| Box::new(SparkSink::new(out, TimeZone::UTC)),
            |sink| sink.totals(&report),
        );
        assert_eq!(text, "");
    }

    /// The expected strings are Python's: `for s in …: print(repr(s))`.
    #[test]
    fn keys_as_python_writes_them() {
        let vectors = [
            ("", "''"),
            ("PLACED", "'PLACED'"),
            ("it's", "\"it's\""),
            ("say \"hi\"", "'say \"hi\"'"),
            ("it's \"both\"", "'it\\'s \"both\"'"),
            ("back\\slash", "'back\\\\slash'"),
            ("a\u{a}b\u{d}c\u{9}d", "'a\\nb\\rc\\td'"),
            ("\u{0}\u{1}\u{1b}[31m\u{7f}", "'\\x00\\x01\\x1b[31m\\x7f'"),
            (
                "\u{80}\u{9f}\u{a0}\u{ad}\u{e9}",
                "'\\x80\\x9f\\xa0\\xad\u{e9}'",
            ),
            (
                "\u{65e5}\u{672c} \u{6771}\u{4eac}",
                "'\u{65e5}\u{672c} \u{6771}\u{4eac}'",
            ),
            (
                "\u{200b}\u{200d}\u{200e}\u{202e}\u{2028}\u{2029}\u{2066}\u{feff}",
                "'\\u200b\\u200d\\u200e\\u202e\\u2028\\u2029\\u2066\\ufeff'",
            ),
            ("\u{301}e\u{301}", "'\u{301}e\u{301}'"),
            (
                "\u{1f600}\u{1f468}\u{200d}\u{1f469}",
                "'\u{1f600}\u{1f468}\\u200d\u{1f469}'",
            ),
            ("\u{e000}\u{fffe}\u{ffff}", "'\\ue000\\ufffe\\uffff'"),
            (
                "\u{e0041}\u{f0000}\u{10ffff}",
                "'\\U000e0041\\U000f0000\\U0010ffff'",
            ),
            ("\u{378}\u{3000}\u{3164}", "'\\u0378\\u3000\u{3164}'"),
            ("'", "\"'\""),
            ("\"", "'\"'"),
            ("'\\'", "\"'\\\\'\""),
            ("=cmd()", "'=cmd()'"),
            ("None", "'None'"),
            ("{}", "'{}'"),
        ];
        for (text, expected) in vectors {
            assert_eq!(repr(KeyRef::string(text)), expected);
        }
        assert_eq!(repr(KeyRef::boolean(false)), "False");
        assert_eq!(repr(KeyRef::number("-1.50E+3")), "-1.50E+3");
    }

    #[test]
    fn hostile_keys_stay_on_their_row() {
        for key in testing::hostile_keys() {
            let rows = [row(KeyRef::string(&key), 1, 1)];
            let text = written(&testing::batch(&rows), TimeZone::UTC);
            assert_eq!(text.lines().count(), 5);
            assert!(text.lines().all(|line| line.chars().all(is_printable)));
        }
    }
}
