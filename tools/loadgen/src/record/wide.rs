//! A nested order of about 574 bytes, as a shop's order service would send it.
//!
//! A few variants (customer, city, items, note) are spelled out once; per record one is copied and its digits, id and
//! key are overwritten. In a variant's text `%` is a random digit, `<id>` the order id and `<key>` the key. Numbers
//! start with a fixed digit, so that none has a leading zero.

use super::{LANE_FIELDS, LANE_ID, Layout, Placed};
use crate::keys::Cell;
use crate::mix::{LANES, Words, below, digits8, hex32};

/// The *wide* shape.
pub(crate) struct Wide {
    variants: Vec<Variant>,
}

struct Variant {
    /// The bytes up to the key, with `0` in place of every random digit.
    head: Vec<u8>,
    /// The bytes behind the key, the newline included.
    tail: Vec<u8>,
    /// `id_at + 32 <= head.len()`.
    id_at: usize,
    /// Runs of digits in `head`.
    digits: Vec<Digits>,
}

/// Up to eight bytes of the head in which the masked ones are random digits: `at + 8 <= head.len()`.
struct Digits {
    at: usize,
    mask: u64,
}

struct Person {
    name: &'static str,
    mail: &'static str,
    street: &'static str,
    city: &'static str,
    country: &'static str,
    note: &'static str,
    payment: &'static str,
    gift: bool,
}

const PEOPLE: [Person; 5] = [
    Person {
        name: "Zoë Ångström",
        mail: "zoe.angstrom",
        street: "Långgatan",
        city: "Göteborg",
        country: "SE",
        note: r#"Ring \"2B\",\nthen leave it at the door"#,
        payment: "CAPTURED",
        gift: false,
    },
    Person {
        name: "Jürgen Müller",
        mail: "j.mueller",
        street: "Königstraße",
        city: "Düsseldorf",
        country: "DE",
        note: r"Hinterhof, 2. Stock\tlinks",
        payment: "AUTHORISED",
        gift: true,
    },
    Person {
        name: "María José Núñez",
        mail: "mj.nunez",
        street: "Calle de Alcalá",
        city: "Madrid",
        country: "ES",
        note: r"Regalo: \u00a1Feliz cumplea\u00f1os!",
        payment: "CAPTURED",
        gift: true,
    },
    Person {
        name: "佐藤 美咲",
        mail: "misaki.sato",
        street: "Aoyama-dori",
        city: "東京",
        country: "JP",
        note: r"c:\\orders\\fragile \ud83d\ude00",
        payment: "PENDING",
        gift: false,
    },
    Person {
        name: "Chloé Lefèvre",
        mail: "chloe.lefevre",
        street: "Rue de l'Été",
        city: "Orléans",
        country: "FR",
        note: r#"Code \"A17\" \/ apr\u00e8s 18 h"#,
        payment: "REFUNDED",
        gift: false,
    },
];

impl Person {
    fn text(&self) -> String {
        let Person {
            name,
            mail,
            street,
            city,
            country,
            note,
            payment,
            gift,
        } = self;
        format!(
            concat!(
                r#"{{"order_id": "<id>", "customer": {{"id": 4%%%%, "name": "{}", "#,
                r#""email": "{}%%%%@example.com", "address": {{"street": "{} 1%%", "city": "{}", "#,
                r#""country": "{}"}}}}, "items": ["#,
                r#"{{"sku": "SKU-%%%%%%", "qty": 2, "price": 1%%.%%}}, "#,
                r#"{{"sku": "SKU-%%%%%%", "qty": 1, "price": 2%.%%}}], "#,
                r#""payment": {{"status": "{}", "amount": 3%%.%%, "currency": "EUR"}}, "#,
                r#""score": -2.%%e-3, "gift": {}, "coupon": null, "note": "{}", "#,
                r#""at": "2026-11-2%T1%:3%:4%.%%%Z", "status": "<key>", "channel": "web"}}"#,
                "\n"
            ),
            name, mail, street, city, country, payment, gift, note
        )
    }
}

