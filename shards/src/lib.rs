//! Corelane's engine: one pinned executor per core, the mailbox mesh between them, sockets,
//! and the direct-I/O log. It knows nothing of Kafka requests or of cluster metadata.

pub mod disk;
pub mod log;
pub mod net;
pub mod runtime;
