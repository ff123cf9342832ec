//! What a stream consists of: shape, keys, share of bad lines, seed.
//!
//! The caller fills a [`Spec`]; [`Generator::new`](crate::Generator::new) checks it. Two equal specs give the same
//! bytes, always, except that the Zipf weights go through the platform's `pow`, which may differ in its last bit
//! between platforms.

use std::fmt;

/// The most keys a stream may have.
pub const KEYS_MAX: u64 = 10_000_000;
/// The largest Zipf exponent.
pub const ZIPF_MAX: f64 = 10.0;

/// How a record looks. Both have the key as a top-level string member `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `{"order_id": "<32 hex>", "status": "PLACED"}`: with four keys 71 bytes on average, the newline included.
    Order,
    /// A nested order of about 574 bytes: customer with address, items, numbers, booleans, null, escapes, non-ASCII
    /// text, and `status` after an object that has a `status` of its own.
    Wide,
}

/// The description of a stream. [`Spec::default`] is the tutorial's: *order*, four keys equally often, no bad lines,
/// seed 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// How a record looks. Default: [`Shape::Order`].
    pub shape: Shape,
    /// Distinct keys, `1..=KEYS_MAX`. The first four are PLACED, SHIPPED, DELIVERED and CANCELLED, the others
    /// `KEY_000004` and so on, of one width. Default: 4.
    pub keys: u64,
    /// Zipf exponent `s`, `0.0..=ZIPF_MAX`: key number `k` (from 1) has a weight of `1 / k^s`. Default: 0, all alike.
    pub zipf: f64,
    /// Share of lines that are not JSON, `0.0..=1.0`. Default: 0.
    pub malformed: f64,
    /// Share of lines that are JSON but have no scalar `status` at the top, `0.0..=1.0`; with `malformed` at most 1.
    /// Default: 0.
    pub missing: f64,
    /// The seed; another one gives another stream. Default: 1.
    pub seed: u64,
}

impl Default for Spec {
    fn default() -> Self {
        Spec {
            shape: Shape::Order,
            keys: 4,
            zipf: 0.0,
            malformed: 0.0,
            missing: 0.0,
            seed: 1,
        }
    }
}

impl Spec {
    /// Checks the ranges of all fields.
    ///
    /// # Errors
    ///
    /// The first field that is out of its range.
    pub fn check(&self) -> Result<(), SpecError> {
        let field = |name, value: &dyn fmt::Display, remedy| {
            Err(SpecError {
                field: name,
                value: value.to_string(),
                remedy,
            })
        };
        if !(1..=KEYS_MAX).contains(&self.keys) {
            return field("keys", &self.keys, "give 1 to 10,000,000");
        }
        if !(0.0..=ZIPF_MAX).contains(&self.zipf) {
            return field(
                "zipf",
                &self.zipf,
                "give an exponent from 0 (all keys alike) to 10",
            );
        }
        if !(0.0..=1.0).contains(&self.malformed) {
            return field(
                "malformed",
                &self.malformed,
                "give a share from 0 to 1, or 0% to 100%",
            );
        }
        if !(0.0..=1.0).contains(&self.missing) {
            return field(
                "missing",
                &self.missing,
                "give a share from 0 to 1, or 0% to 100%",
            );
        }
        if self.malformed + self.missing > 1.0 {
            return field(
                "missing",
                &self.missing,
                "together with malformed it may be at most 1",
            );
        }
        Ok(())
    }
}

/// A field of a [`Spec`] that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    /// The field's name, which is the flag's name without the dashes.
    pub field: &'static str,
    /// The value it had.
    pub value: String,
    /// What to give instead.
    pub remedy: &'static str,
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} is out of range: {}",
            self.field, self.value, self.remedy
        )
    }
}

impl std::error::Error for SpecError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked() {
        let bad = |spec: Spec| spec.check().expect_err("out of range").field;
        assert_eq!(Spec::default().check(), Ok(()));
        assert_eq!(
            bad(Spec {
                keys: 0,
                ..Spec::default()
            }),
            "keys"
        );
        assert_eq!(
            bad(Spec {
                keys: KEYS_MAX + 1,
                ..Spec::default()
            }),
            "keys"
        );
        assert_eq!(
            bad(Spec {
                zipf: -1.0,
                ..Spec::default()
            }),
            "zipf"
        );
        assert_eq!(
            bad(Spec {
                zipf: f64::NAN,
                ..Spec::default()
            }),
            "zipf"
        );
        assert_eq!(
            bad(Spec {
                malformed: 1.1,
                ..Spec::default()
            }),
            "malformed"
        );
        assert_eq!(
            bad(Spec {
                malformed: 0.6,
                missing: 0.6,
                ..Spec::default()
            }),
            "missing"
        );
    }
}
