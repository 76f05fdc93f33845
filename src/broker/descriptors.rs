/// A shard's part of the descriptors that the process may have. An eighth is left for what is neither
/// a connection nor a log's file, and for those that are being closed.
#[derive(Debug, Clone, Copy)]
pub struct Descriptors {
    eighth: usize,
}

impl Descriptors {
    /// `limit`: of the process (`RLIMIT_NOFILE`).
    pub fn of_shard(limit: u64, shards: usize) -> Descriptors {
        Descriptors { eighth: limit as usize / shards / 8 }
    }

    /// Most connections: a flood of them does not keep a log from opening its file.
    pub fn most_connections(self) -> usize {
        self.eighth * 5
    }

    /// Most log files that are kept open beside so many connections: what these leave, a quarter of
    /// all at least. A file that has to be opened and closed for each write costs more than the write.
    pub fn log_files(self, connections: usize) -> usize {
        (self.eighth * 7).saturating_sub(connections).max(self.eighth * 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_files_have_what_connections_leave_and_never_more_than_there_is() {
        let descriptors = Descriptors::of_shard(20_000, 2);
        assert_eq!(descriptors.log_files(0), 8_750);
        assert_eq!(descriptors.log_files(750), 8_000);
        assert_eq!(descriptors.most_connections(), 6_250);
        for connections in 0..=descriptors.most_connections() {
            let files = descriptors.log_files(connections);
            assert!(files >= 2_500 && connections + files <= 8_750, "{connections}: {files}");
        }
        assert_eq!(descriptors.log_files(1_000_000), 2_500);
    }
}
