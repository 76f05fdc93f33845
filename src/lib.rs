//! Corelane: a Kafka-wire-compatible broker. Everything that speaks Kafka; the engine below it is
//! the crate `corelane-shards`.

pub mod broker;
pub mod cli;
mod clock;
pub mod config;
pub mod connection;
pub mod controller;
pub mod doctor;
pub mod group;
pub mod handlers;
pub mod import;
mod machine;
pub mod metadata;
pub mod partition;
mod pattern;
pub mod share;
pub mod transaction;
pub mod wire;
