//! Share groups (KIP-932) on the shard that owns a partition: members are given records, and what they
//! say of them is written before they are answered.

use std::rc::Rc;
use std::time::{Duration, Instant};

use corelane_shards::runtime::{sleep, spawn_guarded, timeout, ShardId};
use futures_util::future::join_all;

use super::Shard;
use crate::clock::now_ms;
use crate::partition::fetch::FetchWatch;
use crate::partition::share::{
    OfShareState, ShareEntry, ShareFetch, ShareKey, ShareOutcome, ShareRelease, ShareState,
    StateCall,
};
use crate::partition::{Operation, Outcome, PartitionKey};
use crate::share::inflight::InFlight;
use crate::share::{state_partition, Found, Hold, Shared, STATE_TOPIC};
use crate::wire::ErrorCode;

/// Time between two looks at records whose time with a member is over.
const TICK: Duration = Duration::from_millis(50);

impl Shard {
    pub(super) fn begin_share_fetch(
        self: &Rc<Self>,
        from: ShardId,
        fetch: ShareFetch,
        answer: impl FnOnce(Outcome) + 'static,
    ) {
        let watch = self.watch_fetch(from, fetch.token);
        let shard = Rc::clone(self);
        spawn_guarded(&self.gate, "share fetch", async move {
            let outcomes = shard.share_fetch(&fetch, &watch).await;
            shard.unwatch_fetch(from, fetch.token);
            answer(Outcome::ShareFetch(outcomes));
        });
    }

    /// Takes what the member says of records that it had, then waits until there are others for it.
    async fn share_fetch(
        self: &Rc<Self>,
        fetch: &ShareFetch,
        watch: &Rc<FetchWatch>,
    ) -> Vec<ShareOutcome> {
        let deadline = Instant::now() + Duration::from_millis(fetch.max_wait_ms);
        let mut outcomes = vec![ShareOutcome::default(); fetch.entries.len()];
        let opened = fetch.entries.iter().map(|entry| self.open_share(&fetch.group, entry.key));
        let mut held = Vec::with_capacity(outcomes.len());
        for (opened, outcome) in join_all(opened).await.into_iter().zip(&mut outcomes) {
            if let Err(code) = &opened {
                (outcome.error, outcome.verdict_error) = (Some(*code), Some(*code));
            }
            held.push(opened.ok());
        }
        self.judge(fetch, &held, &mut outcomes).await;
        let wanted = fetch.entries.iter().zip(&held).filter(|(entry, _)| entry.wants);
        let wanted: Vec<&Hold> = wanted.filter_map(|(_, held)| held.as_ref()).collect();
        let mut armed = false;
        loop {
            watch.arm(1, false);
            if armed {
                self.watch_shares(&wanted, watch);
            }
            let any = self.take_shares(fetch, &held, &mut outcomes).await;
            let failed = outcomes.iter().any(|outcome| outcome.error.is_some());
            let left = deadline.saturating_duration_since(Instant::now());
            if any || failed || wanted.is_empty() || left.is_zero() || watch.is_called() {
                return outcomes;
            }
            if armed {
                timeout(left, watch.woken()).await;
            }
            armed = true;
        }
    }

    /// What comes after this wakes the fetch, whether it is waiting yet or not.
    fn watch_shares(&self, wanted: &[&Hold], watch: &Rc<FetchWatch>) {
        for shared in wanted {
            shared.watch(watch);
            if let Some(partition) = self.table.get(&shared.partition()) {
                partition.log.watch(FetchWatch::weak(watch));
            }
        }
    }

    /// A group's share of a partition, with its state, in hand.
    pub(super) async fn open_share(
        self: &Rc<Self>,
        group: &str,
        key: PartitionKey,
    ) -> Result<Hold, ErrorCode> {
        self.table.find(&key)?;
        let Found { shared, new } = self.shares.find(group, key)?;
        let hold = shared.hold();
        if new {
            let shard = Rc::clone(self);
            let loads = spawn_guarded(&self.gate, "load share", async move {
                let mut loaded = shard.load_share(&shared).await;
                let failed = loaded.is_err();
                if let Ok(inflight) = &mut loaded {
                    // They may have changed meanwhile.
                    inflight.set_limits(shard.share_limits(&shared.key.group));
                }
                shared.set(loaded);
                if failed {
                    shard.shares.remove_if(|other| std::ptr::eq(other, &*shared));
                }
            });
            if !loads {
                hold.set(Err(ErrorCode::NotLeaderOrFollower));
            }
        }
        hold.loaded().await?;
        Ok(hold)
    }

