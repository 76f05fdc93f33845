//! How many system calls a process makes, as the kernel's tracepoint counts them.

use std::process::{Child, Command, Stdio};

use rustix::process::{kill_process, Pid, Signal};

/// A count that is going on, by `perf stat`.
#[derive(Debug)]
pub struct SystemCalls(Child);

impl SystemCalls {
    /// Begins to count those of process `pid`. None where `perf` is not there.
    pub fn count(pid: u32) -> Option<Self> {
        Command::new("perf")
            .args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", &pid.to_string()])
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .ok()
            .map(Self)
    }

    /// Ends the count. None where it could not be had, as without the right to trace.
    pub fn end(self) -> Option<u64> {
        kill_process(Pid::from_child(&self.0), Signal::INT).ok()?;
        let output = self.0.wait_with_output().ok()?;
        parse(&String::from_utf8_lossy(&output.stderr))
    }
}

/// The count in the comma-separated lines of `perf stat`.
fn parse(output: &str) -> Option<u64> {
    let line = output.lines().find(|line| line.contains("raw_syscalls:sys_enter"))?;
    line.split(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_is_read_and_what_is_not_counted_is_unknown() {
        assert_eq!(parse("144,,raw_syscalls:sys_enter,812385,100.00,,\n"), Some(144));
        assert_eq!(parse("<not supported>,,raw_syscalls:sys_enter,0,100.00,,\n"), None);
        assert_eq!(parse("Error: access to performance monitoring is limited\n"), None);
    }
}
