//! How a run stands, in one line: the answer to SIGUSR1.

use crate::ledger::Reason;
use crate::live::{Link, Live};
use crate::sink::text::{behind, duration, escape, grouped, per_second};

/// Rate, totals, ledger, lag, and what is not as it should be.
pub(super) fn status(live: &Live) -> String {
    let now = live.now();
    let mut parts = Vec::new();
    match now.batch() {
        None => parts.push("batch 1 is open".to_owned()),
        Some(batch) => {
            let rate = per_second(batch.ledger.lines, batch.nanos());
            parts.push(format!("batch {}", grouped(batch.batch)));
            parts.push(format!("{rate} records/s"));
            if let Some(pace) = &batch.pace {
                parts.push(format!("printed {} late", duration(pace.printed_nanos)));
            }
        }
    }
    let up = live.time().nanos_since(live.about().started) / 1_000_000_000;
    parts.push(format!("up {}", duration(up * 1_000_000_000)));
    parts.push(format!("keys {}", grouped(now.keys)));
    parts.push(format!("lines {}", grouped(now.ledger.lines)));
    parts.push(format!("counted {}", grouped(now.ledger.counted)));
    for reason in Reason::ALL {
        let lines = now.ledger.column(reason);
        if lines > 0 {
            parts.push(format!("{} {}", reason.name(), grouped(lines)));
        }
    }
    let due = live.batches_due();
    if due > 0 {
        parts.push(format!("{} batches overdue", grouped(due)));
    }
    if live.reading().is_paused {
        parts.push("input paused".to_owned());
    }
    if let Some(saving) = now.saving {
        let state = if saving.is_failing {
            ", and cannot be"
        } else {
            ""
        };
        parts.push(format!(
            "{} batches to be saved{state}",
            saving.batches_waiting
        ));
    }
    for source in live.sources() {
        let offsets = now.lag.iter().find(|offsets| offsets.name == source.name);
        let name = escape(source.name.as_bytes());
        match (source.link, offsets) {
            (Link::Connected, None) => {}
            (Link::Connected, Some(offsets)) => parts.push(format!("{name} {}", behind(offsets))),
            (link, _) => parts.push(format!("{name} {}", link.name())),
        }
    }
    for sink in live.sinks() {
        let lag = sink.lag_nanos(live.about().started, live.time());
        if let Some(trouble) = sink.trouble(lag) {
            let told = escape(format!("{} {trouble}", sink.name).as_bytes());
            parts.push(told);
        }
    }
    format!("status: {}", parts.join(", "))
}
