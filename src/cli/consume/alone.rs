//! Reading without a group: a thread for each node that leads something, one that prints.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use corelane_shards::log::batch::Record;

use super::plan::{plan, Range};
use super::printer::Printer;
use super::reader::{Event, Part, Reader};
use super::shown::Shown;
use super::{Args, From};
use crate::cli::nodes::Cluster;
use crate::cli::offsets::Place;
use crate::clock::now_ms;

/// Batches that wait to be printed; then readers wait.
const WAITING_BATCHES: usize = 64;

pub fn run(args: &Args, from: From, printer: &mut Printer) -> anyhow::Result<()> {
    let mut cluster = Cluster::connect(&args.connect)?;
    let ranges = plan(args, from, &mut cluster)?;
    let places: Vec<Place> = ranges.iter().map(|range| range.place.clone()).collect();
    let mut open = 0;
    let mut nodes: BTreeMap<i32, BTreeMap<usize, Range>> = BTreeMap::new();
    for (index, range) in ranges.into_iter().enumerate().filter(|(_, range)| !range.is_done()) {
        open += 1;
        nodes.entry(range.leader).or_default().insert(index, range);
    }
    let (events, found) = mpsc::sync_channel(WAITING_BATCHES);
    for ranges in nodes.into_values() {
        let reader = Reader::new(args.connect.clone(), ranges, args.isolation == "committed");
        let events = events.clone();
        // It ends with its channel, at the latest with the process.
        std::thread::spawn(move || reader.run(&events));
    }
    drop(events);
    let deadline = args.until.filter(|until| *until > now_ms());
    while open > 0 && !printer.is_done() {
        match found.recv_timeout(Duration::from_millis(100)) {
            Ok(Event::Part(part)) => print(&part, &places[part.index], printer)?,
            Ok(Event::Done) => open -= 1,
            Ok(Event::Failed(error)) => return Err(error),
            Err(RecvTimeoutError::Timeout) => {
                printer.flush()?;
                if deadline.is_some_and(|deadline| now_ms() > deadline) {
                    break;
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
        printer.flush_if_due()?;
    }
    Ok(())
}

fn print(part: &Part, place: &Place, printer: &mut Printer) -> std::io::Result<()> {
    let mut rest = &part.records[..];
    while let Some(record) = Record::take(&mut rest) {
        let offset = part.base_offset + record.offset_delta;
        if offset < part.from || part.stop.is_some_and(|stop| offset >= stop) {
            continue;
        }
        if printer.is_done() {
            break;
        }
        let appended = part.append_time;
        let timestamp = appended.unwrap_or(part.base_timestamp + record.timestamp_delta);
        let shown = Shown::of_record((&place.0, place.1), (offset, timestamp), &record);
        printer.print(&shown)?;
    }
    Ok(())
}
