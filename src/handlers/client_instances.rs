//! What a shard knows of clients that report their metrics (KIP-714): when each asked and pushed last.
//! A pure state machine; the time is an argument. Which metrics are wanted, and the number of that
//! subscription, follow from the settings alone, so any shard takes what a client pushes.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use crate::wire::{ErrorCode, Uuid};

/// Clients that are remembered; of more, those that came first are forgotten, as in Kafka.
const MOST_INSTANCES: usize = 16_384;
/// Codecs that clients may use, the best first.
pub const CODECS: [i8; 4] = [4, 3, 1, 2];
/// Bytes of metrics in one push (`telemetry.max.bytes`).
pub const MOST_BYTES: usize = 1 << 20;

/// What a client is to report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Prefixes of names; one that is empty stands for all.
    pub metrics: Vec<String>,
    pub interval_ms: i32,
}

impl Default for Subscription {
    fn default() -> Self {
        Subscription { metrics: Vec::new(), interval_ms: 300_000 }
    }
}

impl Subscription {
    /// Its number for one client: another one where anything of it is different.
    pub fn id(&self, client: Uuid) -> i32 {
        let text = format!("{:?} {}", self.metrics, self.interval_ms);
        let (high, low) = client.as_u64_pair();
        let folded = high ^ low;
        (crc32c::crc32c(text.as_bytes()) ^ (folded >> 32) as u32 ^ folded as u32) as i32
    }
}

#[derive(Default)]
struct Instance {
    /// Of the subscription that it was told last.
    subscription: i32,
    /// Milliseconds since 1970; 0: never.
    asked_ms: i64,
    pushed_ms: i64,
    terminating: bool,
}

/// A shard's clients, by the ids that they were given.
#[derive(Default)]
pub struct ClientInstances(RefCell<Instances>);

#[derive(Default)]
struct Instances {
    by_id: BTreeMap<Uuid, Instance>,
    /// In the order in which they came.
    order: VecDeque<Uuid>,
}

/// One push of metrics.
pub struct Push {
    pub client: Uuid,
    pub subscription: i32,
    pub codec: i8,
    pub bytes: usize,
    pub terminating: bool,
}

impl Instances {
    fn get(&mut self, client: Uuid, subscription: &Subscription) -> &mut Instance {
        if !self.by_id.contains_key(&client) {
            if self.order.len() >= MOST_INSTANCES {
                let first = self.order.pop_front();
                first.map(|first| self.by_id.remove(&first));
            }
            self.order.push_back(client);
        }
        let instance = self.by_id.entry(client).or_default();
        let id = subscription.id(client);
        if instance.subscription != id {
            // What it is to report has changed: it may ask at once.
            *instance = Instance { subscription: id, ..Instance::default() };
        }
        instance
    }
}

impl ClientInstances {
    /// A client asks what to report.
    ///
    /// # Errors
    /// It does so before it was due.
    pub fn ask(
        &self,
        client: Uuid,
        subscription: &Subscription,
        now_ms: i64,
    ) -> Result<(), ErrorCode> {
        let mut instances = self.0.borrow_mut();
        let instance = instances.get(client, subscription);
        let last = instance.asked_ms.max(instance.pushed_ms);
        if now_ms - last < i64::from(subscription.interval_ms) {
            return Err(ErrorCode::ThrottlingQuotaExceeded);
        }
        instance.asked_ms = now_ms;
        Ok(())
    }

    /// A client reports.
    ///
    /// # Errors
    /// It does so too early or after its last report, in a way it was not asked for, or too much.
    pub fn push(
        &self,
        push: &Push,
        subscription: &Subscription,
        now_ms: i64,
    ) -> Result<(), ErrorCode> {
        let mut instances = self.0.borrow_mut();
        let instance = instances.get(push.client, subscription);
        let before = std::mem::replace(&mut instance.terminating, push.terminating);
        if before {
            return Err(ErrorCode::InvalidRequest);
        }
        // The first one after it has asked comes at a time of the client's own.
        let due = instance.asked_ms > instance.pushed_ms
            || now_ms - instance.pushed_ms >= i64::from(subscription.interval_ms);
        if due {
            instance.pushed_ms = now_ms;
        } else if !push.terminating {
            return Err(ErrorCode::ThrottlingQuotaExceeded);
        }
        if push.subscription != instance.subscription {
            return Err(ErrorCode::UnknownSubscriptionId);
        }
        if push.codec != 0 && !CODECS.contains(&push.codec) {
            return Err(ErrorCode::UnsupportedCompressionType);
        }
        match push.bytes > MOST_BYTES {
            true => Err(ErrorCode::TelemetryTooLarge),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const INTERVAL: i64 = 300_000;

    #[test]
    fn a_client_asks_reports_in_time_and_ends() {
        let clients = ClientInstances::default();
        let wanted = Subscription::default();
        let client = Uuid::from_u128(7);
        let ask = |now| clients.ask(client, &wanted, now);
        let good = || Push {
            client,
            subscription: wanted.id(client),
            codec: 4,
            bytes: 100,
            terminating: false,
        };
        let push = |push: Push, now| clients.push(&push, &wanted, now);
        assert_eq!(ask(NOW), Ok(()));
        assert_eq!(ask(NOW + 1), Err(ErrorCode::ThrottlingQuotaExceeded));
        assert_eq!(push(good(), NOW + 2), Ok(()), "the first one may come at once");
        assert_eq!(push(good(), NOW + 3), Err(ErrorCode::ThrottlingQuotaExceeded));
        let later = NOW + 2 + INTERVAL;
        let other = Push { subscription: 1, ..good() };
        assert_eq!(push(other, later), Err(ErrorCode::UnknownSubscriptionId));
        assert_eq!(ask(later + INTERVAL), Ok(()));
        let codec = Push { codec: 5, ..good() };
        let unsupported = Err(ErrorCode::UnsupportedCompressionType);
        assert_eq!(push(codec, later + INTERVAL + 1), unsupported);
        let large = Push { bytes: MOST_BYTES + 1, ..good() };
        let at = later + 2 * INTERVAL + 1;
        assert_eq!(push(large, at), Err(ErrorCode::TelemetryTooLarge));
        let last = || Push { terminating: true, ..good() };
        assert_eq!(push(last(), at + 1), Ok(()), "the last one may come at any time");
        assert_eq!(push(last(), at + INTERVAL), Err(ErrorCode::InvalidRequest));
    }

    #[test]
    fn another_subscription_may_be_asked_for_at_once() {
        let clients = ClientInstances::default();
        let client = Uuid::from_u128(7);
        assert_eq!(clients.ask(client, &Subscription::default(), NOW), Ok(()));
        let other = Subscription { metrics: vec!["org.apache".to_string()], interval_ms: 1_000 };
        assert_eq!(clients.ask(client, &other, NOW + 1), Ok(()));
        assert_ne!(other.id(client), Subscription::default().id(client));
    }

    #[test]
    fn clients_that_are_remembered_are_bounded() {
        let clients = ClientInstances::default();
        let wanted = Subscription::default();
        for n in 0..MOST_INSTANCES as u128 + 10 {
            assert_eq!(clients.ask(Uuid::from_u128(n + 2), &wanted, NOW), Ok(()));
        }
        assert_eq!(clients.0.borrow().by_id.len(), MOST_INSTANCES);
        assert_eq!(clients.ask(Uuid::from_u128(2), &wanted, NOW), Ok(()), "was forgotten");
    }
}