    async fn load_share(self: &Rc<Self>, shared: &Shared) -> Result<InFlight, ErrorCode> {
        let limits = self.share_limits(&shared.key.group);
        let saved = self.share_state(shared.key.clone(), StateCall::Read).await?;
        let log = Rc::clone(&self.table.find(&shared.partition())?.log);
        if let Some(saved) = saved {
            return Ok(InFlight::restore(limits, &saved, (log.log_start(), log.safe_end())));
        }
        // Written now, so that a restart does not begin elsewhere.
        let start = if limits.from_earliest { log.log_start() } else { log.safe_end() };
        let begun = InFlight::new(limits, start);
        self.share_state(shared.key.clone(), StateCall::Write(Some(begun.saved()))).await?;
        Ok(begun)
    }

    /// Asks the shard that keeps a state.
    pub(super) async fn share_state(
        self: &Rc<Self>,
        key: ShareKey,
        what: StateCall,
    ) -> Result<Option<ShareState>, ErrorCode> {
        let later = ErrorCode::LeaderNotAvailable;
        let image = self.image();
        let topic = image.by_name(STATE_TOPIC).ok_or(later)?;
        let at = state_partition(&key, topic.partitions.len());
        let owner = topic.partitions[at as usize].shard;
        let call = Operation::ShareState(OfShareState { at, key, what });
        let routed = self.route(owner, call).await.map_err(|_| later)?;
        match routed.outcome().await {
            // What members do not know as an answer of a partition is "ask again" for them.
            Some(Outcome::ShareState(state)) => state.map_err(|code| match code {
                ErrorCode::KafkaStorageError => code,
                _ => later,
            }),
            _ => Err(later),
        }
    }

    /// What the member says of its records, durably.
    async fn judge(
        self: &Rc<Self>,
        fetch: &ShareFetch,
        held: &[Option<Hold>],
        outcomes: &mut [ShareOutcome],
    ) {
        let mut written = Vec::new();
        for (place, (ShareEntry { verdicts, .. }, held)) in
            fetch.entries.iter().zip(held).enumerate()
        {
            let Some(held) = held.as_ref().filter(|_| !verdicts.is_empty()) else { continue };
            let judged = held.on(|inflight| {
                inflight.acknowledge(now_ms(), &fetch.member, verdicts).map(|()| inflight.version())
            });
            match judged.and_then(|judged| judged) {
                Ok(version) => {
                    self.keep_share(held);
                    written.push(async move { (place, held.durable(version).await) });
                }
                Err(code) => outcomes[place].verdict_error = Some(code),
            }
        }
        for (place, written) in join_all(written).await {
            outcomes[place].verdict_error = written.err();
        }
    }

    /// Something has happened to a share: it is written, and its clock set.
    pub(super) fn keep_share(self: &Rc<Self>, shared: &Rc<Shared>) {
        self.shares.look_at(shared);
        if !shared.begin_writing() {
            return;
        }
        let (shard, of) = (Rc::clone(self), Rc::clone(shared));
        let writes = spawn_guarded(&self.gate, "write share", async move {
            while let Some((version, state)) = of.next_write() {
                let write = StateCall::Write(Some(state));
                let done = shard.share_state(of.key.clone(), write).await.map(drop);
                if let Err(code) = done {
                    tracing::warn!(
                        group = of.key.group,
                        "a share's state was not written: {code:?}"
                    );
                }
                of.wrote(version, done);
            }
        });
        if !writes {
            shared.give_up_writing(ErrorCode::NotLeaderOrFollower);
        }
    }

    /// A member does not have records any more.
    pub(super) fn release_share(self: &Rc<Self>, release: &ShareRelease) {
        for key in &release.keys {
            let Some(shared) = self.shares.get(&release.group, *key) else { continue };
            // One whose state is still read has given nobody anything.
            let _ = shared.on(|inflight| inflight.release(&release.member, release.unseen));
            self.keep_share(&shared);
        }
    }

    /// Runs the clocks of records that members have, for ever.
    pub(super) async fn run_shares(self: &Rc<Self>) {
        loop {
            self.shares.any_due().await;
            sleep(TICK).await;
            let now = now_ms();
            while let Some(shared) = self.shares.take_due(now) {
                // It was loaded when it became due.
                let _ = shared.on(|inflight| inflight.tick(now));
                self.keep_share(&shared);
            }
        }
    }
}
