/// A host and port, as in `listeners`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

impl HostPort {
    /// Reads `host:port`, `[ipv6]:port`, or `:port` (all interfaces).
    pub fn parse(text: &str) -> Result<HostPort, String> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once("]:").ok_or("an IPv6 address is written [::1]:9092")?,
            None => text.rsplit_once(':').ok_or("host:port is wanted, as in 0.0.0.0:9092")?,
        };
        if !text.starts_with('[') && host.contains(':') {
            return Err("an IPv6 address is written in brackets, as in [::1]:9092".to_string());
        }
        let port = port.parse().map_err(|_| format!("'{port}' is not a port (0 to 65535)"))?;
        let host = if host.is_empty() { "0.0.0.0" } else { host };
        Ok(HostPort { host: host.to_string(), port })
    }

    /// The addresses to bind.
    ///
    /// # Errors
    /// The host does not resolve.
    pub fn resolve(&self) -> std::io::Result<Vec<std::net::SocketAddr>> {
        use std::net::ToSocketAddrs;
        Ok((self.host.as_str(), self.port).to_socket_addrs()?.collect())
    }
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Reads Kafka's `listeners`: `NAME://host:port`, separated by commas; the name may be left out.
///
/// # Errors
/// What is wrong with the first wrong one.
pub fn parse_listeners(text: &str) -> Result<Vec<HostPort>, String> {
    text.split(',').map(|one| parse_listener(one.trim())).collect()
}

fn parse_listener(text: &str) -> Result<HostPort, String> {
    match text.split_once("://") {
        None => HostPort::parse(text),
        Some(("PLAINTEXT", address)) => HostPort::parse(address),
        Some((other, _)) => {
            Err(format!("the protocol '{other}' is not served yet; allowed: PLAINTEXT"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_kafka_writes_them() {
        for (text, host, port) in [
            ("PLAINTEXT://0.0.0.0:9092", "0.0.0.0", 9092),
            ("PLAINTEXT://[::1]:19092", "::1", 19092),
            ("PLAINTEXT://:9092", "0.0.0.0", 9092),
            ("broker.example:1", "broker.example", 1),
        ] {
            let found = parse_listeners(text).expect(text);
            assert_eq!(found, [HostPort { host: host.to_string(), port }]);
        }
        assert_eq!(parse_listeners("a:1, [::]:2").expect("two").len(), 2);
        for text in ["::1:9092", "host", "host:70000", "SSL://h:1", ""] {
            assert!(parse_listeners(text).is_err(), "{text}");
        }
    }
}
