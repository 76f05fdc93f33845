//! What members read, as far as their metadata says so: `ConsumerProtocolSubscription`, the format of
//! consumers. It is theirs to choose: what is no such thing is no error.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Group, State};
use crate::group::expiry::{Expiry, Reads};
use crate::wire::{Reader, WireError};

/// The protocol type of consumers: their metadata is a subscription.
const CONSUMER: &str = "consumer";

/// The topics in a subscription. All versions have them at its start.
fn topics(metadata: Bytes) -> Result<Vec<String>, WireError> {
    let mut reader = Reader::new(metadata, false);
    let version = reader.i16()?;
    if version < 0 {
        return Err(WireError::Malformed(format!("subscription version {version}")));
    }
    let (count, mut topics) = reader.list(2)?;
    for _ in 0..count {
        topics.push(reader.string()?.to_string());
    }
    Ok(topics)
}

impl Group {
    /// Whether its members are consumers.
    pub fn is_of_consumers(&self) -> bool {
        self.protocol_type == CONSUMER
    }

    /// What its members read: nothing where nobody is in, or where they are no consumers.
    pub fn reads(&self) -> Reads {
        let mut all = BTreeSet::new();
        if !self.is_of_consumers() {
            return Reads::These(all);
        }
        for (_, member) in self.members.iter() {
            match topics(member.metadata(&self.protocol)) {
                Ok(topics) => all.extend(topics),
                Err(_) => return Reads::Any,
            }
        }
        Reads::These(all)
    }

    /// When the offsets that it has committed are forgotten, as in Kafka.
    pub fn expiry(&self) -> Expiry {
        match self.state {
            State::Empty => match self.since_ms {
                Some(since_ms) => Expiry::FromEmpty { since_ms },
                None => Expiry::of_offsets_only(),
            },
            State::Stable if self.is_of_consumers() => Expiry::FromCommit { but: self.reads() },
            _ => Expiry::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;
    use crate::group::classic::GroupLimits;
    use crate::group::record::{GroupRecord, MemberRecord};

    fn subscription(topics: &[&str]) -> Bytes {
        let mut out = Vec::new();
        out.put_i16(1);
        out.put_i32(topics.len() as i32);
        for topic in topics {
            out.put_i16(topic.len() as i16);
            out.put_slice(topic.as_bytes());
        }
        // User data and what else later versions have.
        out.put_slice(b"anything");
        out.into()
    }

    fn group(protocol_type: &str, subscriptions: &[Bytes]) -> Group {
        let member = |(n, subscription): (usize, &Bytes)| MemberRecord {
            id: format!("m-{n}"),
            instance_id: None,
            client_id: String::new(),
            client_host: String::new(),
            rebalance_timeout_ms: 1,
            session_timeout_ms: 1,
            subscription: subscription.clone(),
            assignment: Bytes::new(),
        };
        let record = GroupRecord {
            protocol_type: protocol_type.to_string(),
            generation: 1,
            protocol: "range".to_string(),
            leader: "m-0".to_string(),
            since_ms: Some(7),
            members: subscriptions.iter().enumerate().map(member).collect(),
        };
        let limits = GroupLimits {
            initial_rebalance_delay_ms: 0,
            min_session_timeout_ms: 0,
            max_session_timeout_ms: 10,
            max_size: 10,
        };
        Group::restore(limits, 0, record)
    }

    #[test]
    fn topics_that_members_read_are_known_and_nonsense_is_no_error() {
        let some = [subscription(&["a", "b"]), subscription(&["b", "c"])];
        let reads = Reads::These(["a", "b", "c"].map(String::from).into());
        let stable = group("consumer", &some);
        assert_eq!(stable.expiry(), Expiry::FromCommit { but: reads });
        for bad in [&b""[..], &[0, 0, 0x7f, 0xff, 0xff, 0xff], &[0xff, 0xff, 0, 0, 0, 0], b"xyz"] {
            let nonsense = group("consumer", &[subscription(&["a"]), Bytes::from(bad)]);
            assert_eq!(nonsense.reads(), Reads::Any, "{bad:?}");
        }
        let workers = group("connect", &some);
        assert_eq!(workers.reads(), Reads::These(BTreeSet::new()));
        assert_eq!(workers.expiry(), Expiry::Never);
        assert_eq!(group("consumer", &[]).expiry(), Expiry::FromEmpty { since_ms: 7 });
    }
}
