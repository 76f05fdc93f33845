use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::{Access, DiskError, File};

/// Which open file: the log's number on this shard, the segment, and the access.
pub type HandleKey = (u64, FileId, HandleKind);

/// Which file of a log: its segment's base offset, and how often it has been written anew.
pub type FileId = (i64, u32);

/// Why a segment file is open; each kind is a descriptor of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HandleKind {
    Read,
    Write,
    WriteDurable,
}

const LEAST_FILES: usize = 16;

/// The shard's open segment files, least recently used closed first, so that the number of
/// partitions is not bounded by the descriptor limit. Created by the shard, never crosses it.
pub struct HandleCache {
    capacity: Cell<usize>,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    tick: u64,
    files: FxHashMap<HandleKey, (u64, Rc<File>)>,
}

impl HandleCache {
    /// `capacity`: the most files kept open (at least 16). Files in use stay open beyond it.
    pub fn new(capacity: usize) -> Self {
        HandleCache { capacity: Cell::new(capacity.max(LEAST_FILES)), inner: RefCell::default() }
    }

    /// Another most of files kept open from now on.
    pub fn resize(&self, capacity: usize) {
        self.capacity.set(capacity.max(LEAST_FILES));
        self.evict();
    }

    /// The open file for `key`, opened now where it is not.
    ///
    /// # Errors
    /// What opening answers.
    pub async fn get(
        &self,
        key: HandleKey,
        path: impl FnOnce() -> PathBuf,
    ) -> Result<Rc<File>, DiskError> {
        if let Some(file) = self.lookup(&key) {
            return Ok(file);
        }
        let access = match key.2 {
            HandleKind::Read => Access::Read,
            HandleKind::Write => Access::Write,
            HandleKind::WriteDurable => Access::WriteDurable,
        };
        let file = Rc::new(File::open(&path(), access).await?);
        self.insert(key, Rc::clone(&file));
        Ok(file)
    }

    /// Closes one segment's files (as soon as the last user is done).
    pub fn forget(&self, log: u64, segment: FileId) {
        let mut inner = self.inner.borrow_mut();
        for kind in [HandleKind::Read, HandleKind::Write, HandleKind::WriteDurable] {
            inner.files.remove(&(log, segment, kind));
        }
    }

    /// Number of files held open.
    pub fn len(&self) -> usize {
        self.inner.borrow().files.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lookup(&self, key: &HandleKey) -> Option<Rc<File>> {
        let mut inner = self.inner.borrow_mut();
        inner.tick += 1;
        let tick = inner.tick;
        let (used, file) = inner.files.get_mut(key)?;
        *used = tick;
        Some(Rc::clone(file))
    }

    fn insert(&self, key: HandleKey, file: Rc<File>) {
        let mut inner = self.inner.borrow_mut();
        inner.tick += 1;
        let tick = inner.tick;
        inner.files.insert(key, (tick, file));
        drop(inner);
        self.evict();
    }

    fn evict(&self) {
        let mut inner = self.inner.borrow_mut();
        let capacity = self.capacity.get();
        if inner.files.len() > capacity {
            inner.evict_oldest(capacity - capacity / 8);
        }
    }
}

impl Inner {
    /// Leaves `room`, and what is in use. Evicting many at once keeps the cost of the scan at a few steps
    /// per opened file.
    fn evict_oldest(&mut self, room: usize) {
        let mut ages: Vec<(u64, HandleKey)> = self
            .files
            .iter()
            .filter(|(_, (_, file))| Rc::strong_count(file) == 1)
            .map(|(key, (used, _))| (*used, *key))
            .collect();
        ages.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in ages.iter().take(self.files.len().saturating_sub(room)) {
            self.files.remove(key);
        }
    }
}
