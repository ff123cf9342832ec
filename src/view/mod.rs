//! The live view: a run, drawn on a terminal while it lasts.
//!
//! What is drawn is a [`Picture`], plain data, made of what this process shows of itself
//! ([`live`](crate::live)), or of what another one tells over HTTP ([`Remote`], for `tallyline top`). How it is looked at (order, filter, place) is a [`Look`], which keys change.
//! [`draw`] puts both on a frame and does nothing else, so tests draw into memory. [`Screen`] has the
//! terminal, and gives it back whatever ends the program. [`Viewer`] is the thread that does these in turn;
//! [`AtEnd`] keeps the plain output back until the view is closed.
//!
//! - Nobody waits for the view: it takes the last snapshot when it is about to draw. Pausing it stops the
//!   drawing of new ones, never the counting.
//! - A frame is drawn when something has changed, twenty times a second at the most.
//! - Whatever comes from the stream passes through [`text`](crate::sink::text) before it is drawn.
//! - Warnings do not tear the screen: they are kept ([`progress`](crate::progress)), shown in a pane, and
//!   written to standard error when the view is closed.

mod draw;
mod look;
mod picture;
mod remote;
mod screen;
mod viewer;

pub use draw::{Scene, draw};
pub use look::{Act, Look, Sort};
pub use picture::{EndLine, KeyNow, Picture, Subject, WindowNow};
pub use remote::Remote;
pub use screen::{Screen, restore};
pub use viewer::{AtEnd, Controls, Viewer, ViewerSlot, watch};
