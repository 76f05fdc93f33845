use kafka_protocol::messages::*;
use proptest::prelude::*;

use super::super::writer::Writer;
use super::super::{allocations, apis};
use super::*;
use bytes::BufMut;

/// Draws small numbers from a seed: a frame is made of them.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }
}

fn generate(out: &mut Writer, kind: &Kind, version: i16, draw: &mut Draw) {
    match kind {
        Kind::Fixed(len) => (0..*len).for_each(|_| out.buf.put_u8(draw.below(2) as u8)),
        Kind::Text => {
            let text = "t".repeat(draw.below(300) as usize);
            out.nullable_string(Some(&text));
        }
        Kind::Bytes => {
            let bytes = vec![7; draw.below(300) as usize];
            out.bytes_len(bytes.len());
            out.buf.put_slice(&bytes);
        }
        Kind::List(entry) => {
            let count = draw.below(4) as usize;
            out.count(Some(count));
            (0..count).for_each(|_| generate(out, entry, version, draw));
        }
        Kind::Maybe(fields) => match draw.below(2) {
            0 => out.buf.put_i8(-1),
            _ => {
                out.buf.put_i8(PRESENT);
                generate(out, &Kind::Group(fields), version, draw);
            }
        },
        Kind::Group(fields) => {
            for field in fields.iter().filter(|f| (f.from..=f.to).contains(&version)) {
                generate(out, &field.kind, version, draw);
            }
            if out.flexible {
                // Sometimes a tagged field that nobody knows.
                match draw.below(3) {
                    0 => out.buf.put_slice(&[1, 99, 3, 7, 7, 7]),
                    _ => out.buf.put_u8(0),
                }
            }
        }
    }
}

/// As many entries as fit, each as small as it can be: `tags` empty tagged fields in each.
fn densest(out: &mut Writer, kind: &Kind, version: i16, tags: u8, entries: usize) {
    match kind {
        Kind::Fixed(len) => (0..*len).for_each(|_| out.buf.put_u8(0)),
        Kind::Text => out.nullable_string(Some("")),
        Kind::Bytes => out.bytes_len(0),
        Kind::List(entry) => {
            out.count(Some(entries));
            (0..entries).for_each(|_| densest(out, entry, version, tags, (entries / 300).min(3)));
        }
        Kind::Maybe(fields) => {
            out.buf.put_i8(PRESENT);
            densest(out, &Kind::Group(fields), version, tags, entries);
        }
        Kind::Group(fields) => {
            for field in fields.iter().filter(|f| (f.from..=f.to).contains(&version)) {
                densest(out, &field.kind, version, tags, entries);
            }
            if out.flexible {
                out.buf.put_u8(tags);
                (0..tags).for_each(|tag| out.buf.put_slice(&[90 + tag, 0]));
            }
        }
    }
}

#[test]
fn no_request_takes_more_memory_than_was_foretold() {
    for api in apis::APIS {
        let Some(shape) = shapes::find(api.key) else { continue };
        for version in api.versions.clone() {
            for (tags, entries) in [(0, 0), (0, 900), (1, 900), (9, 300), (0, 20_000)] {
                let mut out = Writer::new(version >= shape.flexible_from, 64);
                densest(&mut out, &Kind::Group(shape.fields), version, tags, entries);
                let body = out.buf.freeze();
                let (api, len) = (api.key, body.len());
                let (checked, peak) =
                    allocations::peak_of(|| Checked::new(api, version, body.clone()));
                assert_eq!(peak, 0, "{api:?} v{version}: the walk allocates nothing");
                let Ok(checked) = checked else { continue };
                assert!(checked.decoded_bytes <= len * 16 + (64 << 10));
                let foretold = checked.decoded_bytes;
                let (_, peak) = allocations::peak_of(|| crate_decodes(api, version, body.clone()));
                assert!(
                    peak <= foretold + 256,
                    "{api:?} v{version}, {entries} entries, {tags} tags: {peak} for {foretold}"
                );
            }
        }
    }
}

#[test]
fn lists_of_nothing_are_refused_for_what_they_would_take() {
    let names = [&10_000i32.to_be_bytes()[..], &[0; 20_000], &[1; 3]].concat();
    let refused = check(ApiKey::Metadata, 8, &names);
    assert!(matches!(refused, Err(WireError::Dense { .. })), "{refused:?}");
}

fn frame(shape: &Shape, version: i16, seed: u64) -> Bytes {
    let mut out = Writer::new(version >= shape.flexible_from, 64);
    let group = Kind::Group(shape.fields);
    generate(&mut out, &group, version, &mut Draw(seed));
    out.buf.freeze()
}

