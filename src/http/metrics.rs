//! `/metrics`: the run for Prometheus, as OpenMetrics text.
//!
//! Base units throughout; what only grows ends in `_total`. Keys are labels, but only the first of them
//! (`--metrics-keys`); the others are counted together under `_other`. A key that has become a label stays one, and
//! what was told under `_other` of it before stays there, so no counter ever falls and the counters' sum is always the
//! number of counted records.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::response::Response;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeMetric, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::Site;
use super::api::{answer, refusal};
use crate::counts::OTHER;
use crate::delivery::Delivered;
use crate::key::Key;
use crate::ledger::Reason;
use crate::live::{KeyCounts, Link, Live, Snapshot};
use crate::source::Lag;

/// What every name begins with.
const PREFIX: &str = "tallyline";

const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// See the module's documentation.
pub(super) struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Metrics of a run, in which so many keys are labels.
    pub(super) fn new(live: Live, keys_max: usize) -> Metrics {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(Run {
            live,
            labels: Mutex::new(Labels::new(keys_max)),
        }));
        Metrics { registry }
    }
}

pub(super) async fn metrics(State(site): State<Arc<Site>>) -> Response {
    let mut out = String::new();
    match text::encode(&mut out, &site.metrics.registry) {
        Ok(()) => answer(KIND, out),
        Err(fmt::Error) => refusal(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics cannot be written",
        ),
    }
}

/// A key that is a label.
#[derive(Clone, Copy, Debug, Default)]
struct Label {
    /// What is told under its name.
    told: u64,
    /// Its total when it was last seen among the first keys.
    total: u64,
    /// Whether that was the last time that anybody looked.
    is_seen: bool,
}

/// The keys that are labels.
#[derive(Debug)]
struct Labels {
    keys_max: usize,
    labels: HashMap<Arc<Key>, Label>,
    /// Whether `_other` has been told: from then on, what was counted under it stays there.
    has_told: bool,
}

impl Labels {
    fn new(keys_max: usize) -> Labels {
        Labels {
            keys_max,
            labels: HashMap::new(),
            has_told: false,
        }
    }

    /// Each label and its count, in the order of the keys, and what is left of `counted`.
    fn update(&mut self, totals: &KeyCounts, counted: u64) -> (Vec<(Arc<Key>, u64)>, u64) {
        let mut seen: HashMap<&Arc<Key>, u64> = HashMap::new();
        for key in &totals.shown {
            if (*key.key).as_ref() == OTHER {
                continue;
            }
            if self.labels.contains_key(&key.key) {
                seen.insert(&key.key, key.total);
            } else if self.labels.len() < self.keys_max {
                let told = if self.has_told { 0 } else { key.total };
                let label = Label {
                    told,
                    total: key.total,
                    is_seen: true,
                };
                self.labels.insert(Arc::clone(&key.key), label);
                seen.insert(&key.key, key.total);
            }
        }
        self.has_told = true;
        for (key, label) in &mut self.labels {
            let total = seen.get(key).copied();
            // What it grew by while it was not seen was told under `_other`.
            if let (Some(total), true) = (total, label.is_seen) {
                label.told += total.saturating_sub(label.total);
            }
            label.is_seen = total.is_some();
            label.total = total.unwrap_or(label.total);
        }
        let labels = self.labels.iter();
        let mut labels: Vec<_> = labels
            .map(|(key, label)| (Arc::clone(key), label.told))
            .collect();
        labels.sort();
        let told: u64 = labels.iter().map(|(_, told)| told).sum();
        (labels, counted.saturating_sub(told))
    }
}

/// Tells everything whenever it is asked.
struct Run {
    live: Live,
    labels: Mutex<Labels>,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Run").field(&self.live).finish()
    }
}

impl Collector for Run {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let now = self.live.now();
        let mut out = Writer { encoder };
        self.lines(&now, &mut out)?;
        self.keys(&now, &mut out)?;
        self.batches(&now, &mut out)?;
        self.sources(&now, &mut out)?;
        self.state(&now, &mut out)?;
        self.sinks(&mut out)?;
        out.family(
            "build",
            "The program",
            None,
            MetricType::Info,
            |mut metric| metric.encode_info(&[("version", env!("CARGO_PKG_VERSION"))]),
        )
    }
}

