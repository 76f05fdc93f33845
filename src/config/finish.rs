//! What settings mean together: listeners by their roles, and contradictions.

use super::{BrokerConfig, HostPort, NamedListener};

/// What a file says of the controllers. Nothing is connected to: it has to fit what is done here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quorum {
    /// As `id@host:port`.
    pub voters: Vec<String>,
    pub servers: Vec<String>,
    /// Of listeners.
    pub listener_names: Vec<String>,
    pub inter_broker: Option<String>,
}

impl BrokerConfig {
    /// Settles what depends on several settings.
    ///
    /// # Errors
    /// The settings contradict each other; what to do.
    pub fn finish(&mut self) -> Result<(), String> {
        self.check_quorum()?;
        self.settle_listeners()?;
        let limits = &self.group_limits;
        if limits.min_session_timeout_ms > limits.max_session_timeout_ms {
            return Err(format!(
                "group.min.session.timeout.ms = {} is more than group.max.session.timeout.ms = {}",
                limits.min_session_timeout_ms, limits.max_session_timeout_ms
            ));
        }
        self.check()
    }

    /// # Errors
    /// Settings that may change while the broker runs, or that others depend on, contradict each
    /// other.
    pub fn check(&self) -> Result<(), String> {
        self.consumer_limits.check()?;
        self.share_limits.check()?;
        self.topic_defaults.check()
    }

    /// `listeners` with `address` for those that clients connect to, and the controller's as they are.
    pub fn with_controller(&self, address: &str) -> String {
        let controllers = &self.quorum.listener_names;
        let of_it = |one: &&NamedListener| controllers.contains(&one.name);
        let name = self.named_listeners.iter().find(|one| !of_it(one)).map(|one| &one.name[..]);
        let first = match address.contains("://") {
            true => address.to_string(),
            false => format!("{}://{address}", name.unwrap_or("PLAINTEXT")),
        };
        let kept = self.named_listeners.iter().filter(of_it);
        let kept = kept.map(|one| format!("{}://{}", one.name, one.address));
        std::iter::once(first).chain(kept).collect::<Vec<_>>().join(",")
    }

    fn check_quorum(&self) -> Result<(), String> {
        let id = self.node_id.to_string();
        match &self.quorum.voters[..] {
            [] => {}
            [one] if one.split_once('@').is_some_and(|(voter, _)| voter == id) => {}
            [one] => {
                return Err(format!(
                    "controller.quorum.voters = {one}: it has to be {id}@host:port, with node.id"
                ))
            }
            _ => {
                return Err(
                    "controller.quorum.voters: one is allowed: Corelane is one node yet".into()
                )
            }
        }
        if self.quorum.servers.len() > 1 {
            return Err(
                "controller.quorum.bootstrap.servers: one is allowed: Corelane is one node yet"
                    .into(),
            );
        }
        Ok(())
    }

    /// The listeners to open are those that are not the controller's.
    fn settle_listeners(&mut self) -> Result<(), String> {
        let name = |one: &NamedListener| one.name.clone();
        let names: Vec<String> = self.named_listeners.iter().map(name).collect();
        for (at, one) in self.named_listeners.iter().enumerate() {
            let twice = |other: &NamedListener| other.address == one.address;
            if one.address.port != 0 && self.named_listeners[..at].iter().any(twice) {
                return Err(format!("listeners: {} is there twice", one.address));
            }
        }
        let opened = self.of_broker("listeners", &self.named_listeners)?;
        if opened.is_empty() {
            return Err(
                "listeners: all are the controller's (controller.listener.names); one has \
                        to be for clients, as PLAINTEXT://:9092"
                    .into(),
            );
        }
        let advertised = self.of_broker("advertised.listeners", &self.named_advertised)?;
        for one in &self.named_advertised {
            if !names.contains(&one.name) {
                return Err(format!("advertised.listeners: {} is not one of listeners", one.name));
            }
        }
        for one in &advertised {
            if one.host == "0.0.0.0" || one.host == "::" {
                return Err(format!(
                    "advertised.listeners: clients cannot connect to {one}: name this host"
                ));
            }
        }
        if let Some(inter) = self.quorum.inter_broker.as_ref().filter(|one| !names.contains(one)) {
            return Err(format!("inter.broker.listener.name = {inter} is not one of listeners"));
        }
        (self.listeners, self.advertised_listeners) = (opened, advertised);
        Ok(())
    }

    fn of_broker(&self, key: &str, all: &[NamedListener]) -> Result<Vec<HostPort>, String> {
        let mut out = Vec::new();
        for one in all.iter().filter(|one| !self.quorum.listener_names.contains(&one.name)) {
            match self.protocols.get(&one.name).map(String::as_str) {
                Some("PLAINTEXT") => out.push(one.address.clone()),
                Some(other) => {
                    return Err(format!(
                        "{key}: the protocol '{other}' of {} is not served yet; allowed: PLAINTEXT",
                        one.name
                    ))
                }
                None => {
                    return Err(format!(
                        "{key}: {} is not in listener.security.protocol.map: add {}:PLAINTEXT",
                        one.name, one.name
                    ))
                }
            }
        }
        Ok(out)
    }
}
