//! What a run came to, in a few lines for the end of stderr.
//!
//! The pipeline fills it in when it has stopped; whoever prints it decides whether it is wanted.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::delivery::Delivered;
use crate::ledger::{Ledger, Reason};
use crate::reject::Rejected;
use crate::sink::Latency;
use crate::sink::text::{bytes, duration, grouped, lag, per_second, percentiles, share, width};
use crate::source::SourceOffsets;

/// The figures of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Where all lines went.
    pub ledger: Ledger,
    /// Lines of this run and, with a state, of those before it.
    pub lines_in_all: u64,
    /// How long the saving of the state held up the counting, in nanoseconds.
    pub state_waited_ns: u64,
    /// Bytes read.
    pub bytes: u64,
    /// From the start of reading to the last line's count, in nanoseconds.
    pub duration_ns: u64,
    /// Of these, how long backpressure paused the reading, in nanoseconds.
    pub paused_ns: u64,
    /// Batches closed.
    pub batches: u64,
    /// Unfinished last pieces of streams that broke off. They are not lines.
    pub torn_lines: u64,
    /// Distinct keys, those beyond the limit not among them.
    pub keys: u64,
    /// Records of keys beyond the limit.
    pub overflow: u64,
    /// Records that windows counted under `_other` for want of room.
    pub crowded_out: u64,
    /// Windows by event time that were closed early for want of room.
    pub closed_early: u64,
    /// What became of bad lines that were to be kept.
    pub rejected: Rejected,
    /// What became of the results at each sink.
    pub deliveries: Vec<Delivered>,
    /// Only with `--stats`.
    pub latency: Option<Latency>,
    /// Where the sources that can be resumed stood at the end; only with `--stats`.
    pub lag: Arc<[SourceOffsets]>,
}

