//! Transactions.

use crate::config::setting::{put, settings, Setting, Standing::*, Update::*, Valid::*};
use crate::config::BrokerConfig;

const ONE_REPLICA: &str = "there is one node, so one replica; 1 is allowed";

settings! {
    pub const TRANSACTIONS for BrokerConfig;

    "transaction.max.timeout.ms": Int "900000", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.transactions.max_timeout_ms, v)),
        "Longest timeout of a transaction that a producer may ask for.";
    "transactional.id.expiration.ms": Int "604800000", AtLeast(1), ReadOnly, Honoured(|c, v| put(&mut c.transactions.expire_after_ms, v)),
        "Time after which a transactional id that is not used is forgotten.";
    "transaction.state.log.num.partitions": Int "50", Between(1, 10_000), ReadOnly, Honoured(|c, v| put(&mut c.transactions.partitions, v)),
        "Partitions of the topic that holds what is known of transactional ids, when it is made.";
    "transaction.state.log.segment.bytes": Int "104857600", Between(1_048_576, 2_147_483_647), ReadOnly, Honoured(|c, v| put(&mut c.transactions.segment_bytes, v)),
        "Size of that topic's segments, in bytes, when it is made.";
    "transaction.state.log.replication.factor": Short "1", AtLeast(1), ReadOnly, Refused(ONE_REPLICA),
        "Replicas of that topic.",
        "Kafka's default is 3.";
    "transaction.state.log.min.isr": Int "1", AtLeast(1), ReadOnly, Refused(ONE_REPLICA),
        "Replicas that must have a record of that topic.",
        "Kafka's default is 2.";
    "transaction.state.log.load.buffer.size": Int "5242880", AtLeast(1), ReadOnly, NoEffect("partitions are read in blocks of their own size"),
        "Bytes that are read at once when transactional ids are loaded.";
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": Int "10000", Between(1, 86_400_000), ReadOnly, Honoured(|c, v| put(&mut c.transactions.abort_interval_ms, v)),
        "Time between two looks for transactions that take longer than their timeout.";
    "transaction.remove.expired.transaction.cleanup.interval.ms": Int "3600000", Between(1, 86_400_000), ReadOnly, Honoured(|c, v| put(&mut c.transactions.expire_interval_ms, v)),
        "Time between two looks for transactional ids that are not used.";
    "transaction.partition.verification.enable": Boolean "true", Any, ClusterWide, Honoured(|c, v| put(&mut c.transactions.verify_partitions, v)),
        "Whether records of a transaction are refused where the transaction does not know their partition (KIP-890).";
    "transaction.two.phase.commit.enable": Boolean "false", Any, ReadOnly, Refused("transactions of two phases (KIP-939) are not served"),
        "Whether producers may take part in transactions of two phases.";
    "add.partitions.to.txn.retry.backoff.ms": Int "20", AtLeast(1), ReadOnly, NoEffect("the owning shard asks the coordinator inside the process"),
        "Wait before a partition is added to a transaction again.";
    "add.partitions.to.txn.retry.backoff.max.ms": Int "100", AtLeast(0), ReadOnly, NoEffect("the owning shard asks the coordinator inside the process"),
        "How long a partition is tried to be added to a transaction.";
}
