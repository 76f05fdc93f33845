//! A disk that only exists in memory, for tests of everything above the seam: it delays and
//! reorders completions, fails when told to, and at a power cut forgets whatever was not made
//! durable: each 512-byte sector and each directory's latest names by chance.
//!
//! A thread that has one installed sees it below [`SimDisk::root`]; every power cut changes that
//! root, so that tasks of before the cut cannot reach what is there after it.

mod inode;
mod names;
mod ops;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use inode::Inode;
use names::Names;
pub(super) use ops::SimFile;

/// How a simulated disk misbehaves. Rates are out of 1,000 operations.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Writes that fail after some of their sectors were written.
    pub write_errors: u32,
    pub read_errors: u32,
    /// Syncs that fail; what they were to make durable then never is.
    pub sync_errors: u32,
    /// Most turns of the executor that an operation takes.
    pub delay: u32,
    /// Bytes that fit; 0: any number.
    pub capacity: u64,
}

/// The one simulated disk of a thread. Cloning shares it.
#[derive(Clone)]
pub struct SimDisk(Rc<RefCell<State>>);

struct State {
    root: PathBuf,
    /// Changes with every power cut, and is another for every disk of the thread.
    cuts: u64,
    faults: Faults,
    random: u64,
    names: Names,
    inodes: Vec<Inode>,
}

thread_local! {
    static INSTALLED: RefCell<Option<SimDisk>> = const { RefCell::new(None) };
}

const MOUNT: &str = "/simulated";

/// The simulated disk that `path` lies on, if it does.
pub(super) fn of(path: &Path) -> Option<SimDisk> {
    INSTALLED.with_borrow(|disk| disk.clone()).filter(|_| path.starts_with(MOUNT))
}

impl SimDisk {
    /// Gives this thread an empty disk whose chances follow from `seed`; the one before is gone.
    pub fn install(seed: u64, faults: Faults) -> SimDisk {
        let cuts = INSTALLED
            .with_borrow(|before| before.as_ref().map_or(0, |before| before.0.borrow().cuts + 1));
        let root = root_after(cuts);
        let state = State {
            names: Names::new(&root),
            root,
            cuts,
            faults,
            random: seed ^ 0x9e37_79b9_7f4a_7c15,
            inodes: Vec::new(),
        };
        let disk = SimDisk(Rc::new(RefCell::new(state)));
        INSTALLED.with_borrow_mut(|installed| *installed = Some(disk.clone()));
        disk
    }

    /// The directory in which everything lies, until the next power cut.
    pub fn root(&self) -> PathBuf {
        self.0.borrow().root.clone()
    }

    pub fn set_faults(&self, faults: Faults) {
        self.0.borrow_mut().faults = faults;
    }

    /// Takes the power away and gives it back: operations under way fail, what was not durable is
    /// there or not by chance. Returns the new root.
    pub fn cut_power(&self) -> PathBuf {
        let mut state = self.0.borrow_mut();
        let state = &mut *state;
        state.cuts += 1;
        state.root = root_after(state.cuts);
        let mut random = Chance(&mut state.random);
        state.names.cut(&state.root, &mut random);
        state.inodes.iter_mut().for_each(|inode| inode.cut(&mut random));
        state.root.clone()
    }

    /// Stops everything that is under way and keeps what was written, as when the process is
    /// killed. Returns the new root.
    pub fn kill(&self) -> PathBuf {
        let mut state = self.0.borrow_mut();
        let state = &mut *state;
        state.cuts += 1;
        state.root = root_after(state.cuts);
        state.names.rebase(&state.root);
        state.inodes.iter_mut().for_each(Inode::kill);
        state.root.clone()
    }

    /// Turns over one bit of a file, durably. Returns its position, or `None` where the file is
    /// missing or empty.
    pub fn flip_bit(&self, path: &Path, chance: u64) -> Option<u64> {
        let mut state = self.0.borrow_mut();
        let inode = state.names.file(path)?;
        state.inodes[inode].flip_bit(chance)
    }

    /// A file's content as it is read now.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.0.borrow();
        let inode = state.names.file(path)?;
        Some(state.inodes[inode].read(0, state.inodes[inode].len()))
    }

    /// Names of the files in a directory.
    pub fn files(&self, dir: &Path) -> Vec<String> {
        let state = self.0.borrow();
        let names = state.names.list(dir).unwrap_or_default();
        names.into_iter().filter(|(_, is_dir)| !is_dir).map(|(name, _)| name).collect()
    }
}

fn root_after(cuts: u64) -> PathBuf {
    PathBuf::from(format!("{MOUNT}/{cuts}"))
}

/// A sequence that looks random and is the same for the same seed (SplitMix64).
struct Chance<'a>(&'a mut u64);

impl Chance<'_> {
    fn next(&mut self) -> u64 {
        *self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn in_thousand(&mut self, rate: u32) -> bool {
        rate > 0 && self.below(1_000) < u64::from(rate)
    }
}
