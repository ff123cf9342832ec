//! What is behind the batches and windows that are shown: those that the state keeps (`--state`), of earlier runs too.
//!
//! Read on a thread for what takes its time, by one request at a time, so that neither the thread that serves waits for the
//! disk nor many requests keep it busy; who has waited for [`PATIENCE`] is told to come again. A page is bounded by its
//! rows ([`Archive`]).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::error::Error;
use crate::live::{Batch, KeyCount, KeyCounts, Window};
use crate::state::{Archive, Page, PastBatch, PastKeys, PastWindow};
use crate::window::WindowSpec;

/// How long a request waits for the disk, and for those before it.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct History {
    path: PathBuf,
    /// Opened when it is first asked for, and anew when that has failed.
    archive: Arc<Mutex<Option<Archive>>>,
}

impl History {
    /// Of the state file at `path`.
    pub(super) fn new(path: PathBuf) -> History {
        History {
            path,
            archive: Arc::default(),
        }
    }

    /// A page of batches, in order of time. Otherwise tells why there is none.
    pub(super) async fn batches(&self, page: Page) -> Result<Vec<Arc<Batch>>, String> {
        self.read(move |archive| {
            let batches = archive.batches(page)?;
            Ok(batches.into_iter().map(batch).map(Arc::new).collect())
        })
        .await
    }

    /// A page of the windows of a kind, in order of time. Otherwise tells why there is none.
    pub(super) async fn windows(
        &self,
        spec: WindowSpec,
        page: Page,
    ) -> Result<Vec<Arc<Window>>, String> {
        self.read(move |archive| {
            let windows = archive.windows(spec, page)?;
            Ok(windows.into_iter().map(window).map(Arc::new).collect())
        })
        .await
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Archive) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, String> {
        let turn = async {
            let mut slot = Arc::clone(&self.archive).lock_owned().await;
            let path = self.path.clone();
            spawn_blocking(move || {
                let archive = match slot.take() {
                    Some(archive) => archive,
                    None => Archive::open(&path)?,
                };
                let found = read(&archive)?;
                *slot = Some(archive);
                Ok(found)
            })
            .await
        };
        match timeout(PATIENCE, turn).await {
            Ok(Ok(found)) => found.map_err(|error: Error| error.to_string()),
            Ok(Err(_)) => Err("the state could not be read".to_owned()),
            Err(_) => Err("the state takes too long; ask again later".to_owned()),
        }
    }
}

/// A batch as it is shown; how it went is not in the history.
fn batch(past: PastBatch) -> Batch {
    Batch {
        batch: past.batch,
        start: past.start,
        end: past.end,
        ledger: past.ledger,
        counts: counts(past.keys),
        pace: None,
    }
}

/// A window as it is shown; what grew in it is not in the history.
fn window(past: PastWindow) -> Window {
    Window {
        spec: past.spec,
        start: past.spec.start(past.end),
        end: past.end,
        covered: past.covered,
        is_final: true,
        counts: counts(past.keys),
        trending: None,
    }
}

fn counts(past: PastKeys) -> KeyCounts {
    let rows = past.rows.into_iter().map(|row| KeyCount {
        key: Arc::new(row.key),
        count: row.count,
        total: row.total,
        sums: None,
    });
    KeyCounts {
        shown: rows.collect(),
        hidden: past.hidden,
    }
}
