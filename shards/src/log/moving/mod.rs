//! A log moves to another log directory while it is written and read (KIP-113). Its files are copied
//! beside those that are in use (`copy`); when little is left, appends are only gathered in memory
//! while the rest is copied, the decision is made durable elsewhere, and the log goes on in its new
//! directory. Until the decision nothing of the old directory is changed, so that a move may end at
//! any moment.

mod copy;
mod leftovers;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use copy::Copy;
pub use leftovers::{settle_moves, Home, UnfinishedMove, FUTURE_SUFFIX};

use super::env::LogEnv;
use super::error::LogError;
use super::log::Log;
use super::state::LogState;
use super::throttle::Pace;
use crate::disk::{self, DiskError};
use crate::runtime::Signal;

/// Left in the old directory just before the decision: where the metadata has the partition in
/// another directory, one with this file in it is what a crash kept from being removed.
pub const MOVED_AWAY_FILE: &str = "moved-away";

/// Appends are held up only while less than this is copied.
const LITTLE_BYTES: u64 = 256 << 10;

/// Logs of one shard that are copied at the same time.
const MOVES_AT_ONCE: usize = 2;

/// Where a log moves to, both in the same log directory.
#[derive(Debug, Clone)]
pub struct MoveTarget {
    /// While it is copied, as Kafka names it: `<topic>-<n>.<32 digits>-future`.
    pub future: PathBuf,
    /// Afterwards.
    pub home: PathBuf,
}

/// Why a log stays where it is.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MoveError {
    #[error("the move was cancelled")]
    Cancelled,
    #[error("another move is under way")]
    Busy,
    #[error("the move was not decided: {0}")]
    NotDecided(String),
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<DiskError> for MoveError {
    fn from(error: DiskError) -> Self {
        MoveError::Log(error.into())
    }
}

/// How far a move is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovingSize {
    /// Where it is copied to now.
    pub future: PathBuf,
    pub bytes: u64,
    /// Offsets that are still to be copied.
    pub offset_lag: i64,
}

/// A move under way.
pub struct Moving {
    future: PathBuf,
    /// Bytes copied of each segment.
    copied: RefCell<BTreeMap<i64, u64>>,
    end_offset: Cell<i64>,
    cancelled: Cell<bool>,
}

/// Moves of a shard's logs: others wait for their turn.
#[derive(Default)]
pub struct Moves {
    running: Cell<usize>,
    pub(super) changed: Signal,
}

struct Turn(Rc<LogEnv>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.moves.running.set(self.0.moves.running.get() - 1);
        self.0.moves.changed.notify();
    }
}

/// Held while files of a log get or have names that a move must not miss.
pub(super) struct NamesInUse(Rc<Log>);

impl Drop for NamesInUse {
    fn drop(&mut self) {
        self.0.names_in_use.set(self.0.names_in_use.get() - 1);
        self.0.settled.notify();
    }
}

impl LogState {
    /// Everything that is written is durable in another directory, in files of their true sizes.
    fn moved(&mut self) {
        for segment in &mut self.segments {
            (segment.version, segment.allocated, segment.synced) =
                (0, segment.written, segment.written);
        }
        self.point = None;
        let end = self.written_end();
        self.synced_end = self.synced_end.max(end);
        self.durable_end = self.durable_end.max(end);
    }
}

impl Log {
    /// Moves the log to `target` and goes on there; its old directory is the caller's to remove.
    /// `decide` is called when everything is there, durably: from its success on the log belongs to
    /// the new directory, whatever happens.
    ///
    /// # Errors
    /// The log stays where it is, unless it went offline after the decision. What was copied is
    /// removed; on a failing disk it may stay.
    pub async fn move_to<F, Fut>(
        self: &Rc<Self>,
        target: &MoveTarget,
        pace: Pace,
        decide: F,
    ) -> Result<(), MoveError>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<(), String>>,
    {
        let moving = self.begin_move(&target.future)?;
        let mut decided = false;
        let moved = self.copy_and_switch(&moving, target, pace, decide, &mut decided).await;
        self.moving.replace(None);
        self.swapping.set(false);
        {
            let mut state = self.state.borrow_mut();
            (state.held, state.past_journal) = (false, false);
        }
        self.settled.notify();
        self.kick_writer();
        if let Err(error) = &moved {
            self.move_failed(target, error, decided).await;
        }
        moved
    }

    /// Ends a move that is not decided yet; returns whether there was one.
    pub fn cancel_move(&self) -> bool {
        let moving = self.moving.borrow();
        moving.iter().for_each(|moving| moving.cancelled.set(true));
        self.env.moves.changed.notify();
        moving.is_some()
    }

    /// Waits until no move is under way.
    pub async fn move_ended(&self) {
        self.settled.until(|| self.moving.borrow().is_none()).await;
    }

