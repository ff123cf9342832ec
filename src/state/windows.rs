//! Open windows in a state file: what a batch changes there, and all of it at the start of a run.
//!
//! By arrival a batch is one row of [`slot`](super::schema), and those that no window holds any more go. By event
//! time a batch's records of a pane are a row; when the rows of a pane that came since they were last added up
//! take more room than they did then, they are added up again, so that a pane takes about as much room
//! as its keys do, and not as its batches.
//!
//! What is not saved yet is bounded as the windows are: slots that are no longer needed go from here too, and
//! a pane has one list however many batches wait.

use std::collections::BTreeMap;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use crate::clock::Timestamp;
use crate::event::{EventChange, KeptEvents, KeptPane};
use crate::faults;
use crate::state::list::{Counted, add_up, pack, unpack};
use crate::state::restore::Places;
use crate::window::{Entry, KeptRing, KeptSlot, RingChange, WindowSpec};

/// Bytes of lists of a pane that are not added up.
const LOOSE_BYTES_MIN: u64 = 8 * 1024;

/// Rows of a pane that are not added up.
const LOOSE_ROWS_MIN: u64 = 8;

/// Open windows that an earlier run has left.
#[derive(Debug, Default)]
pub struct KeptWindows {
    /// Those by arrival.
    pub ring: Option<KeptRing>,
    /// Those by event time.
    pub events: Option<KeptEvents>,
}

/// What is not saved yet of the open windows.
#[derive(Debug, Default)]
pub(super) struct PendingWindows {
    /// What an earlier run left is to go.
    begins_anew: bool,
    ring: Option<Ring>,
    /// By number.
    slots: BTreeMap<u64, Listed>,
    event: Option<EventChange>,
    /// By start.
    panes: BTreeMap<i64, Pane>,
}

/// The row of a ring.
#[derive(Debug)]
struct Ring {
    every_nanos: u64,
    first: u64,
    opened: Timestamp,
}

/// A batch in a ring.
#[derive(Debug)]
struct Listed {
    end: Timestamp,
    records: u64,
    other: u64,
    counts: Vec<u8>,
}

/// Records of a pane.
#[derive(Debug, Default)]
struct Pane {
    records: u64,
    other: u64,
    counts: Vec<u8>,
}

/// How much of each pane in the file is not added up.
#[derive(Clone, Debug, Default)]
pub(super) struct Loose(BTreeMap<i64, LoosePane>);

#[derive(Clone, Copy, Debug, Default)]
struct LoosePane {
    rows: u64,
    bytes: u64,
    /// Bytes of what was added up last.
    bytes_before: u64,
}

impl Loose {
    /// As a file has them.
    pub(super) fn load(db: &Connection) -> rusqlite::Result<Loose> {
        let panes = "SELECT start_ns, count(*), sum(length(counts)) FROM pane GROUP BY start_ns";
        let mut panes = db.prepare(panes)?;
        let panes = panes.query_map([], |row| {
            let pane = LoosePane {
                rows: figure(row, 1)?,
                bytes: figure(row, 2)?,
                bytes_before: 0,
            };
            Ok((row.get(0)?, pane))
        })?;
        panes.collect::<rusqlite::Result<_>>().map(Loose)
    }
}

impl PendingWindows {
    /// Nothing waits, but that what an earlier run left is to go, if it is.
    pub(super) fn new(begins_anew: bool) -> PendingWindows {
        PendingWindows {
            begins_anew,
            ..PendingWindows::default()
        }
    }

    /// Takes note of what a batch changed by arrival; `rows` are the keys' row numbers by shard and id.
    pub(super) fn note_ring(&mut self, change: RingChange, rows: &impl Fn(usize, u32) -> i64) {
        let shards = change.slot.shards.iter().enumerate();
        let entries = shards.flat_map(|(shard, list)| list.iter().map(move |entry| (shard, entry)));
        let list = entries.map(|(shard, entry)| (rows(shard, entry.id), u64::from(entry.count)));
        let mut list: Vec<Counted> = list.collect();
        add_up(&mut list);
        let slot = Listed {
            end: change.slot.end,
            records: change.slot.records,
            other: change.slot.other,
            counts: pack(&list),
        };
        self.slots.insert(change.number, slot);
        self.slots = self.slots.split_off(&change.first);
        self.ring = Some(Ring {
            every_nanos: change.every_nanos,
            first: change.first,
            opened: change.opened,
        });
    }

