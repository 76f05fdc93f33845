//! A group of real processes: each prints what it reads before that is committed. Members and the broker
//! are killed, and every record is printed by somebody.

mod support;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use support::{eventually, Broker, Setup};

const ROUNDS: usize = 2;
/// Records of half a round.
const PART: usize = 500;
const QUICK: &str = "\"group.initial.rebalance.delay.ms\" = 0
\"offsets.topic.num.partitions\" = 3";

/// A member, and the file that it prints to; killed when dropped.
struct Member {
    child: Child,
    output: PathBuf,
}

impl Member {
    fn start(broker: &Broker, number: usize) -> Member {
        let output = broker.data.with_file_name(format!("member-{number}"));
        let child = Command::new(env!("CARGO_BIN_EXE_corelane"))
            .args(["consume", "t", "--group", "g", "--from-beginning"])
            .args(["--bootstrap", &broker.address])
            .stdout(File::create(&output).expect("a file"))
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        Member { child, output }
    }

    /// SIGKILL.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn printed(&self) -> BTreeSet<usize> {
        let text = std::fs::read_to_string(&self.output).expect("reads");
        // The last line may be cut where it was killed.
        let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        whole.map(|line| line.parse().expect("a number")).collect()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

fn printed(members: &[Member]) -> usize {
    let all: BTreeSet<usize> = members.iter().flat_map(Member::printed).collect();
    all.len()
}

#[test]
fn every_record_is_printed_by_members_that_are_killed_beside_a_broker_that_is() {
    let setup = Setup { extra: QUICK.to_string(), shards: 2, ..Setup::new("single") };
    let mut broker = Broker::start(setup);
    broker.run(&["topic", "create", "t", "--partitions", "8"], b"");
    let mut members: Vec<Member> = (0..3).map(|n| Member::start(&broker, n)).collect();
    let produce = |broker: &Broker, from: usize| {
        let lines: String = (from..from + PART).map(|n| format!("{n}\n")).collect();
        broker.run(&["produce", "t"], lines.as_bytes());
    };
    for round in 0..ROUNDS {
        let from = 2 * round * PART;
        produce(&broker, from);
        eventually("some is printed", || printed(&members) > from);
        // When the broker is back it knows the member from its log, and waits for it in vain.
        members[round].kill();
        broker = broker.crash_and_restart_in_place();
        produce(&broker, from + PART);
        members.push(Member::start(&broker, 3 + round));
    }
    eventually("all is printed", || printed(&members) == 2 * ROUNDS * PART);
}
