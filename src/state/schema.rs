//! The tables of a state file.
//!
//! A key's row number is given once and stays, so that a batch changes rows by number and no index is
//! searched. Totals stand in a table of their own, apart from the keys' bytes: a batch that changes a tenth of
//! a million totals, here and there, writes a few thousand pages and not the whole file.
//!
//! `PRAGMA application_id` says that a database is ours, `user_version` of which version it is. A change of
//! the tables is a new version, with a step in the `upgrade` of [`open`](super::open). Version 2 brought
//! open windows and the history.

/// `tall`, in ASCII.
pub(super) const APPLICATION_ID: i32 = 0x7461_6C6C;

/// The version that this program writes.
pub(super) const VERSION: i32 = 2;

/// All tables. Every integer is signed; what can be any 64 bits (devices, hashes) is stored as it is.
pub(super) const TABLES: [&str; 2] = [TOTALS, WINDOWS];

/// What brings a file of version 1 up to date, beside the tables of [`WINDOWS`].
pub(super) const FROM_1: &str = "ALTER TABLE run ADD COLUMN outcome TEXT;";

/// What a file of version 1 has not, for those who only look: nothing, in the connection alone.
pub(super) const STAND_IN_FOR_1: &str =
    "CREATE TEMP VIEW run AS SELECT *, NULL AS outcome FROM main.run;";

/// Totals, positions, runs.
const TOTALS: &str = "
-- What the totals mean: the settings they were counted with. Several values of one have several rows.
CREATE TABLE setting (
    name TEXT NOT NULL,
    nth INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (name, nth)
) WITHOUT ROWID;

-- One row: the last batch that was saved, and where all lines of all batches went.
CREATE TABLE progress (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    batch INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    counted INTEGER NOT NULL,
    missing INTEGER NOT NULL,
    filtered INTEGER NOT NULL,
    malformed INTEGER NOT NULL,
    oversize INTEGER NOT NULL,
    blank INTEGER NOT NULL,
    late INTEGER NOT NULL,
    -- Records of keys beyond --max-keys, and those whose key is _other itself.
    overflow INTEGER NOT NULL,
    other INTEGER NOT NULL,
    -- With --sum: the sum of both, and the counted lines without a number that can be added.
    other_sum TEXT,
    unsummed INTEGER NOT NULL
);

-- kind: 0 null, 1 false, 2 true, 3 number, 4 string, 5 composite. text: a number's source text, a string's
-- value; of a composite key its parts one after the other, each behind a byte of 0xF8 and its kind.
CREATE TABLE key (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    text BLOB NOT NULL
);

CREATE TABLE total (
    key INTEGER PRIMARY KEY REFERENCES key (id),
    count INTEGER NOT NULL,
    -- With --sum, the exact decimal number as it is printed.
    sum TEXT
);

-- How far files are counted; stage: 0 being read, 1 read to its end, 2 passed over.
CREATE TABLE file (
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    name TEXT NOT NULL,
    head_bytes INTEGER NOT NULL,
    head_hash INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    is_cut INTEGER NOT NULL,
    length INTEGER NOT NULL,
    touched_ns INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    PRIMARY KEY (device, inode)
) WITHOUT ROWID;

-- How far the parts (partitions, shards) of other sources are counted.
CREATE TABLE part (
    source TEXT NOT NULL,
    part TEXT NOT NULL,
    next TEXT NOT NULL,
    PRIMARY KEY (source, part)
) WITHOUT ROWID;

-- The runs, the last one last; ended_ns is null while one is under way, and of one that was killed. outcome: how it
-- ended.
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    pid INTEGER NOT NULL,
    version TEXT NOT NULL,
    sources TEXT NOT NULL,
    started_ns INTEGER NOT NULL,
    first_batch INTEGER NOT NULL,
    ended_ns INTEGER,
    outcome TEXT
);
";

/// Open windows and history: the tables of version 2.
///
/// counts: of each key its row number, less that of the one before it, and its records, both as LEB128; beside them there
/// are the records under `_other`. They add up to records; in the history, with the keys that it does not tell of.
pub(super) const WINDOWS: &str = "
-- By arrival. One row: the interval of the batches, the first of them that is needed, and since when none is missing.
CREATE TABLE ring (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    every_ns INTEGER NOT NULL,
    first INTEGER NOT NULL,
    opened_ns INTEGER NOT NULL
);

-- By arrival: the batches that open windows are made of.
CREATE TABLE slot (
    number INTEGER PRIMARY KEY,
    end_ns INTEGER NOT NULL,
    records INTEGER NOT NULL,
    other INTEGER NOT NULL,
    counts BLOB NOT NULL
);

-- By event time. One row: the length of a pane, from when on panes are needed, the watermark, the earliest time that came,
-- and from when on no pane is missing.
CREATE TABLE event (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    pane_ns INTEGER NOT NULL,
    needed_ns INTEGER NOT NULL,
    watermark_ns INTEGER NOT NULL,
    earliest_ns INTEGER,
    complete_ns INTEGER NOT NULL
);

-- By event time: the spans of time that open windows are made of. What came in several batches stands in several rows.
CREATE TABLE pane (
    start_ns INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    records INTEGER NOT NULL,
    other INTEGER NOT NULL,
    counts BLOB NOT NULL,
    PRIMARY KEY (start_ns, batch)
);

-- By event time: up to when the windows have closed.
CREATE TABLE closed (
    length_ns INTEGER NOT NULL,
    slide_ns INTEGER NOT NULL,
    closed_ns INTEGER NOT NULL,
    PRIMARY KEY (length_ns, slide_ns)
) WITHOUT ROWID;

-- By event time: the latest time that came of each source.
CREATE TABLE latest (
    source TEXT PRIMARY KEY,
    time_ns INTEGER NOT NULL
) WITHOUT ROWID;

-- The history: batches, and of each the most frequent keys. totals: of the same keys, as LEB128.
CREATE TABLE batch (
    number INTEGER PRIMARY KEY,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    counted INTEGER NOT NULL,
    missing INTEGER NOT NULL,
    filtered INTEGER NOT NULL,
    malformed INTEGER NOT NULL,
    oversize INTEGER NOT NULL,
    blank INTEGER NOT NULL,
    late INTEGER NOT NULL,
    unsummed INTEGER NOT NULL,
    keys INTEGER NOT NULL,
    other INTEGER NOT NULL,
    counts BLOB NOT NULL,
    totals BLOB NOT NULL
);

-- The history: windows in the order in which they closed. covered: the part of them in which there were batches.
CREATE TABLE window (
    id INTEGER PRIMARY KEY,
    batch INTEGER NOT NULL,
    closed_ns INTEGER NOT NULL,
    length_ns INTEGER NOT NULL,
    slide_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    covered_from_ns INTEGER NOT NULL,
    covered_to_ns INTEGER NOT NULL,
    records INTEGER NOT NULL,
    keys INTEGER NOT NULL,
    other INTEGER NOT NULL,
    counts BLOB NOT NULL
);

-- A window that closes again, as after a clock that was set back between two runs, takes its own place.
CREATE UNIQUE INDEX window_end ON window (length_ns, slide_ns, end_ns);
";
