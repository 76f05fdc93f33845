use super::*;

const PRODUCE: &str = r#"
title = "Title"
why = "Because"
partitions = 8
[produce]
connections = 2
acks = "all"
record-bytes = 1024
batch-bytes = "64KiB"
"#;

/// A workload to test others with.
pub fn workload(name: &str) -> Workload {
    Workload::parse(name, PRODUCE).unwrap()
}

fn error(text: &str) -> String {
    format!("{:#}", Workload::parse("w", text).unwrap_err())
}

#[test]
fn sizes_are_numbers_or_text_and_the_rest_has_defaults() {
    let workload = workload("w");
    let produce = workload.produce.unwrap();
    assert_eq!((produce.record_bytes, produce.batch_bytes), (1024, 65_536));
    assert_eq!((produce.in_flight, produce.partitions_per_request), (5, 1));
    assert_eq!(workload.ceiling, Ceiling::None);
}

#[test]
fn errors_name_what_is_wrong() {
    let with = |more: &str| error(&format!("{PRODUCE}{more}"));
    for (got, expected) in [
        (with("recrod-bytes = 3"), "unknown field `recrod-bytes`"),
        (with("compression = \"lzma\""), "unknown variant `lzma`"),
        (with("partitions-per-request = 9"), "partitions-per-request is 1..=partitions"),
        (with("in-flight = 0"), "in-flight is 1..=1024"),
        (with("[produce.rate]"), "either batches-per-second or share-of-kafka"),
        (with("[produce.rate]\nshare-of-kafka = 1.5"), "share-of-kafka is above 0"),
        (with("compression = \"zstd\"\n[produce.rate]\nbatches-per-second = 5"), "not compressed"),
        (with("[backlog]\nbytes = \"1GiB\""), "[backlog] is for [consume]"),
        (with("[consume]\nfrom = \"backlog\""), "needs [backlog]"),
        (with("[consume]\nfrom = \"tail\"\ngroups = 1000"), "groups is 1..=100"),
        (error("title = \"T\"\nwhy = \"W\"\npartitions = 1"), "nothing to do"),
        (error(&PRODUCE.replace("64KiB", "64 pounds")), "unknown unit"),
        (error(&PRODUCE.replace("\"all\"", "\"0\"")), "there is no answer"),
        (error(&PRODUCE.replace("partitions = 8", "partitions = 0")), "partitions is 1..=100000"),
        (error(&PRODUCE.replace("partitions = 8\n", "")), "missing field `partitions`"),
    ] {
        assert!(got.contains(expected), "{got} does not say {expected}");
    }
}

#[test]
fn workloads_that_are_shipped_are_whole() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads");
    let workloads = read_all(&dir, &[]).unwrap();
    assert!(workloads.len() >= 15);
    for workload in workloads {
        assert!(workload.why.len() > 40, "{}: say why", workload.name);
    }
}

#[test]
fn unknown_name_is_answered_with_the_known_ones() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads");
    let error = read_all(&dir, &["no-such".into()]).unwrap_err().to_string();
    assert!(error.contains("no workload no-such") && error.contains("fetch-tail"), "{error}");
}
