//! What a sink has to be able to do, and which sinks there are.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::exec::ExecOutlet;
use super::file::FileOutlet;
use super::http::HttpOutlet;
use super::parcel::Parcel;
use super::spec::{SinkSpec, Target};
use crate::error::{Error, reason};
use crate::sink::SinkOptions;

/// How long it is waited, as a run begins, for a sink to say that it could take parcels.
pub(super) const CHECK_WAIT: Duration = Duration::from_secs(10);

/// Takes parcels, one at a time, in the order of the batches.
///
/// A parcel that was not taken is handed over again, and so may one be that was taken in part, or wholly by a process
/// that died before it could say so: what makes that harmless is the outlet's matter.
pub trait Outlet: Send {
    /// Sees whether it could take a parcel, within some seconds, and changes nothing that others see. Says what it found.
    ///
    /// # Errors
    /// Why it could not.
    fn check(&mut self) -> Result<String, Refusal>;

    /// Makes ready for a parcel. A sink that cannot tell its own work of an earlier run from what was there before
    /// says where it stands if that has changed since it last said so: with a state it is asked to deliver only when
    /// that is saved.
    ///
    /// # Errors
    /// Why it cannot.
    fn begin(&mut self, _parcel: &Parcel) -> Result<Option<String>, Refusal> {
        Ok(None)
    }

    /// Takes a parcel, for which it was made ready. When that is cut off nobody waits for it any more, and what it has
    /// started is to end.
    ///
    /// # Errors
    /// Why it does not.
    fn deliver(&mut self, parcel: &Parcel, cut: &Cut) -> Result<Receipt, Refusal>;

    /// What it keeps at the most beside the parcel at hand, in bytes, if that is worth counting.
    fn own_bytes_max(&self) -> u64 {
        0
    }

    /// Nothing follows.
    ///
    /// # Errors
    /// What could not be brought to its end; it is not tried again.
    fn finish(&mut self) -> Result<(), Refusal> {
        Ok(())
    }
}

/// Says that an attempt is of no use any more, though it is under way.
#[derive(Clone, Debug, Default)]
pub struct Cut(Arc<AtomicBool>);

impl Cut {
    /// Says so.
    pub(super) fn cut(&self) {
        // Relaxed, as below: it says no more than itself.
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was said.
    pub fn is_cut(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Rows that it has now.
    pub rows: u64,
    /// Where it stands now, in its own words; saved with the state, and given back to it at the next start.
    pub mark: Option<String>,
}

/// Why a parcel was not taken. The text is lower case, without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It may be taken later; not before so long, if the sink says so.
    Later(String, Option<Duration>),
    /// Somebody has to do something first: at the start of a run that ends it; later it is as [`Refusal::Later`].
    Wrong(String),
    /// It will never be taken: other parcels may.
    Never(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Later(text, _) | Refusal::Wrong(text) | Refusal::Never(text) => {
                f.write_str(text)
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// As which it comes through where something is written.
impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> io::Error {
        io::Error::other(refusal)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        let error = match error.downcast() {
            Ok(refusal) => return refusal,
            Err(error) => error,
        };
        let text = reason(&error);
        match error.kind() {
            io::ErrorKind::InvalidData => Refusal::Never(text),
            _ => Refusal::Later(text, None),
        }
    }
}

/// What sinks need to know of the run.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// What results are known by, where several programs deliver to one place.
    pub job: String,
    /// Whether a state notes what was taken.
    pub has_state: bool,
    /// Parts of a key, sums, growth: what rows look like.
    pub rows: SinkOptions,
}

/// Makes a sink ready to be checked; `mark` is what it said of itself last, if there is a state.
///
/// # Errors
/// If the build leaves it out, or a file that it needs cannot be read.
pub fn open(
    spec: &SinkSpec,
    context: &Context,
    mark: Option<&str>,
) -> Result<Box<dyn Outlet>, Error> {
    match &spec.target {
        Target::File(path, options) => {
            let outlet = FileOutlet::new(path, options, spec, context, mark);
            Ok(Box::new(outlet))
        }
        Target::Exec(command) => Ok(Box::new(ExecOutlet::new(command, spec, context))),
        #[cfg(feature = "kafka")]
        Target::Kafka(url, properties) => {
            let outlet = super::kafka::KafkaOutlet::new(url, properties, spec, context)?;
            Ok(Box::new(outlet))
        }
        #[cfg(not(feature = "kafka"))]
        Target::Kafka(..) => Err(Error::Setting {
            name: "to",
            value: spec.name(),
            remedy: "this build leaves Kafka out; build it with --features kafka".to_owned(),
        }),
        Target::Http(url, options) => Ok(Box::new(HttpOutlet::new(url, options, spec, context)?)),
        #[cfg(feature = "postgres")]
        Target::Postgres(url, options) => {
            let outlet = super::postgres::PostgresOutlet::new(url, options, spec, context)?;
            Ok(Box::new(outlet))
        }
        #[cfg(not(feature = "postgres"))]
        Target::Postgres(..) => Err(Error::Setting {
            name: "to",
            value: spec.name(),
            remedy: "this build leaves PostgreSQL out; build it with --features postgres"
                .to_owned(),
        }),
    }
}
