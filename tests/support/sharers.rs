//! Members of the share group `queue`, and the topic `t` that they read.

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::share_fetch_response::PartitionData;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;

use super::{Broker, Raw, Setup};

pub const QUICK: &str = "\"corelane.share.auto.offset.reset\" = \"earliest\"
\"share.coordinator.state.topic.num.partitions\" = 3
\"offsets.topic.num.partitions\" = 3";

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

pub fn group() -> Option<GroupId> {
    Some(GroupId(text("queue")))
}

/// A broker with the topic `t`, of one partition, and the topic's id.
pub fn broker(mode: &'static str, extra: &str) -> (Broker, uuid::Uuid) {
    let broker = Broker::start(Setup { extra: format!("{QUICK}\n{extra}"), ..Setup::new(mode) });
    broker.run(&["topic", "create", "t", "--partitions", "1"], b"");
    let topic = MetadataRequestTopic::default().with_name(Some(TopicName(text("t"))));
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    let response: MetadataResponse = broker.client().ask(ApiKey::Metadata, 12, &request);
    (broker, response.topics[0].topic_id)
}

pub fn produce(broker: &Broker, count: usize) {
    let lines: String = (0..count).map(|n| format!("{n}\n")).collect();
    broker.run(&["produce", "t"], lines.as_bytes());
}

/// A member of the group `queue` that says what it is told to.
pub struct Member {
    pub client: Raw,
    pub id: StrBytes,
    pub topic: uuid::Uuid,
    pub epoch: i32,
}

pub type Said<'a> = &'a [(i64, i64, i8)];

impl Member {
    pub fn new(broker: &Broker, id: &str, topic: uuid::Uuid) -> Member {
        Member { client: broker.client(), id: text(id), topic, epoch: 0 }
    }

    pub fn next_epoch(&mut self) -> i32 {
        self.epoch += 1;
        self.epoch - 1
    }

    pub fn ask(
        &mut self,
        epoch: i32,
        records: i32,
        wait_ms: i32,
        said: Said,
    ) -> ShareFetchResponse {
        use kafka_protocol::messages::share_fetch_request::{
            AcknowledgementBatch, FetchPartition, FetchTopic,
        };
        let said = said.iter().map(|(first, last, verdict)| {
            AcknowledgementBatch::default()
                .with_first_offset(*first)
                .with_last_offset(*last)
                .with_acknowledge_types(vec![*verdict])
        });
        let partition = FetchPartition::default().with_acknowledgement_batches(said.collect());
        let topic =
            FetchTopic::default().with_topic_id(self.topic).with_partitions(vec![partition]);
        let request = ShareFetchRequest::default()
            .with_group_id(group())
            .with_member_id(Some(self.id.clone()))
            .with_share_session_epoch(epoch)
            .with_max_wait_ms(wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_max_records(records)
            .with_batch_size(records)
            .with_topics(vec![topic]);
        self.client.ask(ApiKey::ShareFetch, 1, &request)
    }

    /// What it gets of the partition, once it has said this.
    pub fn fetch(&mut self, records: i32, wait_ms: i32, said: Said) -> PartitionData {
        let epoch = self.next_epoch();
        let response = self.ask(epoch, records, wait_ms, said);
        assert_eq!(response.error_code, 0, "{:?}", response.error_message);
        let mut topics = response.responses.into_iter();
        topics.next().map(|mut topic| topic.partitions.remove(0)).unwrap_or_default()
    }

    /// First and last offsets that it gets, and how often they were delivered.
    pub fn take(&mut self, records: i32) -> Vec<(i64, i64, i16)> {
        let got = self.fetch(records, 0, &[]);
        assert_eq!((got.error_code, got.acknowledge_error_code), (0, 0));
        parts(&got)
    }

    pub fn say(&mut self, said: Said) -> i16 {
        use kafka_protocol::messages::share_acknowledge_request::{
            AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch,
        };
        let epoch = self.next_epoch();
        let said = said.iter().map(|(first, last, verdict)| {
            AcknowledgementBatch::default()
                .with_first_offset(*first)
                .with_last_offset(*last)
                .with_acknowledge_types(vec![*verdict])
        });
        let partition =
            AcknowledgePartition::default().with_acknowledgement_batches(said.collect());
        let topic =
            AcknowledgeTopic::default().with_topic_id(self.topic).with_partitions(vec![partition]);
        let request = ShareAcknowledgeRequest::default()
            .with_group_id(group())
            .with_member_id(Some(self.id.clone()))
            .with_share_session_epoch(epoch)
            .with_topics(vec![topic]);
        let response: ShareAcknowledgeResponse =
            self.client.ask(ApiKey::ShareAcknowledge, 1, &request);
        match response.error_code {
            0 => response.responses[0].partitions[0].error_code,
            code => code,
        }
    }
}

pub fn parts(got: &PartitionData) -> Vec<(i64, i64, i16)> {
    let parts = got.acquired_records.iter();
    parts.map(|part| (part.first_offset, part.last_offset, part.delivery_count)).collect()
}
