use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use corelane_shards::log::SegmentIndex;
use serde::Serialize;

use super::files::{self, Part, Segment};
use super::verify::verify;
use crate::cli::Failure;

/// Bytes between two entries of a rebuilt index: the default of `index.interval.bytes`.
const INDEX_INTERVAL_BYTES: u64 = 4096;

#[derive(Debug, Serialize)]
struct Repaired {
    file: String,
    kept_batches: u64,
    kept_bytes: u64,
    lost_bytes: u64,
    damaged_file: Option<String>,
}

/// Mends what is damaged below `paths`.
pub fn run(paths: &[PathBuf], dry_run: bool, json: bool) -> Result<(), Failure> {
    let mut locks = Vec::new();
    for path in paths {
        locks.push(files::lock(path)?);
    }
    let segments = files::find(paths, &["log"])?;
    let bar = files::progress(&segments, json);
    let mut repaired = Vec::new();
    for path in &segments {
        if verify(path, &bar)?.findings.is_empty() {
            continue;
        }
        repaired.push(repair(path, dry_run)?);
    }
    bar.finish_and_clear();
    if json {
        println!("{}", serde_json::to_string_pretty(&repaired)?);
        return Ok(());
    }
    for done in &repaired {
        let Repaired { file, kept_batches, kept_bytes, lost_bytes, .. } = done;
        let verb = if dry_run { "would keep" } else { "kept" };
        println!(
            "{file}: {verb} {kept_batches} batches ({kept_bytes} bytes), {lost_bytes} bytes lost"
        );
        if let Some(damaged) = &done.damaged_file {
            println!("  the damaged file is {damaged}");
        }
    }
    println!("{} of {} segments were damaged", repaired.len(), segments.len());
    Ok(())
}

fn repair(path: &Path, dry_run: bool) -> anyhow::Result<Repaired> {
    let base = files::base_offset(path);
    let mut done = Repaired {
        file: path.display().to_string(),
        kept_batches: 0,
        kept_bytes: 0,
        lost_bytes: 0,
        damaged_file: None,
    };
    let mut index = SegmentIndex::default();
    let mut content = Vec::new();
    for part in Segment::open(path)? {
        match part {
            Part::Batch { header, bytes, .. } => {
                index.note(base, &header, content.len() as u64, INDEX_INTERVAL_BYTES);
                content.extend_from_slice(&bytes);
                done.kept_batches += 1;
            }
            Part::Damage { len, .. } => done.lost_bytes += len,
        }
    }
    done.kept_bytes = content.len() as u64;
    if dry_run {
        return Ok(done);
    }
    if done.lost_bytes > 0 {
        let aside = path.with_extension("log.damaged");
        write_whole(&path.with_extension("log.repaired"), &content)?;
        fs::rename(path, &aside).with_context(|| path.display().to_string())?;
        fs::rename(path.with_extension("log.repaired"), path)?;
        // It speaks of the file that was.
        match fs::remove_file(path.with_file_name("recovery-point")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        done.damaged_file = Some(aside.display().to_string());
    }
    let (offsets, times) = index.encode();
    write_whole(&path.with_extension("index"), &offsets)?;
    write_whole(&path.with_extension("timeindex"), &times)?;
    if let Some(dir) = path.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok(done)
}

fn write_whole(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let name = || path.display().to_string();
    let mut file = BufWriter::new(File::create(path).with_context(name)?);
    file.write_all(content).with_context(name)?;
    file.into_inner().map_err(|e| e.into_error())?.sync_all().with_context(name)
}
