//! Opens a partition's directory: which segments there are, what in them is whole, and what the
//! producers had written. After a clean stop the files are taken at their word; after a crash the
//! last segment is walked batch by batch and cut at the first hole.

use std::path::Path;
use std::rc::Rc;

use super::aborted::{self, Aborted};
use super::compaction::finish_swaps;
use super::config::LogConfig;
use super::env::LogEnv;
use super::error::LogError;
use super::index::{self, SegmentIndex};
use super::journal::{JournalReplay, LogId};
use super::log::Log;
use super::point::RecoveryPoint;
use super::producers::Producers;
use super::replaying::Replaying;
use super::retention::{DELETED_SUFFIX, LOG_START_FILE};
use super::scan::{scan, Scanned};
use super::segment::{file_path, parse_file_name, Segment, SEGMENT_FILES};
use super::snapshots;
use super::state::LogState;
use crate::disk::{self, align_down, Access, DiskError, File};

/// What opening a log found and did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Segments that were walked batch by batch.
    pub scanned_segments: usize,
    pub scanned_bytes: u64,
    /// Bytes behind the last whole batch that were cut, unused space not counted.
    pub cut_bytes: u64,
    pub rebuilt_indexes: usize,
    /// Bytes that the journal had and the segments did not.
    pub replayed_bytes: u64,
    /// The crash took records back that lie before the log start offset: the log is empty.
    pub began_anew: bool,
}

/// What is known of a log before it is opened.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    pub id: LogId,
    /// The directory was closed in order, see [`Log::close`].
    pub clean: bool,
    /// What the journals of its log directory hold.
    pub journal: &'a JournalReplay,
}

/// Opens the log in `dir`.
///
/// # Errors
/// A file cannot be read or cut, or the log lacks what lies before its part of the journal.
pub async fn recover(
    env: &Rc<LogEnv>,
    dir: &Path,
    config: LogConfig,
    opening: Opening<'_>,
) -> Result<(Rc<Log>, Recovered), LogError> {
    let clean = opening.clean;
    let mut report = Recovered::default();
    let mut names = disk::list_dir(dir).await?;
    if finish_swaps(dir, &names).await? {
        names = disk::list_dir(dir).await?;
    }
    let mut bases: Vec<i64> =
        names.iter().filter_map(|(name, _)| parse_file_name(name, "log")).collect();
    remove_deleted(dir, &names).await?;
    if bases.is_empty() {
        disk::write_small(&file_path(dir, 0, "log"), Vec::new()).await?;
        disk::sync_dir(dir).await?;
        bases.push(0);
    }
    if !clean {
        // A name may be there that its maker had no time to make durable.
        disk::sync_dir(dir).await?;
    }
    let (mut from, mut producers) = snapshots::load(dir, i64::MIN, i64::MAX).await?;
    let point = if clean { None } else { usable_point(dir, &bases).await? };
    if let Some(point) = point.as_ref().filter(|point| point.offset > from) {
        (from, producers) = (point.offset, point.producers.clone());
    }
    let aborted = names.iter().filter_map(|(name, _)| parse_file_name(name, "txnindex")).collect();
    let mut recovery =
        Recovery { dir, config: &config, clean, report: &mut report, from, point, aborted };
    let (mut segments, mut log_end) = recovery.segments(&bases, &mut producers).await?;
    if from > log_end {
        // The snapshot is ahead of the log: damage took batches back. Start from an older one.
        tracing::warn!(log = %dir.display(), "the producer snapshot at {from} is ahead of the log");
        let (older, again) = snapshots::load(dir, i64::MIN, log_end).await?;
        producers = again;
        recovery.from = older;
        recovery.clean = false;
        recovery.point = None;
        let kept: Vec<i64> = segments.iter().map(|s| s.base_offset).collect();
        // This time segments that were taken at their word are walked: less may be whole.
        (segments, log_end) = recovery.segments(&kept, &mut producers).await?;
    }
    let mut replaying = Replaying {
        dir,
        config: &config,
        segments: &mut segments,
        log_end,
        producers: &mut producers,
    };
    report.replayed_bytes = replaying.run(opening.journal.of(&opening.id)).await?;
    log_end = replaying.log_end;
    let log_start = read_log_start(dir).await?;
    if log_start > log_end {
        segments = vec![begin_anew(dir, &segments, log_start, log_end).await?];
        producers = Producers::default();
        log_end = log_start;
        report.began_anew = true;
    }
    seal_all_but_the_last(&mut segments);
    let partial_block = read_partial_block(dir, segments.last()).await?;
    let first = segments.first().map_or(0, |s| s.base_offset);
    let log_start = log_start.max(first);
    let state = LogState::new(config, segments, log_start, log_end, partial_block, producers);
    Ok((Log::open(env, dir, opening.id, state), report))
}

