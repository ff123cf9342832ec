//! `BROKERS/TOPIC`: what stands behind `kafka://`.

/// The longest name of a topic.
const TOPIC_BYTES_MAX: usize = 249;

/// How an address is written.
pub(crate) const ADDRESS: &str =
    "write kafka://HOST:PORT/TOPIC, several brokers with commas between";

/// Brokers to ask first, and a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// `HOST:PORT`s with commas between, as librdkafka takes them.
    pub(crate) brokers: String,
    pub(crate) topic: String,
}

impl Address {
    /// Reads `HOST[:PORT][,HOST[:PORT]]…/TOPIC`; the port is 9092 unless given.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn parse(address: &str) -> Result<Address, &'static str> {
        let (brokers, topic) = address.split_once('/').ok_or("there is no topic")?;
        if !brokers.split(',').all(is_broker) {
            return Err("the brokers make no sense");
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_topic = !topic.is_empty() && topic.len() <= TOPIC_BYTES_MAX;
        if !is_topic || !topic.bytes().all(is_name) || topic == "." || topic == ".." {
            return Err("a topic's name is of letters, digits, dots, underscores and dashes");
        }
        Ok(Address {
            brokers: brokers.to_owned(),
            topic: topic.to_owned(),
        })
    }
}

fn is_broker(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        // An IPv6 address stands in brackets, and the port behind them.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_host = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '@');
    is_host && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_and_a_topic() {
        for (address, brokers, topic) in [
            ("localhost:9092/orders", "localhost:9092", "orders"),
            ("a,b:1/x.y-z_1", "a,b:1", "x.y-z_1"),
            ("[::1]:9092/t", "[::1]:9092", "t"),
            ("[::1]/t", "[::1]", "t"),
        ] {
            let parsed = Address::parse(address).unwrap();
            assert_eq!((&*parsed.brokers, &*parsed.topic), (brokers, topic));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for bad in [
            "",
            "localhost",
            "localhost:9092",
            "localhost:9092/",
            "/orders",
            "a:x/t",
            "a:0/t",
            "a,,b/t",
            "user:secret@a:1/t",
            "a:1/^orders",
            "a:1/two words",
            "a:1/t/2",
            "a:1/..",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
