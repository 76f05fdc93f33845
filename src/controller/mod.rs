//! The controller: decides about topics, their settings and producer ids, keeps the decisions in a log on disk,
//! and tells the shards. `state` (with `configs`) is a pure state machine, `record` and `store` its durable form,
//! `actor` the task on the control thread, `handle` what the shards call.

mod actor;
mod changes;
mod configs;
mod disk;
mod features;
mod frame;
mod handle;
mod quotas;
mod record;
#[cfg(test)]
mod simulation;
mod state;
mod store;

pub use actor::{run, ImageUpdate};
pub use changes::{ConfigChange, ConfigOp};
pub use configs::{ConfigsChange, Target};
pub use features::{FeatureUpdate, UpgradeType};
pub use handle::{ControllerHandle, MorePartitions};
pub use quotas::QuotaChange;
pub use record::MetadataRecord;
pub use state::{
    ApiError, Controller, CreatedTopic, NewTopic, Placement, TopicSelector, PRODUCER_ID_BLOCK,
};
pub use store::{MetadataStore, StoreError};
