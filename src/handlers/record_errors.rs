//! Which records of a refused batch are to blame (KIP-467): those without a key in a topic that is compacted
//! by key, and those of times that the topic does not take. Pure.

use corelane_shards::log::batch::{BatchHeader, Record, NO_TIMESTAMP};

use crate::wire::produce::RecordError;
use crate::wire::ErrorCode;

/// What a topic asks of records.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub needs_keys: bool,
    /// The first and last times taken, in ms; `None`: the broker's time counts.
    pub times: Option<(i64, i64)>,
}

/// Why a batch is refused, and for which of its records.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: ErrorCode,
    pub message: String,
    /// In order, no more than were asked for.
    pub records: Vec<RecordError>,
}

/// Records that the message names, as Kafka's does.
const IN_MESSAGE: usize = 3;

/// What is wrong with records, `undone`, of a batch whose layout was checked; at most `most` are named.
pub fn judge(
    rules: &Rules<'_>,
    header: &BatchHeader,
    mut undone: &[u8],
    most: usize,
) -> Option<Refusal> {
    let (mut records, mut wrong, mut any_time) = (Vec::new(), 0, false);
    while let Some(record) = Record::take(&mut undone) {
        let Some((code, message)) = judge_one(rules, header, &record) else { continue };
        wrong += 1;
        any_time |= code == ErrorCode::InvalidTimestamp;
        if records.len() < most.max(IN_MESSAGE) {
            // Deltas are numbers of records, which the header counts in as many bits.
            records.push(RecordError { index: record.offset_delta as i32, message });
        }
    }
    if wrong == 0 {
        return None;
    }
    let (code, message) = match any_time {
        true => {
            let message = "One or more records have been rejected due to invalid timestamp";
            (ErrorCode::InvalidTimestamp, message.to_string())
        }
        false => {
            let shown = records.iter().take(IN_MESSAGE).map(|RecordError { index, message }| {
                format!("RecordError(batchIndex={index}, message='{message}')")
            });
            let shown = shown.collect::<Vec<_>>().join(", ");
            let message = format!(
                "One or more records have been rejected due to {wrong} record errors in total, \
                 and only showing the first three errors at most: [{shown}]"
            );
            (ErrorCode::InvalidRecord, message)
        }
    };
    records.truncate(most);
    Some(Refusal { code, message, records })
}

fn judge_one(
    rules: &Rules<'_>,
    header: &BatchHeader,
    record: &Record<'_>,
) -> Option<(ErrorCode, String)> {
    if rules.needs_keys && record.key.is_none() {
        let (topic, partition) = (rules.topic, rules.partition);
        let message = format!(
            "Compacted topic cannot accept message without key in topic partition {topic}-{partition}"
        );
        return Some((ErrorCode::InvalidRecord, message));
    }
    let time = match header.is_log_append_time() {
        true => header.max_timestamp.get(),
        false => header.base_timestamp.get().wrapping_add(record.timestamp_delta),
    };
    let message = match rules.times {
        // A record without a time is never out of range.
        Some((first, last)) if time != NO_TIMESTAMP => {
            if (first..=last).contains(&time) {
                return None;
            }
            let offset = header.base_offset.get().wrapping_add(record.offset_delta);
            format!(
                "Timestamp {time} of message with offset {offset} is out of range. The timestamp should \
                 be within [{first}, {last}]"
            )
        }
        _ if header.is_log_append_time() => {
            "Invalid timestamp type in message. Producer should not set timestamp type to \
             LogAppendTime."
                .to_string()
        }
        _ => return None,
    };
    Some((ErrorCode::InvalidTimestamp, message))
}

#[cfg(test)]
mod tests {
    use corelane_shards::log::batch::{build, BATCH_HEADER_BYTES};

    use super::*;

    const RULES: Rules<'_> =
        Rules { topic: "t", partition: 3, needs_keys: false, times: Some((500, 2_000)) };

    fn judged(rules: &Rules<'_>, values: &[&[u8]], time: i64, most: usize) -> Option<Refusal> {
        let batch = build::batch(values, time, None);
        let header = BatchHeader::peek(&batch).expect("a header");
        judge(rules, &header, &batch[BATCH_HEADER_BYTES..], most)
    }

    #[test]
    fn records_without_keys_are_named_where_keys_are_needed() {
        let values: [&[u8]; 5] = [b"a", b"b", b"c", b"d", b"e"];
        assert_eq!(judged(&RULES, &values, 1_000, 10), None);
        let rules = Rules { needs_keys: true, ..RULES };
        let refusal = judged(&rules, &values, 1_000, 2).expect("is refused");
        assert_eq!(refusal.code, ErrorCode::InvalidRecord);
        let each = "Compacted topic cannot accept message without key in topic partition t-3";
        let named: Vec<_> =
            refusal.records.iter().map(|one| (one.index, one.message.as_str())).collect();
        assert_eq!(named, [(0, each), (1, each)]);
        let shown: Vec<_> = (0..3)
            .map(|index| format!("RecordError(batchIndex={index}, message='{each}')"))
            .collect();
        let all = format!(
            "One or more records have been rejected due to 5 record errors in total, and only showing \
             the first three errors at most: [{}]",
            shown.join(", ")
        );
        assert_eq!(refusal.message, all);
    }

    #[test]
    fn records_of_times_out_of_range_are_named() {
        let refusal = judged(&RULES, &[b"a", b"b"], 2_001, 10).expect("is refused");
        assert_eq!(refusal.code, ErrorCode::InvalidTimestamp);
        assert_eq!(
            refusal.message,
            "One or more records have been rejected due to invalid timestamp"
        );
        assert_eq!(refusal.records.len(), 2);
        assert_eq!(
            refusal.records[1].message,
            "Timestamp 2001 of message with offset 1 is out of range. The timestamp should be \
             within [500, 2000]"
        );
        assert_eq!(judged(&RULES, &[b"a"], NO_TIMESTAMP, 10), None, "it has none");
        let broker = Rules { times: None, ..RULES };
        assert_eq!(judged(&broker, &[b"a"], 2_001, 10), None, "the broker's counts");
    }
}