impl Run {
    fn lines(&self, now: &Snapshot, out: &mut Writer<'_>) -> fmt::Result {
        let ledger = &now.ledger;
        out.counter("received_lines", "Lines received", None, ledger.lines)?;
        let dropped = Reason::ALL.map(|reason| (reason.name(), ledger.column(reason)));
        let verdicts = [("counted", ledger.counted)].into_iter().chain(dropped);
        out.counters(
            "lines",
            "Lines by what became of them",
            None,
            verdicts.map(|(verdict, lines)| ([("verdict", verdict)], lines)),
        )?;
        let reading = self.live.reading();
        out.counter(
            "paused",
            "How long backpressure has paused the reading",
            Some(Unit::Seconds),
            seconds(reading.paused_nanos),
        )
    }

    fn keys(&self, now: &Snapshot, out: &mut Writer<'_>) -> fmt::Result {
        // Nobody panics with the lock in hand but for a bug; what it guards is whole at any time.
        let mut labels = self.labels.lock().unwrap_or_else(PoisonError::into_inner);
        let (labels, other) = labels.update(&now.totals, now.ledger.counted);
        let labels = labels.iter().map(|(key, told)| {
            let key = (**key).as_ref();
            (key.text().into_owned(), key.kind.name(), *told)
        });
        let other = (OTHER.text().into_owned(), "other", other);
        out.counters(
            "records",
            "Counted records by key, of the first keys; those of others under _other",
            None,
            labels
                .chain([other])
                .map(|(key, kind, told)| ([("key", key), ("type", kind.to_owned())], told)),
        )?;
        out.gauge("keys", "Distinct keys", None, now.keys)?;
        out.counter(
            "overflow_records",
            "Records of keys beyond --max-keys",
            None,
            now.overflow,
        )?;
        out.counter(
            "window_crowded_records",
            "Records under _other in windows, for want of --window-bytes",
            None,
            now.crowded_out,
        )?;
        out.counter(
            "window_early",
            "Windows closed early, for want of --window-bytes",
            None,
            now.closed_early,
        )
    }

    fn batches(&self, now: &Snapshot, out: &mut Writer<'_>) -> fmt::Result {
        let about = self.live.about();
        let last = now.batch();
        out.gauge(
            "batch_interval",
            "The batch interval",
            Some(Unit::Seconds),
            seconds(about.every_nanos),
        )?;
        out.gauge(
            "start_timestamp",
            "When the run was begun",
            Some(Unit::Seconds),
            about.started.as_nanos() as f64 / 1e9,
        )?;
        out.gauge(
            "last_batch",
            "The number of the last batch",
            None,
            last.map_or(0, |batch| batch.batch),
        )?;
        out.gauge(
            "last_batch_timestamp",
            "When the last batch ended",
            Some(Unit::Seconds),
            last.map_or(0.0, |batch| batch.end.as_nanos() as f64 / 1e9),
        )?;
        out.gauge(
            "batches_due",
            "Batches that ought to have been closed",
            None,
            self.live.batches_due(),
        )?;
        let latency = now.latency;
        for (name, help, percentiles) in [
            (
                "receive_to_counted",
                "From a record's receipt to its count, over the run",
                latency.receive_to_counted,
            ),
            (
                "boundary_to_printed",
                "From a batch's boundary to its being printed, over the run",
                latency.boundary_to_printed,
            ),
        ] {
            let values = [
                ("0.5", percentiles.p50_us),
                ("0.99", percentiles.p99_us),
                ("0.999", percentiles.p999_us),
                ("1", percentiles.max_us),
            ];
            out.gauges(
                name,
                help,
                Some(Unit::Seconds),
                values.map(|(part, us)| ([("part", part)], us as f64 / 1e6)),
            )?;
        }
        Ok(())
    }

