//! Blocks on their way from the disk: whoever wants one that is being read waits for that read.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::future::{FutureExt, LocalBoxFuture, Shared};
use rustc_hash::FxHashMap;

use super::blocks::{BlockKey, BLOCK_LEN};
use super::log::Log;
use crate::disk::{DiskError, FileId};

/// A read that several may wait for; it goes on even if none does.
pub(super) type Load = Shared<LocalBoxFuture<'static, Result<Bytes, DiskError>>>;

/// The reads that a shard's logs have under way.
#[derive(Default)]
pub struct BlockLoads {
    open: RefCell<FxHashMap<BlockKey, Load>>,
}

impl Log {
    /// A whole block that is not in memory: joins the read that is under way or begins one. What
    /// is read is kept for others.
    pub(super) fn load(self: &Rc<Self>, file: FileId, number: u64) -> Load {
        let key = (self.id(), file, number);
        if let Some(load) = self.env.loads.open.borrow().get(&key) {
            return load.clone();
        }
        let log = Rc::clone(self);
        let read = async move {
            let block = log.read_block(file, number).await;
            log.env.loads.open.borrow_mut().remove(&key);
            if let Ok(block) = &block {
                log.env.blocks.insert(key, block.clone());
            }
            block
        };
        let load = read.boxed_local().shared();
        self.env.loads.open.borrow_mut().insert(key, load.clone());
        let drive = load.clone();
        self.env.foreground.spawn(async move { drop(drive.await) }).detach();
        load
    }

    /// Whether a block is in memory or will be in a moment.
    pub(super) fn is_near(&self, file: FileId, number: u64) -> bool {
        let key = (self.id(), file, number);
        self.env.loads.open.borrow().contains_key(&key) || self.env.blocks.get(&key).is_some()
    }

    async fn read_block(&self, file: FileId, number: u64) -> Result<Bytes, DiskError> {
        let file = self.file_to_read(file).await?;
        Ok(Bytes::from(file.read_at(number * BLOCK_LEN, BLOCK_LEN as usize).await?))
    }
}
