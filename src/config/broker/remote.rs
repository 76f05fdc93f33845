//! Remote storage (tiered storage).

use crate::config::setting::{settings, Setting, Standing::*, Update::*, Valid::*};
use crate::config::BrokerConfig;

const NO_REMOTE: &str = "there is no remote storage";

settings! {
    pub const REMOTE for BrokerConfig;

    "remote.fetch.max.wait.ms": Int "500", AtLeast(1), ClusterWide, Refused(NO_REMOTE),
        "How long a fetch from remote storage may take.";
    "remote.list.offsets.request.timeout.ms": Long "30000", AtLeast(1), ClusterWide, Refused(NO_REMOTE),
        "How long a look for offsets in remote storage may take.";
    "remote.log.index.file.cache.total.size.bytes": Long "1073741824", AtLeast(1), ClusterWide, Refused(NO_REMOTE),
        "Space for indexes of remote segments.";
    "remote.log.manager.copier.thread.pool.size": Int "10", AtLeast(1), ClusterWide, Refused(NO_REMOTE),
        "Threads that copy segments.";
    "remote.log.manager.copy.max.bytes.per.second": Long "9223372036854775807", AtLeast(1), ClusterWide, Refused(NO_REMOTE),
        "Bytes copied to remote storage a second.";
    "remote.log.manager.copy.quota.window.num": Int "11", AtLeast(1), ReadOnly, Refused(NO_REMOTE),
        "Samples of that quota.";
    "remote.log.manager.copy.quota.window.size.seconds": Int "1", AtLeast(1), ReadOnly, Refused(NO_REMOTE),
        "Length of each sample.";
    "remote.log.manager.expiration.thread.pool.size": Int "10", AtLeast(1), ClusterWide, Refused(NO_REMOTE),
        "Threads that delete old remote segments.";
    "remote.log.manager.fetch.max.bytes.per.second": Long "9223372036854775807", AtLeast(1), ClusterWide, Refused(NO_REMOTE),
        "Bytes fetched from remote storage a second.";
    "remote.log.manager.fetch.quota.window.num": Int "11", AtLeast(1), ReadOnly, Refused(NO_REMOTE),
        "Samples of that quota.";
    "remote.log.manager.fetch.quota.window.size.seconds": Int "1", AtLeast(1), ReadOnly, Refused(NO_REMOTE),
        "Length of each sample.";
    "remote.log.manager.task.interval.ms": Long "30000", AtLeast(1), ReadOnly, Refused(NO_REMOTE),
        "Time between two looks for segments to copy or delete.";
    "remote.log.manager.task.retry.backoff.max.ms": Long "30000", AtLeast(1), ReadOnly, Refused(NO_REMOTE),
        "Longest wait between two tries.";
    "remote.log.manager.task.retry.backoff.ms": Long "500", AtLeast(1), ReadOnly, Refused(NO_REMOTE),
        "First wait between two tries.";
    "remote.log.manager.task.retry.jitter": Double "0.2", Any, ReadOnly, Refused(NO_REMOTE),
        "Spread of these waits.";
    "remote.log.manager.thread.pool.size": Int "2", AtLeast(1), ReadOnly, Refused(NO_REMOTE),
        "Threads of followers.";
    "remote.log.metadata.custom.metadata.max.bytes": Int "128", AtLeast(0), ReadOnly, Refused(NO_REMOTE),
        "Largest metadata that a plugin may keep with a segment.";
    "remote.log.metadata.manager.class.name": String "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager", NotEmpty, ReadOnly, Refused(NO_REMOTE),
        "The Java class that keeps what is known of remote segments.";
    "remote.log.metadata.manager.class.path": String, Any, ReadOnly, Refused(NO_REMOTE),
        "Where that class is.";
    "remote.log.metadata.manager.impl.prefix": String "rlmm.config.", NotEmpty, ReadOnly, Refused(NO_REMOTE),
        "Prefix of that class's settings.";
    "remote.log.metadata.manager.listener.name": String, NotEmpty, ReadOnly, Refused(NO_REMOTE),
        "Listener that that class connects to.";
    "remote.log.reader.max.pending.tasks": Int "100", AtLeast(1), ReadOnly, Refused(NO_REMOTE),
        "Reads of remote segments that may wait.";
    "remote.log.reader.threads": Int "10", AtLeast(1), ClusterWide, Refused(NO_REMOTE),
        "Threads that read remote segments.";
    "remote.log.storage.manager.class.name": String, NotEmpty, ReadOnly, Refused(NO_REMOTE),
        "The Java class that stores segments.";
    "remote.log.storage.manager.class.path": String, Any, ReadOnly, Refused(NO_REMOTE),
        "Where that class is.";
    "remote.log.storage.manager.impl.prefix": String "rsm.config.", NotEmpty, ReadOnly, Refused(NO_REMOTE),
        "Prefix of that class's settings.";
    "remote.log.storage.system.enable": Boolean "false", Any, ReadOnly, Refused(NO_REMOTE),
        "Whether segments are kept in remote storage, too.";
}
