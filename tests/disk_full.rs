//! A disk that runs full, and has space again, while the broker runs.

mod support;

use std::fs;
use std::io::Write;

use bytes::Bytes;
use corelane_shards::log::batch::build::batch;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use support::{Broker, Raw, Setup};

const STORAGE_ERROR: i16 = 56;

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str("t"))
}

fn value(number: usize) -> Vec<u8> {
    let mut value = vec![b'x'; 20_000];
    value[..8].copy_from_slice(&(number as u64).to_be_bytes());
    value
}

/// Error code and offset.
fn produce(client: &mut Raw, number: usize) -> (i16, i64) {
    let records = Bytes::from(batch(&[&value(number)], 1_000, None));
    let data = PartitionProduceData::default().with_index(0).with_records(Some(records));
    let data = TopicProduceData::default().with_name(topic()).with_partition_data(vec![data]);
    let request = ProduceRequest::default().with_acks(-1).with_topic_data(vec![data]);
    let response: ProduceResponse = client.ask(ApiKey::Produce, 9, &request);
    let partition = &response.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

/// Error code and new log start offset.
fn delete_records(client: &mut Raw, offset: i64) -> (i16, i64) {
    use kafka_protocol::messages::delete_records_request::*;
    let partition = DeleteRecordsPartition::default().with_offset(offset);
    let topic = DeleteRecordsTopic::default().with_name(topic()).with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default().with_timeout_ms(5_000).with_topics(vec![topic]);
    let response: DeleteRecordsResponse = client.ask(ApiKey::DeleteRecords, 2, &request);
    let partition = &response.topics[0].partitions[0];
    (partition.error_code, partition.low_watermark)
}

/// The record at an offset.
fn fetch(client: &mut Raw, offset: i64) -> Vec<u8> {
    let partition = FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1);
    let asked = FetchTopic::default().with_topic(topic()).with_partitions(vec![partition]);
    let request = FetchRequest::default().with_max_bytes(1).with_topics(vec![asked]);
    let response: FetchResponse = client.ask(ApiKey::Fetch, 11, &request);
    let partition = &response.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    partition.records.clone().expect("a record").to_vec()
}

fn holds(record: &[u8], number: usize) -> bool {
    record.windows(20_000).any(|window| window == value(number))
}

#[test]
fn a_full_disk_refuses_loses_nothing_and_goes_on_when_there_is_space() {
    if !support::can_mount() {
        eprintln!("skipped: this user may not mount a file system");
        return;
    }
    let extra = "\"log.segment.bytes\" = 1000000\n\"log.segment.delete.delay.ms\" = 0".to_string();
    let setup = Setup { extra, disk_size: Some("16m"), ..Setup::new("single") };
    let mut broker = Broker::start(setup);
    broker.run(&["topic", "create", "t", "small"], b"");
    let mut client = broker.client();
    let mut acknowledged = Vec::new();
    for number in 0..100 {
        let (code, offset) = produce(&mut client, number);
        assert_eq!(code, 0);
        acknowledged.push((offset, number));
    }
    let filler = broker.data_inside().join("filler");
    let mut file = fs::File::create(&filler).expect("creates");
    while file.write_all(&[0; 65_536]).is_ok() {}
    let mut refused = 0;
    for number in 100..400 {
        match produce(&mut client, number) {
            (0, offset) => acknowledged.push((offset, number)),
            (code, _) => {
                assert_eq!(code, STORAGE_ERROR);
                refused += 1;
            }
        }
    }
    assert!(refused > 100, "{refused} were refused, with less than a segment of space");
    assert!(holds(&fetch(&mut client, 0), 0), "reads go on");
    while file.write_all(&[0; 512]).is_ok() {}
    broker.run(&["topic", "delete", "small", "--yes"], b"");
    while file.write_all(&[0; 512]).is_ok() {}
    // What is deleted makes room: nobody has to clear up beside the broker.
    let last = acknowledged.last().expect("some").0;
    assert_eq!(delete_records(&mut client, last), (0, last));
    support::eventually("writes go on with the space of deleted records", || {
        let (code, offset) = produce(&mut client, 999);
        if code == 0 {
            acknowledged.push((offset, 999));
        }
        code == 0
    });
    acknowledged.retain(|(offset, _)| *offset >= last);
    drop(file);
    fs::remove_file(&filler).expect("removes");
    support::eventually("writes go on without a restart", || {
        let (code, offset) = produce(&mut client, 1_000);
        if code == 0 {
            acknowledged.push((offset, 1_000));
        }
        code == 0
    });
    for (offset, number) in &acknowledged {
        assert!(holds(&fetch(&mut client, *offset), *number), "offset {offset}: {number}");
    }
    assert_eq!(broker.stop(), Some(0));
}
