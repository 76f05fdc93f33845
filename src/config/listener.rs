use std::collections::BTreeMap;

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

/// An entry of Kafka's `listeners`: `NAME://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedListener {
    pub name: String,
    pub address: HostPort,
}

/// What a listener is called that has no name.
pub const PLAINTEXT: &str = "PLAINTEXT";

/// Reads Kafka's `listeners`: `NAME://host:port`, separated by commas; the name may be left out.
///
/// # Errors
/// What is wrong with the first wrong one.
pub fn parse_named(text: &str) -> Result<Vec<NamedListener>, String> {
    text.split(',').map(|one| parse_listener(one.trim())).collect()
}

fn parse_listener(text: &str) -> Result<NamedListener, String> {
    let (name, address) = text.split_once("://").unwrap_or((PLAINTEXT, text));
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(fits) {
        return Err(format!("'{name}' is no listener's name: PLAINTEXT://host:port is wanted"));
    }
    Ok(NamedListener { name: name.to_string(), address: HostPort::parse(address)? })
}

/// Reads `listener.security.protocol.map`: `NAME:PROTOCOL`, separated by commas.
///
/// # Errors
/// What is wrong with the first wrong one.
pub fn parse_protocols(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut map = BTreeMap::new();
    for pair in super::entries(text) {
        let (name, protocol) = pair.split_once(':').ok_or("NAME:PROTOCOL pairs are wanted")?;
        if !PROTOCOLS.contains(&protocol) {
            return Err(format!(
                "there is no security protocol '{protocol}'; there are {}",
                PROTOCOLS.join(", ")
            ));
        }
        if map.insert(name.to_string(), protocol.to_string()).is_some() {
            return Err(format!("the listener {name} is there twice"));
        }
    }
    Ok(map)
}

const PROTOCOLS: [&str; 4] = [PLAINTEXT, "SSL", "SASL_PLAINTEXT", "SASL_SSL"];

/// What Kafka takes names for where no map is given.
pub fn usual_protocols() -> BTreeMap<String, String> {
    PROTOCOLS.iter().map(|name| (name.to_string(), name.to_string())).collect()
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
            let found = parse_named(text).expect(text);
            let address = HostPort { host: host.to_string(), port };
            assert_eq!(found, [NamedListener { name: PLAINTEXT.to_string(), address }]);
        }
        assert_eq!(parse_named("a:1, [::]:2").expect("two").len(), 2);
        for text in ["::1:9092", "host", "host:70000", "://h:1", "A B://h:1", ""] {
            assert!(parse_named(text).is_err(), "{text}");
        }
        for text in ["A", "A:B", "A:SSL,A:PLAINTEXT"] {
            assert!(parse_protocols(text).is_err(), "{text}");
        }
    }
}
