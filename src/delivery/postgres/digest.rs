//! Which of many totals in the table are not as they should be, found without sending them.
//!
//! At the end of a run all totals are to stand there, and as a rule they do: batches have left them so. Both sides
//! digest their rows in 256 parts, by the first byte of the key's hash, and only the rows of parts whose digests differ
//! are sent. The table's half of it is a statement, a second for a million rows, where sending and comparing them took
//! four.

use sha2::{Digest, Sha256};

use super::line::Line;
use crate::delivery::outlet::Refusal;
use crate::sink::{Row, RowSums};

/// A row, and its key's hash.
pub(super) type Hashed<'a> = ([u8; 32], &'a Row<'a>);

/// The digests of a table's parts.
pub(super) struct Digests([Option<[u8; 32]>; 256]);

impl Digests {
    /// Of the totals of a job.
    pub(super) fn of(line: &Line, totals: &str, job: &str) -> Result<Digests, Refusal> {
        // In the bytes that `digest` makes: a sum has no semicolon, and all else has its length.
        let parts = format!(
            "SELECT get_byte(key_hash, 0), sha256(string_agg(key_hash || int8send(total) || \
             convert_to(coalesce(total_sum::text, '') || ';', 'UTF8'), ''::bytea ORDER BY key_hash)) \
             FROM {totals} WHERE job = $1 GROUP BY 1"
        );
        let mut digests = [None; 256];
        for part in line.query(&parts, &[&job])? {
            let (part, digest): (i32, &[u8]) = (part.get(0), part.get(1));
            let known = usize::try_from(part)
                .ok()
                .and_then(|part| digests.get_mut(part));
            if let Some(known) = known {
                *known = digest.try_into().ok();
            }
        }
        Ok(Digests(digests))
    }

    /// The rows of parts that are others here, of rows by the order of their hashes.
    pub(super) fn differing<'a>(&self, rows: Vec<Hashed<'a>>) -> Vec<Hashed<'a>> {
        let parts = rows.chunk_by(|(a, _), (b, _)| a[0] == b[0]);
        let others = parts.filter(|part| self.0[usize::from(part[0].0[0])] != Some(digest(part)));
        let others = others.collect::<Vec<_>>();
        tracing::debug!("{} of 256 parts of the totals differ", others.len());
        others.concat()
    }
}

fn digest(rows: &[Hashed<'_>]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for (hash, row) in rows {
        digest.update(hash);
        digest.update(row.total.to_be_bytes());
        if let Some(RowSums { total, .. }) = row.sums {
            digest.update(total.to_string());
        }
        digest.update(b";");
    }
    digest.finalize().into()
}