/// The recovery point, if it lies in the last segment, whose file has all that it speaks of.
async fn usable_point(dir: &Path, bases: &[i64]) -> Result<Option<RecoveryPoint>, LogError> {
    let Some(point) = RecoveryPoint::load(dir).await? else { return Ok(None) };
    if bases.last() != Some(&point.segment) {
        return Ok(None);
    }
    let file = File::open(&file_path(dir, point.segment, "log"), Access::Read).await?;
    let whole = file.size().await? >= point.position;
    Ok(whole.then_some(point))
}

/// The next segment is begun only when one is whole; what a crash left of that was made good.
fn seal_all_but_the_last(segments: &mut [Segment]) {
    if let Some((_active, before)) = segments.split_last_mut() {
        before.iter_mut().for_each(|segment| segment.sealed = true);
    }
}

/// Records were deleted up to an offset that the crash did not leave: offsets that consumers have
/// seen are not given out again, so the log goes on from there, empty.
async fn begin_anew(
    dir: &Path,
    segments: &[Segment],
    log_start: i64,
    log_end: i64,
) -> Result<Segment, LogError> {
    tracing::warn!(
        log = %dir.display(), log_start, log_end,
        "the log ends before its start, up to which records were deleted: it begins there, empty"
    );
    disk::write_small(&file_path(dir, log_start, "log"), Vec::new()).await?;
    // What producers had written is gone, and what they had open is not known whole.
    snapshots::write(dir, log_start, Producers::default().encode()).await?;
    for segment in segments {
        for extension in SEGMENT_FILES {
            disk::remove_file(&file_path(dir, segment.base_offset, extension)).await?;
        }
    }
    disk::sync_dir(dir).await?;
    Ok(Segment::new(log_start))
}

/// What an earlier process had no time to remove.
async fn remove_deleted(dir: &Path, names: &[(String, bool)]) -> Result<(), DiskError> {
    for (name, _) in names {
        if name.strip_suffix(DELETED_SUFFIX).is_some_and(|rest| rest.ends_with('.')) {
            disk::remove_file(&dir.join(name)).await?;
        }
    }
    Ok(())
}

/// The log start offset that records were deleted up to; 0 where none were.
async fn read_log_start(dir: &Path) -> Result<i64, LogError> {
    let path = dir.join(LOG_START_FILE);
    let Some(text) = disk::read_small(&path).await? else { return Ok(0) };
    let offset = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
    offset.ok_or_else(|| LogError::Corrupt {
        path: path.display().to_string(),
        position: 0,
        offset: 0,
        reason: "not an offset".to_string(),
    })
}

struct Recovery<'a> {
    dir: &'a Path,
    config: &'a LogConfig,
    clean: bool,
    report: &'a mut Recovered,
    /// Producers are known up to this offset.
    from: i64,
    /// Where the walk of the last segment may begin.
    point: Option<RecoveryPoint>,
    /// Segments with a `.txnindex`.
    aborted: Vec<i64>,
}

