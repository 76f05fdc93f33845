use std::fs;
use std::path::{Path, PathBuf};

use comfy_table::{presets, Table};
use corelane_shards::log::batch::check_inside;
use corelane_shards::log::SegmentIndex;
use indicatif::ProgressBar;
use serde::Serialize;

use super::files::{self, Part, Segment};
use crate::cli::{Failure, FAILED};

/// What is wrong at one place.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub file: String,
    pub position: u64,
    pub offset: i64,
    pub reason: String,
}

/// What a segment holds and what is wrong with it.
#[derive(Debug, Default, Serialize)]
pub struct Verified {
    pub file: String,
    pub batches: u64,
    pub records: u64,
    pub bytes: u64,
    pub first_offset: i64,
    pub end_offset: i64,
    pub findings: Vec<Finding>,
}

/// Checks files; fails at the end where something is damaged.
pub fn run(paths: &[PathBuf], json: bool) -> Result<(), Failure> {
    let segments = files::find(paths, &["log"])?;
    let bar = files::progress(&segments, json);
    let mut all = Vec::with_capacity(segments.len());
    for path in &segments {
        all.push(verify(path, &bar)?);
    }
    bar.finish_and_clear();
    if json {
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        print(&all);
    }
    let damaged = all.iter().filter(|verified| !verified.findings.is_empty()).count();
    if damaged == 0 {
        return Ok(());
    }
    let error = anyhow::anyhow!(
        "{damaged} of {} segments are damaged; `corelane log repair` keeps what is whole",
        all.len()
    );
    Err(Failure { code: FAILED, error })
}

fn print(all: &[Verified]) {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["segment", "batches", "records", "bytes", "offsets", "state"]);
    for verified in all {
        let state = match verified.findings.len() {
            0 => "whole".to_string(),
            n => format!("{n} damaged"),
        };
        table.add_row([
            verified.file.clone(),
            verified.batches.to_string(),
            verified.records.to_string(),
            verified.bytes.to_string(),
            format!("{}..{}", verified.first_offset, verified.end_offset),
            state,
        ]);
    }
    println!("{table}");
    for finding in all.iter().flat_map(|verified| &verified.findings) {
        let Finding { file, position, offset, reason } = finding;
        println!("{file}: position {position}, offset {offset}: {reason}");
    }
}

/// Checks one segment and its indexes.
///
/// # Errors
/// A file cannot be read; damage is a finding.
pub fn verify(path: &Path, bar: &ProgressBar) -> anyhow::Result<Verified> {
    let base = files::base_offset(path);
    let file = path.display().to_string();
    let mut verified = Verified {
        file: file.clone(),
        first_offset: base,
        end_offset: base,
        ..Verified::default()
    };
    let segment = Segment::open(path)?;
    let size = segment.len_bytes();
    let mut starts = Vec::new();
    for part in segment {
        match part {
            Part::Batch { position, header, bytes } => {
                starts.push(position as u32);
                verified.batches += 1;
                verified.records += header.record_count.get().max(0) as u64;
                verified.bytes += bytes.len() as u64;
                verified.end_offset = header.last_offset() + 1;
                // A compacted batch has fewer records than offsets, and those need not follow.
                let counted = i64::from(header.last_offset_delta.get()) + 1;
                if i64::from(header.record_count.get()) == counted && !header.is_control() {
                    if let Err(error) = check_inside(&header, &bytes) {
                        let (file, reason) = (file.clone(), error.to_string());
                        let offset = header.base_offset.get();
                        verified.findings.push(Finding { file, position, offset, reason });
                    }
                }
            }
            Part::Damage { position, len, next_offset, reason } => {
                let reason = format!("{len} bytes are damaged: {reason}");
                let offset = next_offset;
                verified.findings.push(Finding { file: file.clone(), position, offset, reason });
            }
        }
    }
    bar.inc(size);
    verified.findings.extend(index_finding(path, size, &starts));
    Ok(verified)
}

/// What is wrong with the indexes, if they are there.
fn index_finding(path: &Path, size: u64, starts: &[u32]) -> Option<Finding> {
    let index = path.with_extension("index");
    let offsets = fs::read(&index).ok()?;
    let times = fs::read(path.with_extension("timeindex")).ok()?;
    let finding = |position: u64, reason: &str| {
        let (file, reason) = (index.display().to_string(), reason.to_string());
        Some(Finding { file, position, offset: files::base_offset(path), reason })
    };
    if offsets.is_empty() && times.is_empty() {
        return None; // the active segment's, before an orderly stop
    }
    let Some(decoded) = SegmentIndex::decode(&offsets, &times, size) else {
        return finding(0, "the index does not fit the segment; the broker builds it anew");
    };
    let wrong = decoded.positions().iter().position(|(_, at)| starts.binary_search(at).is_err());
    wrong.and_then(|at| finding(at as u64 * 8, "an entry points between two batches"))
}
