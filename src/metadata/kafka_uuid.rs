use uuid::Uuid;

/// A topic id as Kafka prints it: 22 characters of URL-safe base64.
pub fn kafka_uuid(id: Uuid) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = id.as_u128();
    // 128 bits are 21 digits of six bits and one of two, which is filled up with zeros.
    let digit = |at: u32| match at {
        21 => (bits << 4) & 63,
        at => (bits >> (122 - 6 * at)) & 63,
    };
    (0..22).map(|at| char::from(ALPHABET[digit(at) as usize])).collect()
}

/// Whether text can be an id as Kafka prints it.
pub fn is_kafka_uuid(text: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text.len() == 22 && text.chars().all(is_digit)
}

/// What `partition.metadata` says, in Kafka's form.
pub fn partition_metadata(topic: Uuid) -> String {
    format!("version: 0\ntopic_id: {}", kafka_uuid(topic))
}

#[cfg(test)]
mod tests {
    #[test]
    fn topic_ids_are_printed_as_kafka_does() {
        assert_eq!(super::kafka_uuid(uuid::Uuid::nil()), "A".repeat(22));
        assert_eq!(super::kafka_uuid(uuid::Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(super::kafka_uuid(uuid::Uuid::from_u128(u128::MAX)), "_____________________w");
        assert!(super::is_kafka_uuid("AAAAAAAAAAAAAAAAAAAAAQ"));
        assert!(!super::is_kafka_uuid("0f0e0d0c-0b0a-0908-0706-050403020100"));
    }
}