    fn sources(&self, now: &Snapshot, out: &mut Writer<'_>) -> fmt::Result {
        let sources = self.live.sources();
        // The same name may have been given twice.
        let labelled = sources.iter().zip(1..).map(|(source, number): (_, u32)| {
            let labels = [
                ("source", source.name.to_string()),
                ("number", number.to_string()),
            ];
            (labels, source)
        });
        let labelled: Vec<_> = labelled.collect();
        let all = || labelled.iter().cloned();
        out.counters(
            "source_received",
            "Bytes received from a source",
            Some(Unit::Bytes),
            all().map(|(labels, source)| (labels, source.bytes)),
        )?;
        out.gauges(
            "source_connected",
            "Whether a source is connected, or over in good order",
            None,
            all().map(|(labels, source)| {
                let is_well = matches!(source.link, Link::Connected | Link::Over);
                (labels, u64::from(is_well))
            }),
        )?;
        out.counters(
            "source_losses",
            "How often a source's connection was lost",
            None,
            all().map(|(labels, source)| (labels, source.losses)),
        )?;
        out.gauges(
            "source_connections",
            "Producers connected to a source that listens",
            None,
            all().filter_map(|(labels, source)| Some((labels, source.connections?))),
        )?;
        let parts = now.lag.iter().flat_map(|source| {
            source.parts.iter().map(|part| {
                let labels = [
                    ("source", source.name.to_string()),
                    ("number", (source.source + 1).to_string()),
                    ("part", part.part.to_string()),
                ];
                (labels, part.lag)
            })
        });
        let parts: Vec<_> = parts.collect();
        out.gauges(
            "source_lag_records",
            "Records that are there and not read yet",
            None,
            parts.iter().cloned().filter_map(|(labels, lag)| match lag {
                Some(Lag::Records(records)) => Some((labels, records)),
                _ => None,
            }),
        )?;
        out.gauges(
            "source_lag",
            "How old what is read is against the end",
            Some(Unit::Seconds),
            parts.into_iter().filter_map(|(labels, lag)| match lag {
                Some(Lag::Millis(millis)) => Some((labels, millis as f64 / 1e3)),
                _ => None,
            }),
        )
    }

    fn state(&self, now: &Snapshot, out: &mut Writer<'_>) -> fmt::Result {
        let Some(saving) = now.saving else {
            return Ok(());
        };
        out.gauge(
            "state_waiting_batches",
            "Batches that wait to be saved",
            None,
            saving.batches_waiting as u64,
        )?;
        out.gauge(
            "state_failing",
            "Whether the last batches could not be saved",
            None,
            u64::from(saving.is_failing),
        )?;
        out.counter(
            "state_waited",
            "How long the counting has waited for the disk",
            Some(Unit::Seconds),
            seconds(saving.waited_nanos),
        )
    }

    fn sinks(&self, out: &mut Writer<'_>) -> fmt::Result {
        let sinks = self.live.sinks();
        if sinks.is_empty() {
            return Ok(());
        }
        let of = |figure: Figure| {
            let figures = sinks.iter();
            figures.map(move |sink| ([("sink", sink.name.clone())], figure(sink)))
        };
        let counters: [(&str, &str, Figure); 5] = [
            (
                "sink_delivered_batches",
                "Batches that a sink has taken",
                |sink| sink.delivered,
            ),
            ("sink_delivered_rows", "Their rows", |sink| sink.rows),
            (
                "sink_failed_attempts",
                "Attempts to deliver that failed",
                |sink| sink.retries,
            ),
            (
                "sink_refused_batches",
                "Batches that a sink will never take, passed over",
                |sink| sink.refused,
            ),
            (
                "sink_lost_batches",
                "Batches that were let go, for want of room or of a state",
                |sink| sink.lost,
            ),
        ];
        for (name, help, figure) in counters {
            out.counters(name, help, None, of(figure))?;
        }
        out.gauges(
            "sink_waiting_batches",
            "Batches that wait for a sink",
            None,
            of(|sink| sink.waiting),
        )?;
        out.gauges(
            "sink_failing",
            "Whether the last attempt to deliver failed",
            None,
            of(|sink| sink.is_failing.into()),
        )?;
        let (started, now) = (self.live.about().started, self.live.time());
        let lag = sinks.iter().map(|sink| {
            let nanos = sink.lag_nanos(started, now);
            ([("sink", sink.name.clone())], seconds(nanos))
        });
        out.gauges(
            "sink_lag",
            "From the end of the last batch that a sink has taken to now; 0 if none waits",
            Some(Unit::Seconds),
            lag,
        )
    }
}

