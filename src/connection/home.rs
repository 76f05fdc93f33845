//! Which shard a connection should live on. Pure.
//!
//! The kernel gives a new connection to any shard. Where each request finds its partitions on another
//! one, it crosses cores twice, and two sleeping threads more have to wake. So a producer that sends
//! one request after the other, all to partitions of one other shard, is handed over to that shard.
//! One that keeps several requests under way wants throughput rather than a short way: it stays, and
//! its shard goes on checking its batches for the owner.

use corelane_shards::runtime::ShardId;

use crate::wire::ApiKey;

/// Requests in a row that show where a connection belongs.
const LEAST_SIGNS: u32 = 32;
/// After each move it takes twice as many, up to this: a client that changes its mind seldom moves.
const MOST_SIGNS: u32 = 32 << 10;

/// What one connection's requests tell.
#[derive(Debug)]
pub struct Home {
    here: ShardId,
    to: Option<ShardId>,
    signs: u32,
    needed: u32,
    /// It does not move: something of it is known to its shard alone, or each shard has a port.
    stays: bool,
}

impl Home {
    /// For a connection that has just come to `here`, `needed` being what [`Home::moved`] told where it
    /// was before. `stays`: clients find the owner by themselves.
    pub fn new(here: ShardId, needed: Option<u32>, stays: bool) -> Home {
        Home { here, to: None, signs: 0, needed: needed.unwrap_or(LEAST_SIGNS), stays }
    }

    /// A Produce request came: `owner` of all its partitions, if they have one, and whether nothing
    /// else of the connection was under way.
    pub fn produced(&mut self, owner: Option<ShardId>, alone: bool) {
        let to = owner.filter(|owner| alone && *owner != self.here);
        if to != self.to {
            (self.to, self.signs) = (to, 0);
        }
        self.signs += u32::from(to.is_some());
    }

    /// Another request came. Sessions of readers live on a shard; what is listed does not.
    pub fn asked(&mut self, key: ApiKey) {
        self.stays |= !matches!(
            key,
            ApiKey::ApiVersions
                | ApiKey::Metadata
                | ApiKey::InitProducerId
                | ApiKey::FindCoordinator
                | ApiKey::AddPartitionsToTxn
                | ApiKey::AddOffsetsToTxn
                | ApiKey::EndTxn
                | ApiKey::GetTelemetrySubscriptions
                | ApiKey::PushTelemetry
        );
    }

    /// Where the connection should be.
    pub fn elsewhere(&self) -> Option<ShardId> {
        self.to.filter(|_| !self.stays && self.signs >= self.needed)
    }

    /// It was not possible: the signs are counted anew.
    pub fn not_now(&mut self) {
        self.signs = 0;
    }

    /// It moves: how many signs it takes there to move again.
    pub fn moved(&self) -> u32 {
        (self.needed * 2).min(MOST_SIGNS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(index: usize) -> ShardId {
        ShardId::new(index)
    }

    fn home() -> Home {
        Home::new(shard(0), None, false)
    }

    fn after(home: &mut Home, count: u32, owner: Option<ShardId>, alone: bool) -> Option<ShardId> {
        (0..count).for_each(|_| home.produced(owner, alone));
        home.elsewhere()
    }

    #[test]
    fn a_producer_that_always_wants_one_other_shard_belongs_there() {
        let mut home = home();
        assert_eq!(after(&mut home, LEAST_SIGNS - 1, Some(shard(1)), true), None);
        assert_eq!(after(&mut home, 1, Some(shard(1)), true), Some(shard(1)));
        home.not_now();
        assert_eq!(home.elsewhere(), None);
        assert_eq!(after(&mut home, LEAST_SIGNS, Some(shard(1)), true), Some(shard(1)));
    }

    #[test]
    fn it_stays_where_that_is_right_or_where_there_is_no_one_place() {
        assert_eq!(after(&mut home(), 1_000, Some(shard(0)), true), None, "it is there");
        let mut found = Home::new(shard(0), None, true);
        assert_eq!(after(&mut found, 1_000, Some(shard(1)), true), None, "a port for each shard");
        assert_eq!(after(&mut home(), 1_000, None, true), None, "partitions of several");
        assert_eq!(after(&mut home(), 1_000, Some(shard(1)), false), None, "many under way");
        let mut changing = home();
        for number in 0..1_000 {
            changing.produced(Some(shard(1 + number / 31 % 2)), true);
            assert_eq!(changing.elsewhere(), None);
        }
    }

    #[test]
    fn one_that_has_a_session_here_stays() {
        let mut home = home();
        home.asked(ApiKey::Metadata);
        assert_eq!(after(&mut home, 100, Some(shard(1)), true), Some(shard(1)));
        home.asked(ApiKey::Fetch);
        assert_eq!(home.elsewhere(), None);
    }

    #[test]
    fn moving_to_and_fro_becomes_seldom() {
        let mut needed = home().moved();
        assert_eq!(needed, 2 * LEAST_SIGNS);
        for _ in 0..100 {
            needed = Home::new(shard(1), Some(needed), false).moved();
        }
        assert_eq!(needed, MOST_SIGNS);
    }
}
