use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use corelane_shards::log::LogEnv;
use corelane_shards::runtime::{
    spawn_guarded, Gate, MemoryBudget, Mesh, MeshError, PendingReply, ReplyTo, ShardId, Shutdown,
};
use futures_util::future::LocalBoxFuture;
use tokio::sync::oneshot;

use super::transactional::Verifying;
use super::Advertised;
use crate::config::BrokerConfig;
use crate::connection::{Connections, Doors};
use crate::controller::ControllerHandle;
use crate::group::{Consumers, Coordinators, Members, ShareGroups};
use crate::handlers::{ClientInstances, FetchSessions, ShareSessions};
use crate::metadata::MetadataImage;
use crate::partition::fetch::FetchWatch;
use crate::partition::{
    fetch, offsets, trim, FetchGroup, LogSize, MoveOrder, Operation, Outcome, PartitionKey,
    PartitionTable,
};
use crate::share::{ShareStates, Shares};
use crate::transaction::Transactions;

/// Everything one core's share of the broker knows. Made when the shard starts, lives on it.
pub struct Shard {
    pub id: ShardId,
    pub mesh: Mesh<Operation, Outcome>,
    pub table: PartitionTable,
    pub env: Rc<LogEnv>,
    pub controller: ControllerHandle,
    pub advertised: Arc<Advertised>,
    /// Bytes of requests that are being read or served.
    pub request_memory: MemoryBudget,
    /// Bytes of answers that their clients have not read yet.
    pub answer_memory: MemoryBudget,
    pub sessions: FetchSessions,
    pub coordinators: Rc<Coordinators>,
    pub members: Rc<Members>,
    pub consumers: Rc<Consumers>,
    pub share_groups: ShareGroups,
    pub shares: Shares,
    pub share_states: ShareStates,
    pub share_sessions: ShareSessions,
    pub client_instances: ClientInstances,
    pub transactions: Transactions,
    pub connections: Connections,
    /// Producer ids from here up to there may still be handed out.
    pub producer_ids: Cell<(i64, i64)>,
    /// Tasks of connections and of other shards' requests.
    pub gate: Gate,
    pub shutdown: Shutdown,
    image: RefCell<Arc<MetadataImage>>,
    waiting_fetches: RefCell<HashMap<(ShardId, u64), Rc<FetchWatch>>>,
    pub(super) verifying: Verifying,
    next_token: Cell<u64>,
}

/// What a shard is made of, so that its maker names each part.
pub struct ShardParts {
    pub id: ShardId,
    pub config: Arc<BrokerConfig>,
    pub mesh: Mesh<Operation, Outcome>,
    pub env: Rc<LogEnv>,
    pub controller: ControllerHandle,
    pub advertised: Arc<Advertised>,
    pub request_memory: MemoryBudget,
    pub answer_memory: MemoryBudget,
    /// Bytes that consumer groups may take.
    pub group_bytes: usize,
    pub shutdown: Shutdown,
    pub doors: Arc<Doors>,
}

/// An operation on its way: done here, or under way on the shard that owns the partitions.
pub enum Routed {
    Here(oneshot::Receiver<Outcome>),
    /// Done by who waits for it: when records come it is woken, and no task in between.
    Read(LocalBoxFuture<'static, Outcome>),
    There(PendingReply<Operation, Outcome>),
}

impl Routed {
    /// The outcome; `None` where the owner ended without one.
    pub async fn outcome(self) -> Option<Outcome> {
        match self {
            Routed::Here(receiver) => receiver.await.ok(),
            Routed::Read(read) => Some(read.await),
            Routed::There(reply) => reply.await.ok(),
        }
    }
}

impl Shard {
    pub fn new(parts: ShardParts) -> Rc<Shard> {
        let (gate, coordinators) = (Gate::new(), Rc::new(Coordinators::default()));
        let (limits, at) = (parts.config.group_limits, Rc::clone(&coordinators));
        let members = Members::new(limits, parts.group_bytes / 3, at, gate.clone());
        let (limits, at) = (parts.config.consumer_limits.clone(), Rc::clone(&coordinators));
        let classic = Rc::clone(&members);
        let consumers = Consumers::new(limits, parts.group_bytes / 3, at, classic, gate.clone());
        let (limits, at) = (parts.config.share_limits, Rc::clone(&coordinators));
        let share_groups = ShareGroups::new(limits, parts.group_bytes / 3, at);
        Rc::new(Shard {
            sessions: FetchSessions::new(parts.config.fetch_session_slots, parts.id),
            connections: Connections::new(parts.id, parts.doors),
            coordinators,
            members,
            consumers,
            share_groups,
            shares: Shares::default(),
            share_states: ShareStates::default(),
            share_sessions: ShareSessions::new(parts.config.share_limits.max_sessions),
            client_instances: ClientInstances::default(),
            transactions: Transactions::default(),
            id: parts.id,
            mesh: parts.mesh,
            table: PartitionTable::default(),
            env: parts.env,
            controller: parts.controller,
            advertised: parts.advertised,
            request_memory: parts.request_memory,
            answer_memory: parts.answer_memory,
            producer_ids: Cell::new((0, 0)),
            gate,
            shutdown: parts.shutdown,
            image: RefCell::new(Arc::new(MetadataImage {
                broker: parts.config,
                ..MetadataImage::default()
            })),
            waiting_fetches: RefCell::default(),
            verifying: Verifying::default(),
            next_token: Cell::new(0),
        })
    }