    /// Takes note of what a batch changed by event time.
    pub(super) fn note_events(
        &mut self,
        mut change: EventChange,
        rows: &impl Fn(usize, u32) -> i64,
    ) {
        let mut brought: BTreeMap<i64, (Vec<Counted>, u64, u64)> = BTreeMap::new();
        for (shard, pairs) in std::mem::take(&mut change.brought).into_iter().enumerate() {
            for pairs in pairs.chunk_by(|a, b| a.pane == b.pane) {
                let start = pairs[0].pane * change.pane_nanos;
                let (list, records, other) = brought.entry(start).or_default();
                for pair in pairs {
                    let count = u64::from(pair.count);
                    *records += count;
                    match pair.key_id() {
                        Some(id) => list.push((rows(shard, id), count)),
                        None => *other += count,
                    }
                }
            }
        }
        for (start, (mut list, records, other)) in brought.split_off(&change.needed_from) {
            let pane = self.panes.entry(start).or_default();
            list.extend(unpack(&pane.counts).expect("it was packed here"));
            add_up(&mut list);
            pane.records += records;
            pane.other += other;
            pane.counts = pack(&list);
        }
        self.panes = self.panes.split_off(&change.needed_from);
        self.event = Some(change);
    }

    /// Writes all that was noted; the sources have these names. Returns how much of each pane is not added up
    /// then.
    pub(super) fn save(
        &self,
        change: &Transaction<'_>,
        batch: u64,
        sources: &[String],
        loose: &Loose,
    ) -> rusqlite::Result<Loose> {
        let mut loose = loose.clone();
        if self.begins_anew {
            change.execute_batch("DELETE FROM slot; DELETE FROM pane;")?;
            loose.0.clear();
        }
        if let Some(ring) = &self.ring {
            self.save_ring(change, ring)?;
        }
        if let Some(event) = &self.event {
            save_events(change, event, sources)?;
            faults::disk()?;
            self.save_panes(change, event.needed_from, batch, &mut loose)?;
        }
        Ok(loose)
    }

    fn save_ring(&self, change: &Transaction<'_>, ring: &Ring) -> rusqlite::Result<()> {
        change.execute(
            "REPLACE INTO ring (id, every_ns, first, opened_ns) VALUES (1, ?1, ?2, ?3)",
            (
                ring.every_nanos as i64,
                ring.first as i64,
                ring.opened.as_nanos(),
            ),
        )?;
        let mut insert = change.prepare(
            "INSERT INTO slot (number, end_ns, records, other, counts) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for (&number, slot) in &self.slots {
            insert.execute((
                number as i64,
                slot.end.as_nanos(),
                slot.records as i64,
                slot.other as i64,
                &slot.counts,
            ))?;
        }
        let gone = "DELETE FROM slot WHERE number < ?1";
        change.execute(gone, [ring.first as i64]).map(drop)
    }

    fn save_panes(
        &self,
        change: &Transaction<'_>,
        needed_from: i64,
        batch: u64,
        loose: &mut Loose,
    ) -> rusqlite::Result<()> {
        let mut insert = change.prepare(INSERT_PANE)?;
        for (&start, pane) in &self.panes {
            let figures = (pane.records as i64, pane.other as i64);
            insert.execute((start, batch as i64, figures.0, figures.1, &pane.counts))?;
            let known = loose.0.entry(start).or_default();
            known.rows += 1;
            known.bytes += pane.counts.len() as u64;
            let is_much = known.bytes > LOOSE_BYTES_MIN.max(known.bytes_before);
            if known.rows > LOOSE_ROWS_MIN && is_much {
                known.bytes_before = add_up_pane(change, start, batch)?;
                (known.rows, known.bytes) = (1, 0);
            }
        }
        loose.0 = loose.0.split_off(&needed_from);
        let gone = "DELETE FROM pane WHERE start_ns < ?1";
        change.execute(gone, [needed_from]).map(drop)
    }
}

fn save_events(
    change: &Transaction<'_>,
    event: &EventChange,
    sources: &[String],
) -> rusqlite::Result<()> {
    change.execute(
        "REPLACE INTO event (id, pane_ns, needed_ns, watermark_ns, earliest_ns, complete_ns) \
         VALUES (1, ?1, ?2, ?3, ?4, ?5)",
        (
            event.pane_nanos,
            event.needed_from,
            event.watermark,
            event.earliest,
            event.complete_from,
        ),
    )?;
    change.execute("DELETE FROM closed", [])?;
    let mut insert = change
        .prepare("REPLACE INTO closed (length_ns, slide_ns, closed_ns) VALUES (?1, ?2, ?3)")?;
    for (spec, closed) in &event.closed {
        insert.execute((spec.length_nanos as i64, spec.slide_nanos as i64, closed))?;
    }
    // Of several sources with one name the latest time holds.
    change.execute("DELETE FROM latest", [])?;
    let mut insert = change.prepare(
        "INSERT INTO latest (source, time_ns) VALUES (?1, ?2) \
         ON CONFLICT DO UPDATE SET time_ns = max(time_ns, excluded.time_ns)",
    )?;
    for &(source, nanos) in &event.latest {
        insert.execute((&sources[source], nanos))?;
    }
    Ok(())
}

const INSERT_PANE: &str =
    "INSERT INTO pane (start_ns, batch, records, other, counts) VALUES (?1, ?2, ?3, ?4, ?5)";

