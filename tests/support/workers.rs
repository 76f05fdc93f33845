//! Consumers of the group `workers` that note what they read of the topic `t`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{ClientConfig, Message};

/// Partition and offset of each record that somebody has read.
pub type Seen = Mutex<BTreeSet<(i32, i64)>>;

/// A member with these settings that notes what it reads and then commits it, until it is told to stop or
/// has had its share; then it leaves.
pub fn work(
    settings: &[(&str, &str)],
    address: &str,
    seen: &Seen,
    stop: &AtomicBool,
    share: usize,
) {
    let mut config = ClientConfig::new();
    for (name, value) in settings {
        config.set(*name, *value);
    }
    let consumer: BaseConsumer = config
        .set("bootstrap.servers", address)
        .set("group.id", "workers")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("reconnect.backoff.max.ms", "200")
        .create()
        .expect("a consumer");
    consumer.subscribe(&["t"]).expect("subscribes");
    let mut count = 0;
    while !stop.load(Ordering::SeqCst) && count < share {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(20)) {
            seen.lock().expect("unharmed").insert((message.partition(), message.offset()));
            count += 1;
            if count % 50 == 0 {
                // Another member may have the partition by now: it reads these again.
                let _ = consumer.commit_message(&message, CommitMode::Sync);
            }
        }
    }
}
