//! Records that are deleted: for their number, on demand, and what clients are told then.

mod support;

use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use support::{Broker, Setup, MODES};

fn lines(numbers: std::ops::Range<u32>) -> Vec<u8> {
    numbers.flat_map(|n| format!("{n:0>1000}\n").into_bytes()).collect()
}

/// Start and end of the topic's only partition.
fn offsets(broker: &Broker, topic: &str) -> (i64, i64) {
    let described = broker.run(&["topic", "describe", topic, "--json"], b"");
    let described: serde_json::Value = serde_json::from_slice(&described).expect("JSON");
    let partition = &described["partitions"][0];
    (partition["start"].as_i64().expect("a start"), partition["end"].as_i64().expect("an end"))
}

#[test]
fn old_records_go_while_the_broker_runs_and_readers_begin_behind_them() {
    let extra = "\"log.retention.check.interval.ms\" = 20\n\"log.retention.bytes\" = 100000\n\
                 \"log.segment.bytes\" = 50000\n\"log.segment.delete.delay.ms\" = 0";
    let broker = Broker::start(Setup { extra: extra.to_string(), ..Setup::new("single") });
    broker.run(&["topic", "create", "t"], b"");
    for first in (0..300).step_by(20) {
        broker.run(&["produce", "t"], &lines(first..first + 20));
    }
    // 15 batches of 20 records, two to a segment: the last two segments hold enough.
    support::eventually("old segments are deleted", || offsets(&broker, "t").0 >= 180);
    let (start, end) = offsets(&broker, "t");
    assert_eq!(end, 300);
    let read = broker.run(&["consume", "t", "--from-beginning", "--exit-at-end"], b"");
    assert_eq!(read, lines(start as u32..300));
    let broker = broker.crash_and_restart();
    assert_eq!(offsets(&broker, "t"), (start, end));
}

#[test]
fn records_are_deleted_on_demand() {
    for mode in MODES {
        let broker = Broker::start(Setup::new(mode));
        broker.run(&["topic", "create", "t"], b"");
        broker.run(&["topic", "create", "compacted", "--config", "cleanup.policy=compact"], b"");
        broker.run(&["produce", "t"], &lines(0..10));
        let mut client = broker.client();
        let mut delete = |topic: &'static str, partition: i32, offset: i64| {
            let partition = DeleteRecordsPartition::default()
                .with_partition_index(partition)
                .with_offset(offset);
            let topic = DeleteRecordsTopic::default()
                .with_name(TopicName(StrBytes::from_static_str(topic)))
                .with_partitions(vec![partition]);
            let request =
                DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
            let response: DeleteRecordsResponse = client.ask(ApiKey::DeleteRecords, 2, &request);
            let partition = &response.topics[0].partitions[0];
            (partition.error_code, partition.low_watermark)
        };
        assert_eq!(delete("t", 0, 11), (1, -1), "offset out of range");
        assert_eq!(delete("t", 1, 0), (3, -1), "unknown partition");
        assert_eq!(delete("compacted", 0, 0), (44, -1), "policy violation");
        assert_eq!(delete("t", 0, 4), (0, 4));
        assert_eq!(offsets(&broker, "t"), (4, 10));
        let broker = broker.crash_and_restart();
        assert_eq!(offsets(&broker, "t"), (4, 10), "{mode}");
        let read = broker.run(&["consume", "t", "--from-beginning", "--exit-at-end"], b"");
        assert_eq!(read, lines(4..10));
    }
}
