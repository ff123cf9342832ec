//! The two kinds of records that everything is measured with.

use std::fmt::Write as _;

use fastrand::Rng;

/// The values of the key, `status`.
pub(crate) const STATUSES: [&str; 4] = ["PLACED", "CONFIRMED", "SHIPPED", "DELIVERED"];

/// Writes one of *orders*: 71 bytes on average, with the newline that is to come.
pub(crate) fn order(rng: &mut Rng, text: &mut String, status: &str) {
    let id = rng.u128(..);
    write!(text, r#"{{"order_id": "{id:032x}", "status": "{status}"}}"#)
        .expect("a String takes any text");
}

/// Writes one of *wide*: nested, 574 bytes on average, with the newline that is to come.
pub(crate) fn wide_order(rng: &mut Rng, text: &mut String, status: &str) {
    let (id, customer) = (rng.u128(..), rng.u32(10_000_000..100_000_000));
    write!(
        text,
        r#"{{"order_id": "{id:032x}", "placed_at": "2026-11-22T15:47:35.{:03}Z", "customer": {{"id": {customer}, "name": "Customer {customer}", "email": "c{customer}@shop.example", "address": {{"street": "Long Street {:03}", "city": "Springfield", "postcode": "{:05}", "country": "DE"}}, "vip": false}}, "items": ["#,
        rng.u16(..1000),
        rng.u16(100..1000),
        rng.u32(..100_000),
    )
    .expect("a String takes any text");
    for i in 0..3 {
        let comma = if i > 0 { ", " } else { "" };
        write!(
            text,
            r#"{comma}{{"sku": "SKU-{:06}", "quantity": {}, "price": {}.{:02}}}"#,
            rng.u32(..1_000_000),
            rng.u8(1..10),
            rng.u16(10..100),
            rng.u8(10..100),
        )
        .expect("a String takes any text");
    }
    write!(
        text,
        r#"], "status": "{status}", "payment": {{"method": "card", "currency": "EUR", "paid": true}}, "note": null}}"#
    )
    .expect("a String takes any text");
}
