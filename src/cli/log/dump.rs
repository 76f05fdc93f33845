use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use corelane_shards::log::batch::{undone_records, BatchHeader, Record};
use serde_json::{json, Value};

use super::files::{self, Part, Segment};
use crate::cli::{Failure, FAILED};

/// Prints files; fails at the end where one was damaged.
pub fn run(paths: &[PathBuf], records: bool, json: bool) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut damaged = 0;
    for path in files::find(paths, &["log", "index", "timeindex"])? {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if !json {
            writeln!(out, "{}", path.display())?;
        }
        match extension {
            "log" => damaged += dump_segment(&mut out, &path, records, json)?,
            index => dump_index(&mut out, &path, index, json)?,
        }
    }
    out.flush()?;
    match damaged {
        0 => Ok(()),
        n => {
            let error = anyhow::anyhow!("{n} damaged places; see `corelane log verify`");
            Err(Failure { code: FAILED, error })
        }
    }
}

fn dump_segment(
    out: &mut impl Write,
    path: &Path,
    records: bool,
    json: bool,
) -> anyhow::Result<usize> {
    let mut damaged = 0;
    for part in Segment::open(path)? {
        match part {
            Part::Batch { position, header, bytes } => {
                line(out, json, path, &batch_line(position, &header))?;
                if records {
                    damaged += dump_records(out, path, &header, &bytes, json)?;
                }
            }
            Part::Damage { position, len, next_offset, reason } => {
                damaged += 1;
                let fields = json!({"position": position, "damaged_bytes": len,
                    "offset": next_offset, "reason": reason});
                line(out, json, path, &fields)?;
            }
        }
    }
    Ok(damaged)
}

fn batch_line(position: u64, header: &BatchHeader) -> Value {
    let codec = header.codec().map_or("?".to_string(), |c| format!("{c:?}").to_lowercase());
    json!({
        "base_offset": header.base_offset.get(),
        "last_offset": header.last_offset(),
        "records": header.record_count.get(),
        "position": position,
        "size": header.claimed_size(),
        "codec": codec,
        "timestamp": header.max_timestamp.get(),
        "leader_epoch": header.partition_leader_epoch.get(),
        "producer_id": header.producer_id.get(),
        "producer_epoch": header.producer_epoch.get(),
        "sequence": header.base_sequence.get(),
        "transactional": header.is_transactional(),
        "control": header.is_control(),
        "delete_horizon": header.delete_horizon_ms(),
        "crc": header.crc.get(),
    })
}

fn dump_records(
    out: &mut impl Write,
    path: &Path,
    header: &BatchHeader,
    batch: &[u8],
    json: bool,
) -> anyhow::Result<usize> {
    let undone = match undone_records(header, batch) {
        Ok(undone) => undone,
        Err(error) => {
            let offset = header.base_offset.get();
            line(out, json, path, &json!({"offset": offset, "reason": error.to_string()}))?;
            return Ok(1);
        }
    };
    let text = |bytes: Option<&[u8]>| bytes.map(|b| String::from_utf8_lossy(b).into_owned());
    let mut rest = &undone[..];
    while let Some(record) = Record::take(&mut rest) {
        let fields = json!({
            "offset": header.base_offset.get() + record.offset_delta,
            "timestamp": header.base_timestamp.get() + record.timestamp_delta,
            "key": text(record.key),
            "value": text(record.value),
        });
        line(out, json, path, &fields)?;
    }
    Ok(0)
}

fn dump_index(out: &mut impl Write, path: &Path, kind: &str, json: bool) -> anyhow::Result<()> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    let base = files::base_offset(path);
    let word = |bytes: &[u8]| bytes.iter().fold(0u64, |all, byte| all << 8 | u64::from(*byte));
    let entry_bytes = if kind == "index" { 8 } else { 12 };
    for entry in bytes.chunks_exact(entry_bytes) {
        let (first, relative) = entry.split_at(entry_bytes - 4);
        let fields = match kind {
            "index" => json!({"offset": base + word(first) as i64, "position": word(relative)}),
            _ => json!({"timestamp": word(first) as i64, "offset": base + word(relative) as i64}),
        };
        line(out, json, path, &fields)?;
    }
    Ok(())
}

/// One object a line, or its fields as `name: value`.
fn line(out: &mut impl Write, json: bool, path: &Path, fields: &Value) -> anyhow::Result<()> {
    if json {
        let mut fields = fields.clone();
        fields["file"] = json!(path.display().to_string());
        writeln!(out, "{fields}")?;
        return Ok(());
    }
    let fields = fields.as_object().into_iter().flatten().map(|(name, value)| match value {
        Value::String(text) => format!("{name}: {text}"),
        value => format!("{name}: {value}"),
    });
    writeln!(out, "  {}", fields.collect::<Vec<_>>().join(" "))?;
    Ok(())
}
