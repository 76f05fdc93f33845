//! New segments in the place of old ones. As Kafka does: `.cleaned` is not whole yet and is removed
//! at the next start; `.swap` is, and takes its place at the next start if it has not before.

use std::path::Path;
use std::rc::Rc;

use crate::disk::{self, Access, DiskError, File, FileId};
use crate::log::aborted;
use crate::log::error::LogError;
use crate::log::index::SegmentIndex;
use crate::log::log::Log;
use crate::log::retention::DELETED_SUFFIX;
use crate::log::scan::scan;
use crate::log::segment::{file_path, parse_file_name, SEGMENT_FILES};

/// Most segments have none.
const MAYBE: &str = "txnindex";

/// Holds the offset below which a log was compacted.
pub const CLEANER_OFFSET_FILE: &str = "cleaner-offset";

impl Log {
    /// Everything below was compacted before.
    pub(in crate::log) async fn first_dirty(&self) -> Result<i64, LogError> {
        if let Some(known) = self.first_dirty.get() {
            return Ok(known);
        }
        let text = disk::read_small(&self.dir().join(CLEANER_OFFSET_FILE)).await?;
        // Where it cannot be read all of the log is looked at again.
        let offset = text.and_then(|text| std::str::from_utf8(&text).ok()?.trim().parse().ok());
        self.first_dirty.set(Some(offset.unwrap_or(0)));
        Ok(offset.unwrap_or(0))
    }

    pub(super) async fn set_first_dirty(&self, offset: i64) -> Result<(), LogError> {
        let file = self.dir().join(CLEANER_OFFSET_FILE);
        disk::replace_file(&file, offset.to_string().into_bytes()).await?;
        self.first_dirty.set(Some(offset));
        Ok(())
    }

    /// Puts the new segment, whose records are in `.log.cleaned`, in the place of `group`. Reads that
    /// need a file wait for as long as that takes.
    pub(super) async fn swap_in(
        self: &Rc<Self>,
        group: &[i64],
        size: u64,
        index: SegmentIndex,
    ) -> Result<(), LogError> {
        let base = group[0];
        let (offsets, times) = index.encode();
        disk::write_small(&file_path(&self.dir(), base, "index.cleaned"), offsets).await?;
        disk::write_small(&file_path(&self.dir(), base, "timeindex.cleaned"), times).await?;
        let aborted = aborted::encode(&self.state.borrow().aborted_in(group));
        if !aborted.is_empty() {
            // Unlike the others it cannot be built anew: it is durable before it has its place.
            let path = file_path(&self.dir(), base, &format!("{MAYBE}.cleaned"));
            disk::replace_file(&path, aborted).await?;
        }
        if !group.iter().all(|base| self.state.borrow().find(*base).is_some()) {
            // Deleted meanwhile, by retention or with its topic.
            return Ok(());
        }
        self.swapping.set(true);
        let files = self.state.borrow().files_of(group);
        let swapped = self.rename_all(base, &files).await;
        if swapped.is_ok() {
            group.iter().for_each(|segment| self.forget_files(*segment));
            self.state.borrow_mut().replace(group, size, index);
        }
        self.swapping.set(false);
        self.settled.notify();
        match swapped {
            Ok(()) => files.into_iter().for_each(|file| self.remove_later(file)),
            // Some files may have their new names: only recovery can tell.
            Err(error) => {
                self.fail(&error);
                return Err(error.into());
            }
        }
        Ok(())
    }

    async fn rename_all(&self, base: i64, group: &[FileId]) -> Result<(), DiskError> {
        // The records last: with them the swap is decided.
        for extension in SEGMENT_FILES.into_iter().rev() {
            let from = file_path(&self.dir(), base, &format!("{extension}.cleaned"));
            let to = file_path(&self.dir(), base, &format!("{extension}.swap"));
            match extension {
                MAYBE => disk::rename_if_there(&from, &to).await?,
                _ => disk::rename(&from, &to).await?,
            }
        }
        for &file in group {
            self.set_aside(file).await?;
        }
        take_place(&self.dir(), base).await
    }
}

/// Gives a `.swap` its segment's names.
async fn take_place(dir: &Path, base: i64) -> Result<(), DiskError> {
    for extension in SEGMENT_FILES {
        let from = file_path(dir, base, &format!("{extension}.swap"));
        let to = file_path(dir, base, extension);
        disk::rename_if_there(&from, &to).await?;
    }
    Ok(())
}

/// Ends what a crash interrupted in `dir`, whose files are `names`; whether there was anything.
pub async fn finish_swaps(dir: &Path, names: &[(String, bool)]) -> Result<bool, LogError> {
    let mut changed = false;
    for (name, _) in names {
        let Some(base) = parse_file_name(name, "log.swap") else { continue };
        changed = true;
        let end = end_of(dir, base).await?;
        tracing::warn!(log = %dir.display(), segment = base, "a compaction is brought to its end");
        let old = names.iter().filter_map(|(name, _)| parse_file_name(name, "log"));
        for segment in old.filter(|segment| (base..end.max(base + 1)).contains(segment)) {
            for extension in SEGMENT_FILES {
                let path = file_path(dir, segment, extension);
                let aside = file_path(dir, segment, &format!("{extension}.{DELETED_SUFFIX}"));
                disk::rename_if_there(&path, &aside).await?;
            }
        }
        take_place(dir, base).await?;
    }
    for (name, _) in names.iter().filter(|(name, _)| name.ends_with(".swap")) {
        changed = true;
        // The records have their place already, or never got as far as this.
        let base = SEGMENT_FILES.iter().find_map(|of| parse_file_name(name, &format!("{of}.swap")));
        let undecided = |(name, _): &(String, bool)| parse_file_name(name, "log.cleaned") == base;
        match base {
            Some(base) if !names.iter().any(undecided) => take_place(dir, base).await?,
            _ => disk::remove_file(&dir.join(name)).await?,
        }
    }
    // Last: they say that what else is there was not decided.
    for (name, _) in names.iter().filter(|(name, _)| name.ends_with(".cleaned")) {
        disk::remove_file(&dir.join(name)).await?;
        changed = true;
    }
    Ok(changed)
}

/// Offset after the last batch of a whole `.swap`.
async fn end_of(dir: &Path, base: i64) -> Result<i64, LogError> {
    let file = File::open(&file_path(dir, base, "log.swap"), Access::Read).await?;
    let size = file.size().await?;
    Ok(scan(&file, (0, base), size, |_, _, _| {}).await?.end_offset)
}