impl Summary {
    /// The figures, by name, as they are.
    pub fn figures(&self) -> Map<String, Value> {
        let columns = self.ledger.columns();
        let ledger: Map<String, Value> = columns
            .into_iter()
            .map(|(name, lines)| (name.to_owned(), lines.into()))
            .collect();
        let figures = [
            ("ledger", ledger.into()),
            ("bytes", self.bytes.into()),
            ("duration_us", (self.duration_ns / 1_000).into()),
            ("paused_us", (self.paused_ns / 1_000).into()),
            ("batches", self.batches.into()),
            ("keys", self.keys.into()),
            ("overflow", self.overflow.into()),
            ("torn_lines", self.torn_lines.into()),
            (
                "sinks",
                self.deliveries.iter().map(Delivered::figures).collect(),
            ),
        ];
        let named = figures.into_iter();
        named
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// The lines, as name, figure and what is to be said of it. Only the first are always there.
    fn lines(&self) -> Vec<(&'static str, String, String)> {
        let ledger = &self.ledger;
        let per_second_of = |count| per_second(count, self.duration_ns);
        let speed = match self.duration_ns {
            0 => "–".to_owned(),
            nanos => {
                let rate = u128::from(self.bytes) * 1_000_000_000 / u128::from(nanos);
                format!("{}/s", bytes(rate.try_into().unwrap_or(u64::MAX)))
            }
        };
        let mut lines = vec![
            (
                "lines",
                grouped(ledger.lines),
                format!("{} records/s", per_second_of(ledger.lines)),
            ),
            ("bytes", bytes(self.bytes), speed),
            ("duration", duration(self.duration_ns), String::new()),
            ("batches", grouped(self.batches), String::new()),
            ("keys", grouped(self.keys), String::new()),
            (
                "counted",
                grouped(ledger.counted),
                share(ledger.counted, ledger.lines),
            ),
        ];
        for reason in Reason::ALL {
            let dropped = ledger.column(reason);
            if dropped > 0 {
                lines.push((
                    reason.name(),
                    grouped(dropped),
                    share(dropped, ledger.lines),
                ));
            }
        }
        let more = [
            (
                ledger.unsummed,
                "unsummed",
                "counted records without a number that can be added",
            ),
            (self.overflow, "other", "records of keys beyond --max-keys"),
            (
                self.crowded_out,
                "crowded",
                "records under _other in windows, for want of --window-bytes",
            ),
            (
                self.closed_early,
                "early",
                "windows closed early, for want of --window-bytes",
            ),
            (
                self.rejected.saved,
                "rejected",
                "bad lines in the reject file",
            ),
            (
                self.rejected.lost,
                "unsaved",
                "bad lines that the reject file lacks",
            ),
        ];
        for (figure, name, what) in more.into_iter().filter(|more| more.0 > 0) {
            lines.push((name, grouped(figure), what.to_owned()));
        }
        if self.torn_lines > 0 {
            let what = "unfinished lines of streams that broke off, not counted above";
            lines.push(("torn", grouped(self.torn_lines), what.to_owned()));
        }
        if self.lines_in_all > ledger.lines {
            let what = "lines since the start of the state";
            lines.push(("in all", grouped(self.lines_in_all), what.to_owned()));
        }
        if self.state_waited_ns > 0 {
            let what = "the counting waited for the state to be saved";
            lines.push(("saving", duration(self.state_waited_ns), what.to_owned()));
        }
        if self.paused_ns > 0 {
            let part = share(self.paused_ns, self.duration_ns);
            lines.push((
                "paused",
                duration(self.paused_ns),
                format!("{part} of the time, by backpressure"),
            ));
        }
        lines
    }
}

/// Aligned lines, each ended by a newline.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        let wide = lines
            .iter()
            .map(|(_, figure, _)| width(figure))
            .max()
            .unwrap_or(0);
        for (name, figure, more) in &lines {
            match more.as_str() {
                "" => writeln!(f, "{name:<9}  {figure:>wide$}")?,
                more => writeln!(f, "{name:<9}  {figure:>wide$}  {more}")?,
            }
        }
        for delivery in &self.deliveries {
            writeln!(f, "sink       {delivery}")?;
        }
        if let Some(latency) = &self.latency {
            writeln!(
                f,
                "latency    receive to counted   {}",
                percentiles(&latency.receive_to_counted)
            )?;
            writeln!(
                f,
                "           boundary to printed  {}",
                percentiles(&latency.boundary_to_printed)
            )?;
        }
        for source in self.lag.iter() {
            writeln!(f, "lag        {}", lag(source))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::testing;

    #[test]
    fn a_clean_run_is_short() {
        let summary = Summary {
            ledger: Ledger {
                lines: 10_000_000,
                counted: 10_000_000,
                ..Ledger::default()
            },
            lines_in_all: 10_000_000,
            bytes: 715_000_000,
            duration_ns: 1_240_000_000,
            batches: 1,
            keys: 4,
            ..Summary::default()
        };
        assert_eq!(
            summary.to_string(),
            "\
lines      10,000,000  8,064,516 records/s
bytes        715.0 MB  576.6 MB/s
duration       1.24 s
batches             1
keys                4
counted    10,000,000  100 %
"
        );
    }

    #[test]
    fn what_went_wrong_is_named() {
        let summary = Summary {
            ledger: testing::LEDGER,
            lines_in_all: 5_000,
            state_waited_ns: 1_500_000_000,
            bytes: 71_000,
            duration_ns: 200_000_000_000,
            paused_ns: 50_000_000_000,
            batches: 40,
            torn_lines: 2,
            keys: 4,
            overflow: 11,
            crowded_out: 9,
            closed_early: 3,
            rejected: Rejected { saved: 6, lost: 1 },
            latency: Some(testing::LATENCY),
            deliveries: vec![Delivered {
                name: "exec:false".to_owned(),
                delivered: 12,
                rows: 48_000,
                retries: 3,
                lost: 1,
                last_error: Some("the command ended with status 1".to_owned()),
                ..Delivered::default()
            }],
            lag: [testing::offsets()].into(),
        };
        assert_eq!(
            summary.to_string(),
            "\
lines           1,000  5.00 records/s
bytes         71.0 kB  355 B/s
duration   3 min 20 s
batches            40
keys                4
counted           990  99.0 %
missing             2  0.2 %
malformed           5  0.5 %
blank               3  0.3 %
other              11  records of keys beyond --max-keys
crowded             9  records under _other in windows, for want of --window-bytes
early               3  windows closed early, for want of --window-bytes
rejected            6  bad lines in the reject file
unsaved             1  bad lines that the reject file lacks
torn                2  unfinished lines of streams that broke off, not counted above
in all          5,000  lines since the start of the state
saving         1.50 s  the counting waited for the state to be saved
paused           50 s  25.0 % of the time, by backpressure
sink       exec:false: 12 batches with 48,000 rows delivered, 3 attempts failed, 1 batch lost
latency    receive to counted   p50 120 µs  p99 1.50 ms  p99.9 2 ms  max 3 ms
           boundary to printed  –
lag        1,212 behind the end of kafka://b/orders, by partition 0: 1,212, 3: 0, 4: unknown
"
        );
    }

    #[test]
    fn nothing_at_all() {
        let text = Summary::default().to_string();
        assert!(
            text.starts_with("lines        0  – records/s\nbytes      0 B  –\nduration   0 s\n"),
            "{text}"
        );
    }
}
