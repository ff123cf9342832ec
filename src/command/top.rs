//! `tallyline top`: the live view of a run elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGTSTP;

use crate::cli::TopArgs;
use crate::command::signals::{Signalled, Signals};
use crate::config;
use crate::error::Error;
use crate::view::{Controls, Remote, watch};

pub(super) fn run(args: &TopArgs) -> Result<(), Error> {
    if !std::io::stdout().is_terminal() || config::is_dumb() {
        return Err(Error::Usage(format!(
            "top: standard output is no terminal; ask {}/api/v1/status instead",
            args.url.trim_end_matches('/')
        )));
    }
    let remote = Remote::connect(
        &args.url,
        args.token_file.as_deref(),
        args.tls_ca.as_deref(),
    )?;
    let controls = Controls {
        is_draining: Arc::default(),
        is_to_suspend: Arc::default(),
        notes: vec![args.url.clone()],
        tracks: None,
        color: config::is_coloured(args.color),
    };
    let is_closed = Arc::new(AtomicBool::new(false));
    let close = Arc::clone(&is_closed);
    Signals::wait(&[SIGTSTP])?.act_on(Signalled {
        // Relaxed: nothing comes with the flag.
        stop: Box::new(move || close.store(true, Ordering::Relaxed)),
        status: None,
        is_draining: Arc::default(),
        is_to_suspend: Some(Arc::clone(&controls.is_to_suspend)),
    });
    watch(remote, controls, &is_closed).map_err(|error| Error::System("use the terminal", error))
}