impl Recovery<'_> {
    /// The usable segments in order, and the log end offset.
    async fn segments(
        &mut self,
        bases: &[i64],
        producers: &mut Producers,
    ) -> Result<(Vec<Segment>, i64), LogError> {
        let mut segments: Vec<Segment> = Vec::with_capacity(bases.len());
        let mut log_end = bases.first().copied().unwrap_or(0);
        for (at, &base) in bases.iter().enumerate() {
            let last = at + 1 == bases.len();
            // Sealed segments were durable before the next one began; what must still be walked
            // is what a crash may have torn, and what the producers' snapshot does not cover.
            let trusted = match bases.get(at + 1) {
                Some(next) => self.from >= *next,
                None => self.clean && self.from >= base,
            };
            let segment = if trusted { self.read_index(base).await? } else { None };
            if let Some(segment) = segment {
                let end = match bases.get(at + 1) {
                    Some(next) => *next,
                    None => self.end_of(&segment).await?,
                };
                // The producers of batches behind the snapshot are known from the batches alone.
                if self.from >= end {
                    log_end = end;
                    segments.push(segment);
                    continue;
                }
            }
            let (segment, scanned) = self.walk(base, producers).await?;
            log_end = scanned.end_offset;
            let hole = scanned.damage.is_some() && !last;
            segments.push(segment);
            if hole {
                self.set_aside(&bases[at + 1..]).await?;
                break;
            }
        }
        Ok((segments, log_end))
    }

    /// A segment whose index files fit it.
    async fn read_index(&self, base: i64) -> Result<Option<Segment>, LogError> {
        let file = File::open(&file_path(self.dir, base, "log"), Access::Read).await?;
        let size = file.size().await?;
        let offsets = disk::read_small(&file_path(self.dir, base, "index")).await?;
        let times = disk::read_small(&file_path(self.dir, base, "timeindex")).await?;
        let (Some(offsets), Some(times)) = (offsets, times) else { return Ok(None) };
        let Some(index) = SegmentIndex::decode(&offsets, &times, size) else { return Ok(None) };
        let mut segment = Segment::new(base);
        (segment.size, segment.written, segment.synced, segment.allocated) =
            (size, size, size, size);
        segment.index = Some(Rc::new(index));
        segment.aborted = Rc::new(self.read_aborted(base).await?);
        Ok(Some(segment))
    }

    /// Aborted transactions of a segment that are known beside it: those whose markers lie below
    /// what the producers are known of.
    async fn read_aborted(&self, base: i64) -> Result<Vec<Aborted>, LogError> {
        let point = self.point.as_ref().filter(|point| point.segment == base);
        // A snapshot behind it comes from an orderly stop, which left a `.txnindex`.
        if let Some(point) = point.filter(|point| point.offset >= self.from) {
            return Ok(point.aborted.to_vec());
        }
        if !self.aborted.contains(&base) {
            return Ok(Vec::new());
        }
        let bytes = disk::read_small(&file_path(self.dir, base, "txnindex")).await?;
        let mut known = aborted::decode(&bytes.unwrap_or_default());
        known.retain(|one| one.last_offset < self.from);
        Ok(known)
    }

    /// The log end offset of a cleanly closed last segment: walks the headers behind its last
    /// index entry.
    async fn end_of(&self, segment: &Segment) -> Result<i64, LogError> {
        let base = segment.base_offset;
        let Some(index) = &segment.index else { return Ok(base) };
        let file = File::open(&file_path(self.dir, base, "log"), Access::Read).await?;
        let mut position = index.position_before(u32::MAX);
        let mut end = base;
        while position < segment.size {
            let bytes = file.read_at(position, super::batch::BATCH_HEADER_BYTES).await?;
            let header = super::batch::BatchHeader::peek(&bytes);
            let Some(header) = header.filter(|h| h.claimed_size() > 0) else {
                let path = file.path().display().to_string();
                let reason = "no batch where the index points".to_string();
                return Err(LogError::Corrupt { path, position, offset: end, reason });
            };
            position += header.claimed_size() as u64;
            end = header.last_offset() + 1;
        }
        Ok(end)
    }

    /// Walks a segment, cuts what is behind its last whole batch and builds its index anew.
    async fn walk(
        &mut self,
        base: i64,
        producers: &mut Producers,
    ) -> Result<(Segment, Scanned), LogError> {
        let path = file_path(self.dir, base, "log");
        let file = File::open(&path, Access::Write).await?;
        let size = file.size().await?;
        if size == 0 {
            let scanned = Scanned { end_position: 0, end_offset: base, damage: None };
            return Ok((Segment::new(base), scanned));
        }
        let (interval, from) = (self.config.index_interval_bytes, self.from);
        let (mut index, start) = match &self.point {
            Some(point) if point.segment == base && point.position <= size => {
                ((*point.index).clone(), (point.position, point.offset))
            }
            _ => (SegmentIndex::default(), (0, base)),
        };
        let mut aborted = self.read_aborted(base).await?;
        let scanned = scan(&file, start, size, |header, position, batch| {
            index.note(base, header, position, interval);
            if header.base_offset.get() >= from {
                aborted.extend(producers.note(header, batch));
            }
        })
        .await?;
        self.report.scanned_segments += 1;
        self.report.scanned_bytes += scanned.end_position - start.0;
        self.report.rebuilt_indexes += 1;
        if let Some(reason) = &scanned.damage {
            self.report.cut_bytes += size - scanned.end_position;
            tracing::warn!(
                file = %path.display(),
                offset = scanned.end_offset,
                position = scanned.end_position,
                file_bytes = size,
                "cut the segment after its last whole batch: {reason}"
            );
        }
        if size != scanned.end_position {
            file.truncate(scanned.end_position).await?;
        }
        // Written by a process that did not live to say whether it was durable.
        file.sync_data().await?;
        index::write(self.dir, base, &index, &aborted).await?;
        let mut segment = Segment::new(base);
        let end = scanned.end_position;
        (segment.size, segment.written, segment.synced, segment.allocated) = (end, end, end, end);
        segment.index = Some(Rc::new(index));
        segment.aborted = Rc::new(aborted);
        Ok((segment, scanned))
    }

    /// Segments behind a hole cannot be part of the log; they are renamed, not deleted.
    async fn set_aside(&self, bases: &[i64]) -> Result<(), LogError> {
        for &base in bases {
            let path = file_path(self.dir, base, "log");
            let aside = file_path(self.dir, base, "log.orphan");
            tracing::warn!(file = %path.display(), "set aside as .orphan: it follows a hole");
            disk::rename(&path, &aside).await?;
        }
        Ok(())
    }
}

/// What the active segment holds behind its last whole block: the next write begins with it.
async fn read_partial_block(dir: &Path, active: Option<&Segment>) -> Result<Vec<u8>, DiskError> {
    let Some(segment) = active else { return Ok(Vec::new()) };
    let start = align_down(segment.written);
    if start == segment.written {
        return Ok(Vec::new());
    }
    let path = file_path(dir, segment.base_offset, "log");
    let file = File::open(&path, Access::Read).await?;
    let want = (segment.written - start) as usize;
    let bytes = file.read_at(start, want).await?;
    if bytes.len() != want {
        return Err(DiskError::short("read", &path, bytes.len(), want));
    }
    Ok(bytes.to_vec())
}
