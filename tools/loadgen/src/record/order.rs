//! The tutorial's record: `{"order_id": "<32 hex>", "status": "PLACED"}`.
//!
//! 60 bytes up to the key, the key's cell, three bytes to close: four wide copies and no branch.

use super::{LANE_ID, Layout, Placed};
use crate::keys::Cell;
use crate::mix::{Words, hex32};

const HEAD: &[u8; 14] = br#"{"order_id": ""#;
const MIDDLE: &[u8; 14] = br#"", "status": ""#;
/// A fourth byte makes it one store.
const TAIL: &[u8; 4] = b"\"}\n\0";

const ID_AT: usize = HEAD.len();
const MIDDLE_AT: usize = ID_AT + 32;
const KEY_AT: usize = MIDDLE_AT + MIDDLE.len();

/// The *order* shape. It has no state.
pub(crate) struct Order;

impl Layout for Order {
    const ROOM: usize = 96;

    #[inline(always)]
    fn put(&self, room: &mut [u8], words: Words, key: &Cell) -> Placed {
        let room: &mut [u8; Order::ROOM] = room
            .first_chunk_mut()
            .expect("the caller leaves ROOM bytes");
        room[..ID_AT].copy_from_slice(HEAD);
        room[ID_AT..MIDDLE_AT]
            .copy_from_slice(&hex32(words.lane(LANE_ID), words.lane(LANE_ID + 1)));
        room[MIDDLE_AT..KEY_AT].copy_from_slice(MIDDLE);
        room[KEY_AT..KEY_AT + 16].copy_from_slice(&key.0);
        let tail_at = KEY_AT + key.len();
        room[tail_at..tail_at + 4].copy_from_slice(TAIL);
        Placed {
            len: tail_at + 3,
            key_at: KEY_AT,
        }
    }
}
