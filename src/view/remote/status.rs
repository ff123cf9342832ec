//! How a run elsewhere stands: what `/api/v1/status` says, which stands in the newest event too.
//!
//! A picture without what the events tell of batches, windows and totals. What is not there or is otherwise than
//! expected counts as nothing.

use serde_json::Value;

use super::moment;
use crate::delivery::Delivered;
use crate::live::Saving;
use crate::sink::text::behind_in_all;
use crate::sink::{Latency, Percentiles};
use crate::view::picture::{EndLine, Picture};

/// What the text of a status says; `None`: it is none.
pub(super) fn standing(status: &str) -> Option<Picture> {
    let status: Value = serde_json::from_str(status).ok()?;
    if status["type"] != "status" {
        return None;
    }
    let state = &status["state"];
    let saving = || Saving {
        batches_waiting: usize::try_from(number(&state["batches_waiting"])).unwrap_or(usize::MAX),
        waited_nanos: number(&state["waited_ms"]).saturating_mul(1_000_000),
        is_failing: state["failing"].as_bool().unwrap_or(false),
    };
    let counted = percentiles(&status["latency"]["receive_to_counted"]);
    Some(Picture {
        name: texts(all(&status["sources"]).map(|source| &source["source"])),
        by: texts(all(&status["by"])),
        every_nanos: status["every_ms"]
            .as_f64()
            .map_or(0, |ms| (ms * 1e6) as u64),
        started: moment(text(&status["started"])),
        now: moment(text(&status["time"])),
        bytes: number(&status["input"]["bytes"]),
        bytes_at: moment(text(&status["time"])),
        is_paused: status["input"]["paused"].as_bool().unwrap_or(false),
        keys: number(&status["keys"]),
        overflow: number(&status["overflow"]),
        latency: Latency {
            receive_to_counted: counted,
            ..Latency::default()
        },
        saving: state.is_object().then(saving),
        sources: all(&status["sources"])
            .map(|source| source_line(source, &status["lag"]))
            .collect(),
        sinks: all(&status["sinks"]).filter_map(sink_line).collect(),
        is_over: status["over"].as_bool().unwrap_or(false),
        ..Picture::default()
    })
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn all(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    let texts: Vec<&str> = values.map(text).collect();
    texts.join(", ")
}

fn percentiles(told: &Value) -> Percentiles {
    Percentiles {
        count: number(&told["count"]),
        p50_us: number(&told["p50_us"]),
        p99_us: number(&told["p99_us"]),
        p999_us: number(&told["p999_us"]),
        max_us: number(&told["max_us"]),
    }
}

/// A source; `lag` is of all sources' parts.
fn source_line(source: &Value, lag: &Value) -> EndLine {
    let mut parts = all(lag)
        .filter(|part| part["source"] == source["source"])
        .peekable();
    let behind = parts.peek().is_some().then(|| {
        let (records, longest) = parts.fold((0_u64, None), |(records, longest), part| {
            let records = records.saturating_add(number(&part["lag"]));
            (records, longest.max(part["lag_ms"].as_u64()))
        });
        format!("{} behind", behind_in_all(records, longest))
    });
    EndLine::new(
        text(&source["source"]),
        text(&source["state"]),
        source["connections"].as_u64(),
        number(&source["losses"]),
        behind,
    )
}

/// A sink with which something is not as it should be.
fn sink_line(sink: &Value) -> Option<EndLine> {
    let told = Delivered {
        name: text(&sink["name"]).to_owned(),
        refused: number(&sink["refused"]),
        lost: number(&sink["lost"]),
        waiting: number(&sink["waiting"]),
        is_failing: sink["failing"].as_bool().unwrap_or(false),
        last_error: sink["last_error"].as_str().map(str::to_owned),
        ..Delivered::default()
    };
    EndLine::sink(&told, number(&sink["lag_ms"]).saturating_mul(1_000_000))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_understood() {
        let status = r#"{"type":"status","started":"2026-11-25T10:00:00.000Z","time":"2026-11-25T10:03:20.000Z",
            "over":false,"by":["status","a.b"],"every_ms":0.5,"keys":7,"overflow":3,
            "input":{"bytes":710,"paused":true,"paused_ms":1},
            "sources":[{"source":"tcp://shop:1","state":"reconnecting","connections":null,"bytes":1,"heard":null,"losses":2},
                       {"source":"kafka://b/t","state":"connected","connections":null,"bytes":1,"heard":null,"losses":0},
                       {"source":"tcp-listen://:1","state":"connected","connections":3,"bytes":1,"heard":null,"losses":0}],
            "lag":[{"source":"kafka://b/t","partition":0,"next":9,"lag":1200},{"source":"kafka://b/t","partition":1,"next":1,"lag":12}],
            "sinks":[{"name":"file:a.jsonl","batches":7,"rows":9,"retries":0,"refused":0,"lost":0,"waiting":1,"last_error":null,"failing":false,"lag_ms":900},
                     {"name":"exec:false","batches":0,"rows":0,"retries":4,"refused":0,"lost":0,"waiting":3,"last_error":"no","failing":true,"lag_ms":15000}],
            "state":{"batches_waiting":2,"batches_waiting_max":4,"waited_ms":5,"failing":true},
            "latency":{"receive_to_counted":{"count":9,"p50_us":120,"p99_us":1,"p999_us":1,"max_us":1}}}"#;
        let picture = standing(status).unwrap();
        assert_eq!(picture.by, "status, a.b");
        assert_eq!(picture.name, "tcp://shop:1, kafka://b/t, tcp-listen://:1");
        assert_eq!(picture.now.nanos_since(picture.started), 200_000_000_000);
        assert_eq!((picture.every_nanos, picture.bytes), (500_000, 710));
        assert_eq!((picture.keys, picture.overflow), (7, 3));
        assert_eq!(picture.latency.receive_to_counted.p50_us, 120);
        let states: Vec<(&str, bool)> = picture
            .sources
            .iter()
            .map(|source| (source.state.as_str(), source.is_well))
            .collect();
        let wanted = [
            ("reconnecting, lost 2 times", false),
            ("connected, 1,212 behind", true),
            ("listening, 3 connected", true),
        ];
        assert_eq!(states, wanted);
        let [sink] = &picture.sinks[..] else {
            panic!("{:?}", picture.sinks);
        };
        let told = "takes nothing, 3 batches waiting, 15 s behind: no";
        assert_eq!((&*sink.name, &*sink.state), ("exec:false", told));
        let saving = picture.saving.unwrap();
        assert_eq!((saving.batches_waiting, saving.is_failing), (2, true));
        assert!(picture.is_paused && !picture.is_over);
    }

    #[test]
    fn what_is_no_status_is_none_and_gaps_are_nothing() {
        for text in ["", "[]", "7", "{}", r#"{"type":"totals"}"#] {
            assert!(standing(text).is_none(), "{text}");
        }
        let picture = standing(r#"{"type":"status","sources":[7],"by":{}}"#).unwrap();
        assert_eq!((picture.sources.len(), picture.by.as_str()), (1, ""));
    }
}
