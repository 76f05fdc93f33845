//! What a workload came to on one broker.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::process::ProcessUse;
use crate::produce::write_use;
use crate::size::human_bytes;
use crate::stats::Profile;

/// One direction of a load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// From the first request to the last answer that counted.
    pub seconds: f64,
    pub requests: u64,
    pub records: u64,
    /// Bytes of batches as they travel.
    pub bytes: u64,
    /// Of requests; of those that were due at a moment, from that moment on.
    pub latency: Option<Profile>,
    /// How late requests left behind their schedule: what of the latency is the client's own.
    pub sent_late: Option<Profile>,
    /// Requests that were due and could not be sent before the time was over; the latency holds
    /// each of them with the time until then.
    pub unsent: u64,
}

impl Flow {
    pub fn mb_per_second(&self) -> f64 {
        self.rate(self.bytes as f64 / 1e6)
    }

    pub fn records_per_second(&self) -> f64 {
        self.rate(self.records as f64)
    }

    pub fn requests_per_second(&self) -> f64 {
        self.rate(self.requests as f64)
    }

    fn rate(&self, amount: f64) -> f64 {
        if self.seconds > 0.0 {
            amount / self.seconds
        } else {
            0.0
        }
    }
}

/// Both directions and what they cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub produced: Option<Flow>,
    pub consumed: Option<Flow>,
    /// From the moment a record was due until it was read, where records say when they were due.
    pub end_to_end: Option<Profile>,
    pub broker: Option<ProcessUse>,
    /// Of the broker; none where they were not counted.
    pub system_calls: Option<u64>,
    pub client: ProcessUse,
}

impl Outcome {
    /// Bytes in and out.
    pub fn bytes(&self) -> u64 {
        [&self.produced, &self.consumed].into_iter().flatten().map(|flow| flow.bytes).sum()
    }

    /// The broker's CPU seconds for each 10^9 bytes in and out.
    pub fn broker_cpu_seconds_per_gb(&self) -> Option<f64> {
        self.broker.as_ref().map(|used| used.cpu_seconds_per_gb(self.bytes()))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, flow) in [("produced", &self.produced), ("consumed", &self.consumed)] {
            let Some(flow) = flow else { continue };
            writeln!(
                f,
                "{what}  {:.1} MB/s  {:.0} records/s  {:.0} requests/s  ({} in {:.2} s)",
                flow.mb_per_second(),
                flow.records_per_second(),
                flow.requests_per_second(),
                human_bytes(flow.bytes),
                flow.seconds,
            )?;
            if let Some(latency) = &flow.latency {
                writeln!(f, "  latency    {}", latency.summary)?;
            }
            if let Some(late) = &flow.sent_late {
                writeln!(f, "  sent late  {}", late.summary)?;
            }
            if flow.unsent > 0 {
                writeln!(f, "  {} requests were due and not sent in time", flow.unsent)?;
            }
        }
        if let Some(latency) = &self.end_to_end {
            writeln!(f, "end to end   {}", latency.summary)?;
        }
        if let Some(calls) = self.system_calls {
            writeln!(f, "broker's system calls  {calls}")?;
        }
        write_use(f, "broker", self.broker.as_ref(), self.bytes())?;
        write_use(f, "client", Some(&self.client), self.bytes())
    }
}