impl Wide {
    pub(crate) fn new() -> Self {
        Wide {
            variants: PEOPLE
                .iter()
                .map(|person| Variant::new(&person.text()))
                .collect(),
        }
    }
}

impl Variant {
    fn new(text: &str) -> Self {
        let (head, tail) = text.split_once("<key>").expect("every variant has a key");
        let id_at = head.find("<id>").expect("every variant has an id");
        let mut head = head.replace("<id>", &"0".repeat(32)).into_bytes();
        let mut digits: Vec<Digits> = Vec::new();
        for at in (0..head.len()).filter(|&at| head[at] == b'%') {
            match digits.last_mut() {
                Some(run) if at < run.at + 8 => run.mask |= 0x0F << (8 * (at - run.at)),
                _ => digits.push(Digits { at, mask: 0x0F }),
            }
        }
        assert!(
            digits.len() as u64 + LANE_FIELDS < LANES,
            "{} runs of digits need more lanes",
            digits.len()
        );
        assert!(digits.iter().all(|run| run.at + 8 <= head.len()));
        head.iter_mut()
            .filter(|byte| **byte == b'%')
            .for_each(|byte| *byte = b'0');
        assert!(
            head.len() + 16 + tail.len() <= Wide::ROOM,
            "a variant of {} bytes needs more room",
            text.len()
        );
        Variant {
            head,
            tail: tail.into(),
            id_at,
            digits,
        }
    }
}

impl Layout for Wide {
    const ROOM: usize = 1024;

    #[inline(always)]
    fn put(&self, room: &mut [u8], words: Words, key: &Cell) -> Placed {
        let variant =
            &self.variants[below(words.lane(LANE_FIELDS), self.variants.len() as u64) as usize];
        let Variant {
            head,
            tail,
            id_at,
            digits,
        } = variant;
        room[..head.len()].copy_from_slice(head);
        room[*id_at..id_at + 32]
            .copy_from_slice(&hex32(words.lane(LANE_ID), words.lane(LANE_ID + 1)));
        for (lane, run) in (LANE_FIELDS + 1..).zip(digits) {
            let cell: &mut [u8; 8] = room[run.at..]
                .first_chunk_mut()
                .expect("at + 8 <= head.len()");
            let filled = u64::from_le_bytes(*cell) + (digits8(words.lane(lane)) & run.mask);
            *cell = filled.to_le_bytes();
        }
        room[head.len()..head.len() + 16].copy_from_slice(&key.0);
        let tail_at = head.len() + key.len();
        room[tail_at..tail_at + tail.len()].copy_from_slice(tail);
        Placed {
            len: tail_at + tail.len(),
            key_at: head.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::keys::cells;

    #[test]
    fn every_variant_is_json_with_a_status_of_its_own_and_a_nested_one() {
        let wide = Wide::new();
        let cells = cells(4);
        let mut bytes = 0;
        for record in 0..1000 {
            let mut room = [0; Wide::ROOM];
            let placed = wide.put(
                &mut room,
                Words::of(1, record),
                &cells[(record % 4) as usize],
            );
            let line = &room[..placed.len];
            bytes += line.len();
            let value: Value = serde_json::from_slice(line)
                .unwrap_or_else(|e| panic!("{e}: {}", line.escape_ascii()));
            let status = value["status"].as_str().expect("a string");
            assert!(room[placed.key_at..].starts_with(status.as_bytes()));
            assert_ne!(value["payment"]["status"], value["status"]);
            assert_eq!(value["order_id"].as_str().map(str::len), Some(32));
            assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
            assert!(!line.is_ascii() && line.contains(&b'\\'));
        }
        assert!(
            (564..=584).contains(&(bytes / 1000)),
            "{} bytes on average",
            bytes / 1000
        );
    }
}