/// One figure of a sink.
type Figure = fn(&Delivered) -> u64;

/// Writes families of one kind.
struct Writer<'a> {
    encoder: DescriptorEncoder<'a>,
}

/// A label's name and its value.
type Member<V> = (&'static str, V);

impl Writer<'_> {
    fn family(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        kind: MetricType,
        write: impl FnOnce(prometheus_client::encoding::MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let metric = self
            .encoder
            .encode_descriptor(name, help, unit.as_ref(), kind)?;
        write(metric)
    }

    fn counter<V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        value: V,
    ) -> fmt::Result {
        self.family(name, help, unit, MetricType::Counter, |metric| {
            ConstCounter::new(value).encode(metric)
        })
    }

    fn gauge<V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        value: V,
    ) -> fmt::Result {
        self.family(name, help, unit, MetricType::Gauge, |metric| {
            ConstGauge::new(value).encode(metric)
        })
    }

    fn counters<L, const N: usize, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        values: impl IntoIterator<Item = ([Member<L>; N], V)>,
    ) -> fmt::Result
    where
        L: prometheus_client::encoding::EncodeLabelValue,
    {
        self.family(name, help, unit, MetricType::Counter, |mut metric| {
            for (labels, value) in values {
                ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
            }
            Ok(())
        })
    }

    fn gauges<L, const N: usize, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        values: impl IntoIterator<Item = ([Member<L>; N], V)>,
    ) -> fmt::Result
    where
        L: prometheus_client::encoding::EncodeLabelValue,
    {
        self.family(name, help, unit, MetricType::Gauge, |mut metric| {
            for (labels, value) in values {
                ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
            }
            Ok(())
        })
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use crate::key::KeyRef;
    use crate::live::KeyCount;

    fn totals(keys: &[(&str, u64)]) -> KeyCounts {
        let shown = keys.iter().map(|&(key, total)| KeyCount {
            key: Arc::new(KeyRef::string(key).to_key()),
            count: total,
            total,
            sums: None,
        });
        KeyCounts {
            shown: shown.collect(),
            ..KeyCounts::default()
        }
    }

    #[test]
    fn no_counter_ever_falls_and_their_sum_is_what_was_counted() {
        let mut labels = Labels::new(2);
        let mut before: HashMap<String, u64> = HashMap::new();
        // The first keys as they are seen, and all that was counted.
        let looks: [(&[(&str, u64)], u64); 6] = [
            (&[("a", 5)], 9),
            (&[("b", 7), ("a", 6)], 20),
            (&[("c", 30), ("b", 8)], 60),
            (&[("c", 30), ("b", 9)], 70),
            (&[("a", 50), ("b", 10)], 120),
            (&[("a", 51), ("b", 10), ("_other", 99)], 200),
        ];
        for (keys, counted) in looks {
            let (told, other) = labels.update(&totals(keys), counted);
            let sum: u64 = told.iter().map(|(_, told)| told).sum();
            assert_eq!(sum + other, counted);
            let told = told
                .iter()
                .map(|(key, told)| ((**key).as_ref().text().into_owned(), *told));
            let told: HashMap<String, u64> = told.chain([("_other".to_owned(), other)]).collect();
            for (key, value) in &before {
                assert!(told[key] >= *value, "{key} fell: {before:?} {told:?}");
            }
            before = told;
        }
        assert_eq!((before.len(), before["a"], before["b"]), (3, 7, 3));
    }
}