    /// The metadata as this shard serves it now.
    pub fn image(&self) -> Arc<MetadataImage> {
        Arc::clone(&self.image.borrow())
    }

    /// The broker's settings in force now.
    pub fn config(&self) -> Arc<BrokerConfig> {
        Arc::clone(&self.image.borrow().broker)
    }

    pub fn set_image(&self, image: Arc<MetadataImage>) {
        *self.image.borrow_mut() = image;
    }

    pub fn next_token(&self) -> u64 {
        self.next_token.set(self.next_token.get() + 1);
        self.next_token.get()
    }

    /// Hands an operation to the shard that owns its partitions. It has begun, in order, when
    /// this returns.
    ///
    /// # Errors
    /// None in practice: local work is not sent.
    pub async fn route(
        self: &Rc<Self>,
        to: ShardId,
        operation: Operation,
    ) -> Result<Routed, MeshError> {
        if to != self.id {
            return Ok(Routed::There(self.mesh.send(to, operation).await?));
        }
        if let Operation::Fetch(group) = operation {
            return Ok(Routed::Read(Box::pin(self.fetch(to, group))));
        }
        let (answer, answered) = oneshot::channel();
        self.begin(self.id, operation, move |outcome| {
            let _ = answer.send(outcome);
        });
        Ok(Routed::Here(answered))
    }

    /// Calls for an early answer to the fetch with `token` on shard `to`.
    pub async fn answer_fetch_now(self: &Rc<Self>, to: ShardId, token: u64) {
        if to == self.id {
            self.fetch_now(self.id, token);
        } else if let Err(error) = self.mesh.post(to, Operation::FetchNow { token }).await {
            tracing::error!("fetch {token} on shard {to}: {error}");
        }
    }

    /// Serves what other shards ask, until `stop` completes.
    pub async fn serve_mesh(self: &Rc<Self>, stop: impl Future<Output = ()>) {
        let shard = Rc::clone(self);
        let serve = self.mesh.serve(move |from, operation, reply| {
            shard.serve_one(from, operation, reply);
        });
        let serve = std::pin::pin!(serve);
        let stop = std::pin::pin!(stop);
        futures_util::future::select(serve, stop).await;
    }

    fn serve_one(
        self: &Rc<Self>,
        from: ShardId,
        operation: Operation,
        reply: Option<ReplyTo<Operation, Outcome>>,
    ) {
        self.begin(from, operation, move |outcome| {
            if let Some(reply) = reply {
                reply.send(outcome);
            }
        });
    }

