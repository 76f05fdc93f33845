//! Random histories of a log on a simulated disk, over power cuts, kills, stops, failing operations
//! and a disk that is full, against a simple model. `CORELANE_HISTORIES` says how many, and
//! `CORELANE_HISTORY` replays one by its seed.

mod support;

use corelane_shards::disk::sim::Faults;
use corelane_shards::log::batch::BatchHeader;
use corelane_shards::log::{recover, JournalReplay, LogError, Opening};
use support::world::{config, run, World};

const STEPS: u64 = 14;

/// A log of several segments, one flipped bit, and all of it read.
async fn flip_and_read(seed: u64) {
    let mut world = World::new(seed).await;
    let draw = &mut world.draw;
    let story = &mut world.stories[0];
    world.disk.set_faults(Faults::default());
    for _ in 0..4 {
        story.append(draw).await;
    }
    story.log.close().await.expect("closes");
    let mut dir = story.path(&world.disk);
    let files = world.disk.files(&dir);
    let logs: Vec<_> = files.iter().filter(|name| name.ends_with(".log")).collect();
    let name = logs[draw.below(logs.len() as u64) as usize];
    let chance = draw.below(1 << 31) << 31 | draw.below(1 << 31);
    let Some(position) = world.disk.flip_bit(&dir.join(name), chance) else { return };
    let clean = draw.below(2) == 0;
    if !clean {
        world.disk.kill();
        dir = story.path(&world.disk);
    }
    let journal = JournalReplay::default();
    let opening = Opening { id: story.id, clean, journal: &journal };
    let opened = recover(&world.env, &dir, config(draw), opening).await;
    let log = match opened {
        Ok((log, _)) => log,
        Err(LogError::Corrupt { .. }) => return,
        Err(other) => panic!("{other}"),
    };
    let segment: i64 = name[..20].parse().expect("a base offset");
    let in_segment = story.appended.iter().filter(|batch| batch.base >= segment);
    let mut at = 0;
    let hit = in_segment.take_while(|batch| {
        let before = at <= position;
        at += batch.bytes.len() as u64;
        before
    });
    let hit = hit.last().expect("it lies in a batch").base;
    for batch in &story.appended {
        for limit in [1, 3_000] {
            match log.read(batch.base, log.safe_end(), limit, true).await {
                // Neither offsets nor the leader epoch have a checksum: see the protocol.
                Ok(read) if batch.base <= hit && !read.is_empty() => {
                    let read = read.concat();
                    let sent = story.appended.iter().filter(|b| b.base >= batch.base);
                    let all: Vec<u8> = sent.flat_map(|b| b.bytes.clone()).collect();
                    let differs = read.iter().zip(&all).position(|(got, sent)| got != sent);
                    let Some(differs) = differs else { continue };
                    let place = uncovered(&all, differs);
                    assert!(place, "byte {differs} from {} on is another", batch.base);
                }
                Ok(_) | Err(LogError::Corrupt { .. } | LogError::OffsetOutOfRange { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
}

/// Whether the byte at `at` is one of those that a batch's checksum does not cover.
fn uncovered(mut batches: &[u8], mut at: usize) -> bool {
    loop {
        let size = BatchHeader::peek(batches).expect("a batch").claimed_size() as usize;
        if at < size {
            return matches!(at, 0..=7 | 12..=15);
        }
        (batches, at) = (&batches[size..], at - size);
    }
}

#[test]
fn flipped_bits_are_never_served() {
    run("histories", "flipped_bits", 1_000, flip_and_read);
}

#[test]
fn what_was_acknowledged_is_there_once_in_order_and_right() {
    run("histories", "what_was", 10_000, |seed| async move {
        let mut world = World::new(seed).await;
        for _ in 0..STEPS {
            world.step().await;
        }
        world.crash(true).await;
        world.stories.iter().for_each(|story| story.log.retire());
        world.env.gate.close().await; // nothing of it disturbs the next
    });
}
