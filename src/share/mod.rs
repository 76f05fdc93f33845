//! Share groups (KIP-932), on the shard that owns a partition: `inflight` is what a group has done of it
//! (pure), `shared` where those of a shard are kept, with who waits for them. On the shard that owns a
//! partition of `__share_group_state`: `states` reads and writes what outlives a restart, in Kafka's
//! format (`record`). What goes between the two, and to the log, is in the broker.

pub mod inflight;
mod record;
mod shared;
mod states;

pub use shared::{Found, Hold, Shared, Shares};
pub use states::{state_partition, ShareStates, STATE_TOPIC};
