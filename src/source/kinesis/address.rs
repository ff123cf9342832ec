//! `STREAM` or `ARN`: what stands behind `kinesis://`.

use crate::error::Error;

/// The longest name of a stream.
const NAME_BYTES_MAX: usize = 128;

/// A stream, by name or, as somebody else's account needs it, by ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) stream: String,
    pub(super) arn: Option<Arn>,
}

/// `arn:aws:kinesis:REGION:ACCOUNT:stream/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arn {
    pub(super) text: String,
    pub(super) region: String,
}

impl Address {
    pub(super) fn parse(name: &str, address: &str) -> Result<Address, Error> {
        let wrong = |what: &str| {
            Error::Usage(format!(
                "source {name}: {what}; write kinesis://STREAM, or kinesis://arn:aws:kinesis:REGION:ACCOUNT:stream/STREAM"
            ))
        };
        let (stream, arn) = match address.starts_with("arn:") {
            true => Address::parse_arn(address).ok_or_else(|| wrong("that is no stream's ARN"))?,
            false => (address, None),
        };
        let is_in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let is_name = (1..=NAME_BYTES_MAX).contains(&stream.len());
        if !is_name || !stream.bytes().all(is_in_name) {
            return Err(wrong(
                "a stream's name is of letters, digits, dots, underscores and dashes",
            ));
        }
        Ok(Address {
            stream: stream.to_owned(),
            arn,
        })
    }

    fn parse_arn(text: &str) -> Option<(&str, Option<Arn>)> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let &[_, _, "kinesis", region, _, resource] = &parts[..] else {
            return None;
        };
        let arn = Arn {
            text: text.to_owned(),
            region: region.to_owned(),
        };
        Some((resource.strip_prefix("stream/")?, Some(arn)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_named_or_has_an_arn() {
        let named = Address::parse("k", "orders_1.x-y").unwrap();
        assert_eq!((&*named.stream, named.arn), ("orders_1.x-y", None));
        let text = "arn:aws:kinesis:eu-central-1:123456789012:stream/orders";
        let other = Address::parse("k", text).unwrap();
        let arn = other.arn.unwrap();
        assert_eq!((&*other.stream, &*arn.region), ("orders", "eu-central-1"));
        assert_eq!(arn.text, text);
    }

    #[test]
    fn what_makes_no_sense_is_wrong_usage() {
        let long = "x".repeat(129);
        for bad in [
            "",
            "two words",
            "localhost:4566/orders",
            "orders/1",
            "arn:aws:sqs:eu-central-1:1:orders",
            "arn:aws:kinesis:eu-central-1:1:consumer/orders",
            "arn:aws:kinesis:eu-central-1:1:stream/",
            &long,
        ] {
            let error = Address::parse("kinesis://x", bad).unwrap_err();
            assert_eq!(error.exit_status(), 2, "{bad}");
            let text = error.to_string();
            assert!(text.starts_with("source kinesis://x: "), "{text}");
        }
    }
}
