//! Corelane: a Kafka-wire-compatible broker. Everything that speaks Kafka; the engine below it is
//! the crate `corelane-shards`.

pub mod config;
pub mod controller;
pub mod metadata;
pub mod wire;
