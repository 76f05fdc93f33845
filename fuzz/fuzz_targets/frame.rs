//! Any bytes as a frame: header, then the body as what the header says it is.
//! `cargo +nightly fuzz run -s none frame` (the C libraries below do not build with a sanitizer)
#![no_main]

use bytes::BytesMut;
use corelane::wire::{self, ApiKey};
use kafka_protocol::messages::*;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut frame = BytesMut::from(data);
    let Ok(header) = wire::parse_header(&mut frame) else { return };
    let (key, version) = (header.key, header.version);
    macro_rules! decode {
        ($request:ty) => {
            drop(wire::Checked::new(key, version, frame.freeze()).and_then(wire::Checked::decode::<$request>))
        };
    }
    match key {
        ApiKey::Produce => drop(wire::produce::parse(version, frame)),
        ApiKey::Fetch => drop(wire::fetch::parse(version, frame.freeze())),
        ApiKey::ListOffsets => decode!(ListOffsetsRequest),
        ApiKey::Metadata => decode!(MetadataRequest),
        ApiKey::FindCoordinator => decode!(FindCoordinatorRequest),
        ApiKey::ApiVersions => decode!(ApiVersionsRequest),
        ApiKey::CreateTopics => decode!(CreateTopicsRequest),
        ApiKey::DeleteTopics => decode!(DeleteTopicsRequest),
        ApiKey::DeleteRecords => decode!(DeleteRecordsRequest),
        ApiKey::InitProducerId => decode!(InitProducerIdRequest),
        ApiKey::OffsetForLeaderEpoch => decode!(OffsetForLeaderEpochRequest),
        ApiKey::DescribeConfigs => decode!(DescribeConfigsRequest),
        ApiKey::DescribeLogDirs => decode!(DescribeLogDirsRequest),
        ApiKey::CreatePartitions => decode!(CreatePartitionsRequest),
        ApiKey::DescribeCluster => decode!(DescribeClusterRequest),
        _ => {}
    }
});