/// Bytes the crate leaves over.
fn crate_decodes(key: ApiKey, version: i16, mut body: Bytes) -> Result<usize, WireError> {
    Checked::new(key, version, body.clone())?;
    macro_rules! try_as {
        ($($name:ident => $request:ty),* $(,)?) => {
            match key {
                $(ApiKey::$name => <$request>::decode(&mut body, version)
                    .map(|_| body.len())
                    .map_err(|e| WireError::Malformed(e.to_string())),)*
                other => panic!("{other:?} is declared and not tested"),
            }
        };
    }
    try_as!(
        ListOffsets => ListOffsetsRequest,
        Metadata => MetadataRequest,
        FindCoordinator => FindCoordinatorRequest,
        ApiVersions => ApiVersionsRequest,
        CreateTopics => CreateTopicsRequest,
        DeleteTopics => DeleteTopicsRequest,
        DeleteRecords => DeleteRecordsRequest,
        InitProducerId => InitProducerIdRequest,
        OffsetForLeaderEpoch => OffsetForLeaderEpochRequest,
        DescribeConfigs => DescribeConfigsRequest,
        AddPartitionsToTxn => AddPartitionsToTxnRequest,
        AddOffsetsToTxn => AddOffsetsToTxnRequest,
        EndTxn => EndTxnRequest,
        DescribeTransactions => DescribeTransactionsRequest,
        ListTransactions => ListTransactionsRequest,
        CreatePartitions => CreatePartitionsRequest,
        DescribeGroups => DescribeGroupsRequest,
        ListGroups => ListGroupsRequest,
        DeleteGroups => DeleteGroupsRequest,
        OffsetDelete => OffsetDeleteRequest,
        AlterConfigs => AlterConfigsRequest,
        IncrementalAlterConfigs => IncrementalAlterConfigsRequest,
        ListConfigResources => ListConfigResourcesRequest,
        WriteTxnMarkers => WriteTxnMarkersRequest,
        TxnOffsetCommit => TxnOffsetCommitRequest,
        DescribeProducers => DescribeProducersRequest,
        JoinGroup => JoinGroupRequest,
        SyncGroup => SyncGroupRequest,
        Heartbeat => HeartbeatRequest,
        LeaveGroup => LeaveGroupRequest,
        OffsetCommit => OffsetCommitRequest,
        OffsetFetch => OffsetFetchRequest,
        AlterReplicaLogDirs => AlterReplicaLogDirsRequest,
        DescribeLogDirs => DescribeLogDirsRequest,
        DescribeCluster => DescribeClusterRequest,
        ElectLeaders => ElectLeadersRequest,
        AlterPartitionReassignments => AlterPartitionReassignmentsRequest,
        ListPartitionReassignments => ListPartitionReassignmentsRequest,
        DescribeTopicPartitions => DescribeTopicPartitionsRequest,
        UnregisterBroker => UnregisterBrokerRequest,
        GetTelemetrySubscriptions => GetTelemetrySubscriptionsRequest,
        PushTelemetry => PushTelemetryRequest,
        DescribeClientQuotas => DescribeClientQuotasRequest,
        AlterClientQuotas => AlterClientQuotasRequest,
        DescribeUserScramCredentials => DescribeUserScramCredentialsRequest,
        UpdateFeatures => UpdateFeaturesRequest,
        ConsumerGroupHeartbeat => ConsumerGroupHeartbeatRequest,
        ConsumerGroupDescribe => ConsumerGroupDescribeRequest,
        ShareGroupHeartbeat => ShareGroupHeartbeatRequest,
        ShareGroupDescribe => ShareGroupDescribeRequest,
        ShareFetch => ShareFetchRequest,
        ShareAcknowledge => ShareAcknowledgeRequest,
        DescribeShareGroupOffsets => DescribeShareGroupOffsetsRequest,
        AlterShareGroupOffsets => AlterShareGroupOffsetsRequest,
        DeleteShareGroupOffsets => DeleteShareGroupOffsetsRequest,
    )
}

#[test]
fn every_declared_layout_is_the_crates_in_every_version() {
    for api in apis::APIS {
        let Some(shape) = shapes::find(api.key) else {
            assert!(matches!(api.key, ApiKey::Produce | ApiKey::Fetch), "{:?}", api.key);
            continue;
        };
        for version in api.versions.clone() {
            for seed in 0..200 {
                let body = frame(shape, version, seed);
                let decoded = crate_decodes(api.key, version, body);
                assert_eq!(decoded, Ok(0), "{:?} v{version} seed {seed}", api.key);
            }
        }
    }
}

fn check(key: ApiKey, version: i16, body: &[u8]) -> Result<Checked, WireError> {
    Checked::new(key, version, Bytes::copy_from_slice(body))
}

#[test]
fn a_count_of_two_billion_is_refused_before_anything_is_reserved() {
    let claims = i32::MAX.to_be_bytes();
    let metadata = [&claims[..], &[0; 4]].concat();
    let refused = check(ApiKey::Metadata, 1, &metadata);
    assert!(matches!(refused, Err(WireError::Count { .. })));
    // A list inside a list: one topic without name whose assignments claim too much.
    let nested = [&1i32.to_be_bytes()[..], &[0; 2], &[0; 6], &claims, &[0; 8]].concat();
    let refused = check(ApiKey::CreateTopics, 2, &nested);
    assert!(matches!(refused, Err(WireError::Count { .. })));
    let compact = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0];
    let refused = check(ApiKey::Metadata, 9, &compact);
    assert!(matches!(refused, Err(WireError::Count { .. })));
    let minus_two = (-2i32).to_be_bytes();
    assert!(check(ApiKey::Metadata, 1, &minus_two).is_err());
}

proptest! {
    #[test]
    fn damaged_frames_never_panic(
        which in 0usize..apis::APIS.len(),
        seed: u64,
        at: prop::sample::Index,
        value: u8,
        cut: prop::sample::Index,
    ) {
        let api = &apis::APIS[which];
        if let Some(shape) = shapes::find(api.key) {
            for version in api.versions.clone() {
                let mut bytes = frame(shape, version, seed).to_vec();
                if bytes.is_empty() {
                    continue;
                }
                let at = at.index(bytes.len());
                bytes[at] = value;
                let _ = crate_decodes(api.key, version, Bytes::from(bytes.clone()));
                bytes.truncate(cut.index(bytes.len()));
                let _ = crate_decodes(api.key, version, Bytes::from(bytes));
            }
        }
    }
}
