//! What a shard knows of clients that report their metrics (KIP-714): when each asked and pushed last.
//! A pure state machine; the time is an argument. Which metrics are wanted, and the number of that
//! subscription, follow from the settings and what the client says of itself, so any shard takes what a
//! client pushes. What is known of a client ends with its connection, as in Kafka.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::config::client_metrics::Wanted;
use crate::wire::{ErrorCode, Uuid};

/// Clients that are remembered; of more, those that came first are forgotten, as in Kafka.
const MOST_INSTANCES: usize = 16_384;
/// Codecs that clients may use, the best first.
pub const CODECS: [i8; 4] = [4, 3, 1, 2];
/// Characters that are kept of the name of a client's software, and of its version.
const MOST_NAME_CHARS: usize = 256;

/// The number of what a client is to report: another one where anything of it is different.
pub fn subscription_id(wanted: &Wanted, client: Uuid) -> i32 {
    let text = format!("{:?} {}", wanted.metrics, wanted.interval_ms);
    let (high, low) = client.as_u64_pair();
    let folded = high ^ low;
    (crc32c::crc32c(text.as_bytes()) ^ (folded >> 32) as u32 ^ folded as u32) as i32
}

#[derive(Debug, Default)]
struct Instance {
    /// Of the subscription that it was told last.
    subscription: i32,
    /// Milliseconds since 1970; 0: never.
    asked_ms: i64,
    pushed_ms: i64,
    terminating: bool,
    /// What it was told last, where that makes it ask again.
    refused: Option<ErrorCode>,
}

/// What a client said of itself when it connected, and the id that it goes by.
#[derive(Debug, Default)]
struct Connected {
    software_name: String,
    software_version: String,
    instance: Option<Uuid>,
}

/// A shard's clients, by the ids that they were given.
#[derive(Default)]
pub struct ClientInstances(RefCell<Instances>);

#[derive(Default)]
struct Instances {
    by_id: BTreeMap<Uuid, Instance>,
    /// In the order in which they came.
    order: VecDeque<Uuid>,
    /// By the number of the connection.
    connected: HashMap<usize, Connected>,
}

/// What is known of a client whose connection goes to another shard.
#[derive(Debug, Default)]
pub struct KnownClient {
    connected: Option<Connected>,
    instance: Option<Instance>,
}

/// One push of metrics.
pub struct Push {
    pub client: Uuid,
    pub subscription: i32,
    pub codec: i8,
    pub too_large: bool,
    pub terminating: bool,
}

impl Instances {
    fn remember(&mut self, client: Uuid, instance: Instance) {
        if self.by_id.insert(client, instance).is_some() {
            return;
        }
        if self.order.len() >= MOST_INSTANCES {
            let first = self.order.pop_front();
            first.map(|first| self.by_id.remove(&first));
        }
        self.order.push_back(client);
    }

    fn get(&mut self, client: Uuid, connection: usize, wanted: &Wanted) -> &mut Instance {
        if let Some(connected) = self.connected.get_mut(&connection) {
            connected.instance = Some(client);
        }
        if !self.by_id.contains_key(&client) {
            self.remember(client, Instance::default());
        }
        let instance = self.by_id.entry(client).or_default();
        let id = subscription_id(wanted, client);
        if instance.subscription != id {
            // What it is to report has changed: it may ask at once.
            *instance = Instance { subscription: id, ..Instance::default() };
        }
        instance
    }
}

impl ClientInstances {
    /// A client has said what it is.
    pub fn connected(&self, connection: usize, software_name: &str, software_version: &str) {
        let kept = |text: &str| text.chars().take(MOST_NAME_CHARS).collect();
        let (software_name, software_version) = (kept(software_name), kept(software_version));
        let connected = Connected { software_name, software_version, instance: None };
        self.0.borrow_mut().connected.insert(connection, connected);
    }

    /// Name and version of the software at the other end; empty where it has not said.
    pub fn software(&self, connection: usize) -> (String, String) {
        let instances = self.0.borrow();
        let connected = instances.connected.get(&connection);
        connected.map_or_else(Default::default, |connected| {
            (connected.software_name.clone(), connected.software_version.clone())
        })
    }

    /// A connection has ended: one that comes back may ask at once. One that goes elsewhere takes with
    /// it what this tells.
    pub fn disconnected(&self, connection: usize) -> KnownClient {
        let mut instances = self.0.borrow_mut();
        let connected = instances.connected.remove(&connection);
        let id = connected.as_ref().and_then(|one| one.instance);
        let instance = id.and_then(|id| instances.by_id.remove(&id));
        if instance.is_some() {
            instances.order.retain(|other| Some(*other) != id);
        }
        KnownClient { connected, instance }
    }

    /// A connection has come from another shard.
    pub fn arrived(&self, connection: usize, known: KnownClient) {
        let mut instances = self.0.borrow_mut();
        let Some(connected) = known.connected else { return };
        if let Some((id, instance)) = connected.instance.zip(known.instance) {
            instances.remember(id, instance);
        }
        instances.connected.insert(connection, connected);
    }

    /// A client asks what to report.
    ///
    /// # Errors
    /// It does so before it was due.
    pub fn ask(
        &self,
        client: Uuid,
        connection: usize,
        wanted: &Wanted,
        now_ms: i64,
    ) -> Result<(), ErrorCode> {
        let mut instances = self.0.borrow_mut();
        let instance = instances.get(client, connection, wanted);
        let last = instance.asked_ms.max(instance.pushed_ms);
        let due = now_ms - last >= i64::from(wanted.interval_ms);
        // A client that was refused for what it was told before may ask at once.
        if !due && instance.refused.is_none() {
            return Err(ErrorCode::ThrottlingQuotaExceeded);
        }
        if due {
            instance.asked_ms = now_ms;
        }
        instance.refused = None;
        Ok(())
    }