    /// How far a move is, if one is under way.
    pub fn moving_size(&self) -> Option<MovingSize> {
        let moving = self.moving.borrow().clone()?;
        let bytes = moving.copied.borrow().values().sum();
        Some(MovingSize {
            future: moving.future.clone(),
            bytes,
            offset_lag: (self.log_end() - moving.end_offset.get()).max(0),
        })
    }

    fn begin_move(&self, future: &Path) -> Result<Rc<Moving>, MoveError> {
        let mut slot = self.moving.borrow_mut();
        if slot.is_some() {
            return Err(MoveError::Busy);
        }
        let moving = Rc::new(Moving {
            future: future.to_path_buf(),
            copied: RefCell::default(),
            end_offset: Cell::new(self.log_start()),
            cancelled: Cell::new(false),
        });
        *slot = Some(Rc::clone(&moving));
        Ok(moving)
    }

    async fn copy_and_switch<F, Fut>(
        self: &Rc<Self>,
        moving: &Rc<Moving>,
        target: &MoveTarget,
        pace: Pace,
        decide: F,
        decided: &mut bool,
    ) -> Result<(), MoveError>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<(), String>>,
    {
        let _turn = self.take_turn(moving).await?;
        self.settled.until(|| !self.compacting.get()).await;
        self.may_move_on(moving)?;
        disk::ensure_dir(&target.future).await?;
        let mut copy = Copy::new(self, moving, pace);
        copy.catch_up(LITTLE_BYTES).await?;
        // What the old directory's journal alone holds must be in the segments, and all that follows.
        self.state.borrow_mut().past_journal = true;
        self.flush().await?;
        copy.catch_up(LITTLE_BYTES).await?;
        copy.small_files().await?;
        self.hold(moving).await?;
        copy.finish().await?;
        let old = self.dir();
        disk::replace_file(&old.join(MOVED_AWAY_FILE), Vec::new()).await?;
        self.may_move_on(moving)?;
        decide().await.map_err(MoveError::NotDecided)?;
        *decided = true;
        disk::rename(&target.future, &target.home).await?;
        self.switch(&target.home);
        Ok(())
    }

    /// Waits until few enough others are moved.
    async fn take_turn(self: &Rc<Self>, moving: &Moving) -> Result<Turn, MoveError> {
        let moves = &self.env.moves;
        let mine = || moves.running.get() < MOVES_AT_ONCE || self.may_move_on(moving).is_err();
        moves.changed.until(mine).await;
        self.may_move_on(moving)?;
        moves.running.set(moves.running.get() + 1);
        Ok(Turn(Rc::clone(&self.env)))
    }

    /// Has nothing written any more, nor files renamed, until the move ends.
    async fn hold(&self, moving: &Moving) -> Result<(), MoveError> {
        // A log that is being closed writes its last now: it waits for us only if we came first.
        self.may_move_on(moving)?;
        self.state.borrow_mut().held = true;
        self.swapping.set(true);
        let is_still =
            || !self.is_writing() && !self.keeping_point.get() && self.names_in_use.get() == 0;
        self.settled.until(is_still).await;
        Ok(())
    }

    fn switch(&self, home: &Path) {
        self.forget_all_files();
        self.id.set(self.env.take_log_id());
        self.dir.replace(Rc::from(home));
        self.health.replace(self.env.health_of(home));
        self.journal.take();
        self.state.borrow_mut().moved();
    }

    /// Whether a move may go on.
    fn may_move_on(&self, moving: &Moving) -> Result<(), MoveError> {
        match self.failure() {
            Some(failure) => Err(LogError::Offline(failure).into()),
            None if self.closed.get() => Err(LogError::Closed.into()),
            None if moving.cancelled.get() => Err(MoveError::Cancelled),
            None => Ok(()),
        }
    }

    async fn move_failed(&self, target: &MoveTarget, error: &MoveError, decided: bool) {
        if let MoveError::Log(LogError::Disk(error)) = error {
            let of_target = error.path().starts_with(&target.future);
            if decided {
                // It belongs to the new directory, but does not have its name: the next start sees
                // to that.
                self.go_offline(&error.to_string());
            } else if of_target && error.operation != "read" && !error.is_no_space() {
                self.env.fail_dir_of(&target.future, &error.to_string());
            }
        }
        // A move that the broker's stop ended goes on with the next start, which finds what is there.
        let stopped = matches!(error, MoveError::Log(LogError::Closed)) && !self.is_deleted();
        if !decided && !stopped {
            let marker = self.dir().join(MOVED_AWAY_FILE);
            let removed = async {
                disk::remove_file(&marker).await?;
                disk::remove_dir(&target.future).await
            };
            if let Err(error) = removed.await {
                tracing::warn!("what was copied stays until the next start: {error}");
            }
        }
    }

    /// Waits until names are not exchanged, and keeps them from it until the value is dropped.
    pub(super) async fn use_names(self: &Rc<Self>) -> NamesInUse {
        self.settled.until(|| !self.swapping.get()).await;
        self.names_in_use.set(self.names_in_use.get() + 1);
        NamesInUse(Rc::clone(self))
    }
}
