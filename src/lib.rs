//! Corelane: a Kafka-wire-compatible broker. Everything that speaks Kafka; the engine below it is
//! the crate `corelane-shards`.

pub mod wire;