/// Makes one row of all those of a pane; returns the length of its list.
fn add_up_pane(change: &Transaction<'_>, start: i64, batch: u64) -> rusqlite::Result<u64> {
    let mut rows = change.prepare("SELECT records, other, counts FROM pane WHERE start_ns = ?1")?;
    let mut rows = rows.query([start])?;
    let (mut records, mut other, mut list) = (0_i64, 0_i64, Vec::new());
    while let Some(row) = rows.next()? {
        records += row.get::<_, i64>(0)?;
        other += row.get::<_, i64>(1)?;
        list.extend(counts(row, 2)?);
    }
    add_up(&mut list);
    let packed = pack(&list);
    change.execute("DELETE FROM pane WHERE start_ns = ?1", [start])?;
    change.execute(INSERT_PANE, (start, batch as i64, records, other, &packed))?;
    Ok(packed.len() as u64)
}

/// What an earlier run has left; keys are where `places` says.
pub(super) fn load_windows(db: &Connection, places: &Places) -> rusqlite::Result<KeptWindows> {
    Ok(KeptWindows {
        ring: load_ring(db, places)?,
        events: load_events(db, places)?,
    })
}

fn load_ring(db: &Connection, places: &Places) -> rusqlite::Result<Option<KeptRing>> {
    let ring = "SELECT every_ns, first, opened_ns, end_ns FROM ring, progress";
    let ring = db.query_row(ring, [], |row| {
        Ok(KeptRing {
            every_nanos: figure(row, 0)?,
            first: figure(row, 1)?,
            opened: time(row, 2)?,
            slots: Vec::new(),
            ended: time(row, 3)?,
        })
    });
    let Some(mut ring) = ring.optional()? else {
        return Ok(None);
    };
    let mut slots =
        db.prepare("SELECT end_ns, records, other, counts FROM slot ORDER BY number")?;
    let slots = slots.query_map([], |row| {
        let shards = entries(row, 3, places)?
            .into_iter()
            .map(Vec::into_boxed_slice);
        Ok(KeptSlot {
            end: time(row, 0)?,
            shards: shards.collect(),
            records: figure(row, 1)?,
            other: figure(row, 2)?,
        })
    })?;
    ring.slots = slots.collect::<rusqlite::Result<_>>()?;
    Ok((!ring.slots.is_empty()).then_some(ring))
}

fn load_events(db: &Connection, places: &Places) -> rusqlite::Result<Option<KeptEvents>> {
    let event = "SELECT pane_ns, needed_ns, watermark_ns, earliest_ns, complete_ns FROM event";
    let event = db.query_row(event, [], |row| {
        Ok(KeptEvents {
            pane_nanos: row.get(0)?,
            needed_from: row.get(1)?,
            watermark: row.get(2)?,
            earliest: row.get(3)?,
            complete_from: row.get(4)?,
            ..KeptEvents::default()
        })
    });
    let Some(mut event) = event.optional()? else {
        return Ok(None);
    };
    let mut rows = db.prepare("SELECT length_ns, slide_ns, closed_ns FROM closed")?;
    let rows = rows.query_map([], |row| {
        let spec = WindowSpec {
            length_nanos: figure(row, 0)?,
            slide_nanos: figure(row, 1)?,
        };
        Ok((spec, row.get(2)?))
    })?;
    event.closed = rows.collect::<rusqlite::Result<_>>()?;
    let mut rows = db.prepare("SELECT source, time_ns FROM latest")?;
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    event.latest = rows.collect::<rusqlite::Result<_>>()?;
    let mut rows =
        db.prepare("SELECT start_ns, records, other, counts FROM pane ORDER BY start_ns")?;
    let rows = rows.query_map([], |row| {
        Ok(KeptPane {
            start: row.get(0)?,
            records: figure(row, 1)?,
            other: figure(row, 2)?,
            shards: entries(row, 3, places)?,
        })
    })?;
    event.panes = rows.collect::<rusqlite::Result<_>>()?;
    Ok(Some(event))
}

/// A list by shard and id.
fn entries(row: &Row<'_>, at: usize, places: &Places) -> rusqlite::Result<Vec<Vec<Entry>>> {
    let mut shards = vec![Vec::new(); places.shards()];
    for (key, count) in counts(row, at)? {
        let (shard, id) = places.of(key).ok_or_else(|| no_list(at))?;
        shards[shard].extend(Entry::of(id, count));
    }
    Ok(shards)
}

/// A list by row number.
pub(super) fn counts(row: &Row<'_>, at: usize) -> rusqlite::Result<Vec<Counted>> {
    unpack(row.get_ref(at)?.as_blob()?).ok_or_else(|| no_list(at))
}

fn no_list(at: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(at, "counts".to_owned(), Type::Blob)
}

pub(super) fn figure(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(at).map(|figure| figure as u64)
}

pub(super) fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<Timestamp> {
    row.get(at).map(Timestamp::from_nanos)
}
