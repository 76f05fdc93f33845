//! Prints what passes the filter, and knows when it is enough.

use std::io::{self, BufWriter, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::filter::Filter;
use super::format::Format;
use super::shown::Shown;

/// What is printed may wait for so long.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

pub struct Printer {
    out: BufWriter<Stdout>,
    format: Format,
    filter: Filter,
    /// How many records are still wanted.
    left: Option<u64>,
    stop: Arc<AtomicBool>,
    flushed: Instant,
}

impl Printer {
    pub fn new(format: Format, filter: Filter, count: Option<u64>, stop: Arc<AtomicBool>) -> Self {
        let out = BufWriter::with_capacity(64 << 10, io::stdout());
        Printer { out, format, filter, left: count, stop, flushed: Instant::now() }
    }

    pub fn print(&mut self, record: &Shown<'_>) -> io::Result<()> {
        if self.filter.passes(record) {
            self.format.write(&mut self.out, record)?;
            self.left = self.left.map(|left| left.saturating_sub(1));
        }
        Ok(())
    }

    /// Whether nothing more is to be printed.
    pub fn is_done(&self) -> bool {
        self.left == Some(0) || self.stop.load(Ordering::Relaxed)
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.flushed = Instant::now();
        self.out.flush()
    }

    /// Whether it flushed, because something has waited for long enough.
    pub fn flush_if_due(&mut self) -> io::Result<bool> {
        let due = self.flushed.elapsed() > FLUSH_INTERVAL;
        if due {
            self.flush()?;
        }
        Ok(due)
    }
}