    /// A client reports.
    ///
    /// # Errors
    /// It does so too early or after its last report, in a way it was not asked for, or too much.
    pub fn push(
        &self,
        push: &Push,
        connection: usize,
        wanted: &Wanted,
        now_ms: i64,
    ) -> Result<(), ErrorCode> {
        let mut instances = self.0.borrow_mut();
        let instance = instances.get(push.client, connection, wanted);
        let judged = instance.judge(push, i64::from(wanted.interval_ms), now_ms);
        instance.refused = judged.err().filter(|code| {
            matches!(code, ErrorCode::UnknownSubscriptionId | ErrorCode::UnsupportedCompressionType)
        });
        judged
    }
}

impl Instance {
    fn judge(&mut self, push: &Push, interval_ms: i64, now_ms: i64) -> Result<(), ErrorCode> {
        let before = std::mem::replace(&mut self.terminating, push.terminating);
        if before {
            return Err(ErrorCode::InvalidRequest);
        }
        // The first one after it has asked comes at a time of the client's own.
        let due = self.asked_ms > self.pushed_ms || now_ms - self.pushed_ms >= interval_ms;
        if due {
            self.pushed_ms = now_ms;
        } else if !push.terminating {
            return Err(ErrorCode::ThrottlingQuotaExceeded);
        }
        if push.subscription != self.subscription {
            return Err(ErrorCode::UnknownSubscriptionId);
        }
        if push.codec != 0 && !CODECS.contains(&push.codec) {
            return Err(ErrorCode::UnsupportedCompressionType);
        }
        match push.too_large {
            true => Err(ErrorCode::TelemetryTooLarge),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const INTERVAL: i64 = 300_000;

    fn wanted() -> Wanted {
        Wanted { metrics: BTreeSet::from(["org.apache".to_string()]), interval_ms: 300_000 }
    }

    #[test]
    fn a_client_asks_reports_in_time_and_ends() {
        let clients = ClientInstances::default();
        let wanted = wanted();
        let client = Uuid::from_u128(7);
        let ask = |now| clients.ask(client, 0, &wanted, now);
        let good = || Push {
            client,
            subscription: subscription_id(&wanted, client),
            codec: 4,
            too_large: false,
            terminating: false,
        };
        let push = |push: Push, now| clients.push(&push, 0, &wanted, now);
        assert_eq!(ask(NOW), Ok(()));
        assert_eq!(ask(NOW + 1), Err(ErrorCode::ThrottlingQuotaExceeded));
        assert_eq!(push(good(), NOW + 2), Ok(()), "the first one may come at once");
        assert_eq!(push(good(), NOW + 3), Err(ErrorCode::ThrottlingQuotaExceeded));
        let later = NOW + 2 + INTERVAL;
        let other = Push { subscription: 1, ..good() };
        assert_eq!(push(other, later), Err(ErrorCode::UnknownSubscriptionId));
        assert_eq!(ask(later + 1), Ok(()), "it is to ask again");
        assert_eq!(ask(later + 2), Err(ErrorCode::ThrottlingQuotaExceeded), "once");
        let codec = Push { codec: 5, ..good() };
        let unsupported = Err(ErrorCode::UnsupportedCompressionType);
        assert_eq!(push(codec, later + INTERVAL), unsupported);
        let large = Push { too_large: true, ..good() };
        let at = later + 2 * INTERVAL;
        assert_eq!(push(large, at), Err(ErrorCode::TelemetryTooLarge));
        let last = || Push { terminating: true, ..good() };
        assert_eq!(push(last(), at + 1), Ok(()), "the last one may come at any time");
        assert_eq!(push(last(), at + INTERVAL), Err(ErrorCode::InvalidRequest));
    }

    #[test]
    fn another_subscription_may_be_asked_for_at_once() {
        let clients = ClientInstances::default();
        let client = Uuid::from_u128(7);
        assert_eq!(clients.ask(client, 0, &wanted(), NOW), Ok(()));
        let other = Wanted { interval_ms: 1_000, ..wanted() };
        assert_eq!(clients.ask(client, 0, &other, NOW + 1), Ok(()));
        assert_ne!(subscription_id(&other, client), subscription_id(&wanted(), client));
    }

    #[test]
    fn what_is_known_of_a_client_ends_with_its_connection() {
        let clients = ClientInstances::default();
        let client = Uuid::from_u128(7);
        clients.connected(3, "librdkafka", "2.12.1");
        assert_eq!(clients.software(3), ("librdkafka".to_string(), "2.12.1".to_string()));
        assert_eq!(clients.ask(client, 3, &wanted(), NOW), Ok(()));
        assert!(clients.ask(client, 3, &wanted(), NOW + 1).is_err(), "too early");
        clients.disconnected(3);
        assert_eq!(clients.software(3), (String::new(), String::new()));
        clients.connected(4, "librdkafka", "2.12.1");
        assert_eq!(clients.ask(client, 4, &wanted(), NOW + 2), Ok(()));
        assert_eq!(clients.0.borrow().order.len(), 1);
    }

    #[test]
    fn clients_that_are_remembered_are_bounded() {
        let clients = ClientInstances::default();
        let wanted = wanted();
        for n in 0..MOST_INSTANCES as u128 + 10 {
            assert_eq!(clients.ask(Uuid::from_u128(n + 2), 0, &wanted, NOW), Ok(()));
        }
        assert_eq!(clients.0.borrow().by_id.len(), MOST_INSTANCES);
        assert_eq!(clients.ask(Uuid::from_u128(2), 0, &wanted, NOW), Ok(()), "was forgotten");
    }
}
