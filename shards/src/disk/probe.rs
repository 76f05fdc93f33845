//! Works around a trap in glommio 0.9: at the first file a thread opens on a device it reads one
//! block to learn whether the device can be polled for completions, and takes "nothing to read"
//! for yes. On an empty file the answer is then wrong, and every later direct read or write on
//! that device fails with `EOPNOTSUPP`. So the first file is always one of ours that has a block.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use glommio::io::DmaFile;

use super::file::BLOCK_BYTES;

thread_local! {
    static PROBED_DEVICES: RefCell<BTreeSet<u64>> = const { RefCell::new(BTreeSet::new()) };
}

/// Makes sure that this thread knows the device on which `path` lies or will lie. Where no file can
/// be made there is nothing to be learned: what is opened next says why.
pub(super) async fn ensure_probed(path: &Path) {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(device) = fs::metadata(dir).map(|metadata| metadata.dev()) else { return };
    if PROBED_DEVICES.with_borrow(|devices| devices.contains(&device)) {
        return;
    }
    let name = format!(".probe-{:?}-{}", std::thread::current().id(), std::process::id());
    let probe = dir.join(name.replace(['(', ')'], "-"));
    if fs::write(&probe, vec![0u8; BLOCK_BYTES as usize]).is_err() {
        return;
    }
    if let Ok(file) = DmaFile::open(&probe).await {
        let _ = file.close().await;
    }
    let _ = fs::remove_file(&probe);
    PROBED_DEVICES.with_borrow_mut(|devices| devices.insert(device));
}
