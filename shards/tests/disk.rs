//! The seam to the disk, on real files.

mod support;

use std::path::Path;

use bytes::BytesMut;
use corelane_shards::disk::{Access, File, HandleCache, HandleKind, WriteBuffer, BLOCK_BYTES};
use support::on_shard;

#[test]
fn what_was_written_is_read_at_any_place() {
    on_shard(|_| async {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        let file = File::open(&path, Access::WriteDurable).await.expect("opens");
        let mut buffer = WriteBuffer::new(2 * BLOCK_BYTES as usize);
        for (place, byte) in buffer.bytes_mut().iter_mut().enumerate() {
            *byte = place as u8;
        }
        file.write_at(buffer, BLOCK_BYTES).await.expect("writes");
        let read = file.read_at(BLOCK_BYTES + 10, 4).await.expect("reads");
        assert_eq!(&read[..], [10, 11, 12, 13]);
        let over_the_end = file.read_at(3 * BLOCK_BYTES - 2, 100).await.expect("reads");
        assert_eq!(&over_the_end[..], [254, 255]);
        assert_eq!(&file.read_at(0, 3).await.expect("a hole")[..], [0, 0, 0]);
        assert!(file.read_at(3 * BLOCK_BYTES + 5, 100).await.expect("nothing is there").is_empty());
        assert!(file.read_at(BLOCK_BYTES, 0).await.expect("nothing was asked for").is_empty());

        let mut behind = BytesMut::from(&b"before"[..]);
        let len = file.read_behind(3 * BLOCK_BYTES - 2, 100, &mut behind).await.expect("reads");
        assert_eq!((len, &behind[..]), (2, &b"before\xfe\xff"[..]));

        // What was read outlives the file and its shard's buffers, and is read on any thread.
        drop(file);
        let elsewhere =
            std::thread::spawn(move || read.iter().map(|byte| u32::from(*byte)).sum::<u32>());
        assert_eq!(elsewhere.join().expect("does not panic"), 46);
    });
}

/// Files of /proc refuse `O_DIRECT`, as some file systems do.
#[test]
fn without_direct_io_files_are_read_through_the_cache() {
    on_shard(|_| async {
        let path = Path::new("/proc/self/status");
        let file = File::open(path, Access::Read).await.expect("opens all the same");
        assert!(file.read_at(0, 5).await.expect("reads").starts_with(b"Name:"));
    });
}

#[test]
fn errors_keep_the_kernels_number() {
    on_shard(|_| async {
        let missing = File::open(Path::new("/nowhere/file"), Access::Read).await;
        let error = missing.err().expect("there is no such directory");
        assert_eq!(error.os_code, Some(libc::ENOENT));
        assert!(error.to_string().starts_with("open /nowhere/file: No such file"), "{error}");
    });
}

#[test]
fn files_kept_open_follow_what_may_be_kept() {
    on_shard(|_| async {
        let dir = tempfile::tempdir().expect("a directory");
        let handles = HandleCache::new(64);
        let open = |log: u64| {
            let path = dir.path().join(log.to_string());
            handles.get((log, (0, 0), HandleKind::Write), move || path)
        };
        for log in 0..64 {
            open(log).await.expect("opens");
        }
        assert_eq!(handles.len(), 64);
        let used = open(0).await.expect("is open");
        handles.resize(32);
        assert!((28..=32).contains(&handles.len()), "{} are open", handles.len());
        handles.resize(64);
        for log in 0..64 {
            open(log).await.expect("opens");
        }
        assert_eq!(handles.len(), 64);
        assert!(used.path().ends_with("0"));
    });
}