    /// Begins an operation on our own partitions. Appends happen now; what has to wait or read
    /// goes on in a task of its own.
    fn begin(
        self: &Rc<Self>,
        from: ShardId,
        operation: Operation,
        answer: impl FnOnce(Outcome) + 'static,
    ) {
        match operation {
            Operation::Produce(group) => {
                let done = Box::new(move |outcomes| answer(Outcome::Produce(outcomes)));
                self.produce(group, done);
            }
            Operation::Fetch(group) => {
                let fetch = self.fetch(from, group);
                spawn_guarded(&self.gate, "fetch", async move { answer(fetch.await) });
            }
            Operation::FetchNow { token } => self.fetch_now(from, token),
            Operation::Offsets(queries) => {
                let shard = Rc::clone(self);
                spawn_guarded(&self.gate, "offsets", async move {
                    answer(Outcome::Offsets(offsets::find_all(&shard.table, &queries).await));
                });
            }
            Operation::Trim(trims) => {
                let shard = Rc::clone(self);
                spawn_guarded(&self.gate, "trim", async move {
                    answer(Outcome::Trim(trim::trim_all(&shard.table, &trims).await));
                });
            }
            Operation::Sizes(keys) => {
                answer(Outcome::Sizes(keys.iter().map(|key| self.size(key)).collect()));
            }
            Operation::Producers(keys) => {
                let of = |key| Ok(self.table.find(key)?.log.producers());
                answer(Outcome::Producers(keys.iter().map(of).collect()));
            }
            Operation::Move(orders) => {
                let begin = |order: MoveOrder| self.begin_move(order.key, order.to);
                let codes = orders.into_iter().map(begin).map(|begun| begun.err());
                answer(Outcome::Move(codes.map(|code| code.map_or(0, |c| c.code())).collect()));
            }
            Operation::JoinGroup(call) => self.join_group(call, answer),
            Operation::SyncGroup(call) => self.sync_group(call, answer),
            Operation::Members(call) => self.hear_members(call, answer),
            Operation::ListGroups => answer(Outcome::ListGroups(self.list_groups())),
            Operation::DescribeGroup(call) => {
                answer(Outcome::DescribeGroup(self.describe_group(&call)));
            }
            Operation::HearConsumer(call) => self.hear_consumer(call, answer),
            Operation::DescribeConsumers(call) => {
                answer(Outcome::DescribeConsumers(self.describe_consumers(&call)));
            }
            Operation::DeleteOffsets(call) => self.delete_offsets(call, answer),
            Operation::CommitOffsets(commit) => self.commit_offsets(commit, answer),
            Operation::FetchOffsets(fetch) => {
                answer(Outcome::FetchOffsets(self.fetch_offsets(&fetch)));
            }
            Operation::AddToTransaction(asked) => self.add_to_transaction(asked, answer),
            Operation::Transaction(asked) => {
                self.ask_transaction(asked, |told| answer(Outcome::Transaction(told)));
            }
            Operation::DescribeTransaction(asked) => {
                answer(Outcome::DescribeTransaction(self.describe_transaction(&asked)));
            }
            Operation::ListTransactions => {
                answer(Outcome::ListTransactions(self.list_transactions()));
            }
            Operation::WriteMarkers(orders) => self.write_markers(orders, answer),
            Operation::HearShareMember(call) => self.hear_share_member(call, answer),
            Operation::DescribeShareGroup(call) => {
                answer(Outcome::DescribeShareGroup(self.describe_share_group(&call)));
            }
            Operation::ShareFetch(fetch) => self.begin_share_fetch(from, fetch, answer),
            Operation::ShareRelease(release) => {
                self.release_share(&release);
                answer(Outcome::ShareRelease);
            }
            Operation::ShareState(call) => self.share_state_call(call, answer),
            Operation::SetShares(set) => self.set_shares(set, answer),
            Operation::ListShares(group) => answer(Outcome::ListShares(self.list_shares(&group))),
            Operation::ForgetShares(group) => self.forget_shares(&group, answer),
            Operation::Epochs(queries) => {
                let shard = Rc::clone(self);
                spawn_guarded(&self.gate, "epochs", async move {
                    answer(Outcome::Epochs(offsets::epoch_ends(&shard.table, &queries).await));
                });
            }
        }
    }

    fn size(&self, key: &PartitionKey) -> Option<LogSize> {
        let log = &self.table.get(key)?.log;
        Some(LogSize { bytes: log.size_bytes(), moving: log.moving_size() })
    }

    fn fetch(
        self: &Rc<Self>,
        from: ShardId,
        group: FetchGroup,
    ) -> impl Future<Output = Outcome> + 'static {
        let watch = self.watch_fetch(from, group.token);
        let shard = Rc::clone(self);
        async move {
            let outcomes = fetch::fetch(&shard.table, &group, &watch).await;
            shard.unwatch_fetch(from, group.token);
            Outcome::Fetch(outcomes)
        }
    }

    /// A fetch that may be called for an early answer from now on.
    pub(super) fn watch_fetch(&self, from: ShardId, token: u64) -> Rc<FetchWatch> {
        let watch = Rc::new(FetchWatch::default());
        self.waiting_fetches.borrow_mut().insert((from, token), Rc::clone(&watch));
        watch
    }

    pub(super) fn unwatch_fetch(&self, from: ShardId, token: u64) {
        self.waiting_fetches.borrow_mut().remove(&(from, token));
    }

    fn fetch_now(&self, from: ShardId, token: u64) {
        if let Some(watch) = self.waiting_fetches.borrow().get(&(from, token)) {
            watch.answer_now();
        }
    }

    /// Ends all long polls, so that connections can finish.
    pub fn end_waiting_fetches(&self) {
        self.waiting_fetches.borrow().values().for_each(|watch| watch.answer_now());
    }
}
