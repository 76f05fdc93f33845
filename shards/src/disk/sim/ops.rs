//! What the seam asks of a simulated disk, with the kernel's error codes.

use std::io;
use std::path::{Path, PathBuf};

use super::names::Entry;
use super::{Chance, Inode, SimDisk, State};
use crate::disk::{Access, DiskError};
use crate::runtime::yield_now;

/// An open simulated file.
pub struct SimFile {
    disk: SimDisk,
    inode: usize,
    durable: bool,
    /// Power cuts before it was opened.
    cuts: u64,
}

fn os_error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

impl State {
    fn chance(&mut self) -> Chance<'_> {
        Chance(&mut self.random)
    }

    fn used(&self) -> u64 {
        self.inodes.iter().map(|inode| inode.len() as u64).sum()
    }

    /// Whether a file may grow by `bytes`.
    fn has_room(&self, bytes: u64) -> bool {
        self.faults.capacity == 0 || bytes == 0 || self.used() + bytes <= self.faults.capacity
    }

    fn new_file(&mut self, path: &Path) -> io::Result<usize> {
        self.inodes.push(Inode::default());
        let inode = self.inodes.len() - 1;
        match self.names.put(path, Entry::File(inode)) {
            true => Ok(inode),
            false => Err(os_error(libc::ENOENT)),
        }
    }

    fn open(&mut self, path: &Path, access: Access) -> io::Result<usize> {
        match (self.names.entry(path), access) {
            (Some(Entry::File(inode)), _) => Ok(inode),
            (Some(Entry::Dir), _) => Err(os_error(libc::EISDIR)),
            (None, Access::Read) => Err(os_error(libc::ENOENT)),
            (None, _) => self.new_file(path),
        }
    }

    /// A small file's content, not made durable.
    fn write_whole(&mut self, path: &Path, content: Vec<u8>) -> io::Result<usize> {
        let inode = self.open(path, Access::Write)?;
        if !self.has_room((content.len() as u64).saturating_sub(self.inodes[inode].len() as u64)) {
            return Err(os_error(libc::ENOSPC));
        }
        self.inodes[inode].resize(0);
        let write = self.inodes[inode].begin_write(0, content);
        self.inodes[inode].end_write(write, false);
        Ok(inode)
    }
}

impl SimDisk {
    /// Lets a few turns pass, so that operations complete in another order than they began.
    async fn delay(&self) {
        let turns = {
            let mut state = self.0.borrow_mut();
            let most = u64::from(state.faults.delay);
            state.chance().below(most + 1)
        };
        for _ in 0..turns {
            yield_now().await;
        }
    }

    /// Does `work` on a path of the present.
    async fn on_path<T>(
        &self,
        operation: &'static str,
        path: &Path,
        work: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> Result<T, DiskError> {
        self.delay().await;
        let done = {
            let mut state = self.0.borrow_mut();
            match state.names.is_current(path) {
                true => work(&mut state),
                false => Err(os_error(libc::ESTALE)),
            }
        };
        let done = done.map_err(|error| DiskError::new(operation, path, error));
        self.delay().await;
        done
    }

    pub(in crate::disk) async fn open(
        &self,
        path: &Path,
        access: Access,
    ) -> Result<SimFile, DiskError> {
        let (inode, cuts) =
            self.on_path("open", path, |state| Ok((state.open(path, access)?, state.cuts))).await?;
        let durable = access == Access::WriteDurable;
        Ok(SimFile { disk: self.clone(), inode, durable, cuts })
    }

    pub(in crate::disk) async fn list_dir(
        &self,
        path: &Path,
    ) -> Result<Vec<(String, bool)>, DiskError> {
        let list = |state: &mut State| state.names.list(path).ok_or(os_error(libc::ENOENT));
        self.on_path("list", path, list).await
    }

    pub(in crate::disk) async fn make_dir(&self, path: &Path) -> Result<(), DiskError> {
        let make = |state: &mut State| {
            if state.names.entry(path) != Some(Entry::Dir) && !state.names.put(path, Entry::Dir) {
                return Err(os_error(libc::ENOENT));
            }
            state.names.sync(path.parent().unwrap_or(path));
            Ok(())
        };
        self.on_path("create directory", path, make).await
    }

    pub(in crate::disk) async fn sync_dir(&self, path: &Path) -> Result<(), DiskError> {
        let sync = |state: &mut State| match state.names.sync(path) {
            true => Ok(()),
            false => Err(os_error(libc::ENOENT)),
        };
        self.on_path("sync directory", path, sync).await
    }

    pub(in crate::disk) async fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        let remove = |state: &mut State| {
            if let Some(inode) = state.names.file(path) {
                state.inodes[inode].resize(0);
            }
            state.names.remove(path);
            Ok(())
        };
        self.on_path("remove", path, remove).await
    }

    pub(in crate::disk) async fn remove_dir(&self, path: &Path) -> Result<(), DiskError> {
        for name in self.files(path) {
            self.remove_file(&path.join(name)).await?;
        }
        let remove = |state: &mut State| {
            state.names.remove(path);
            Ok(())
        };
        self.on_path("remove directory", path, remove).await
    }

    pub(in crate::disk) async fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        let rename = |state: &mut State| {
            if !state.names.rename(from, to) {
                return Err(os_error(libc::ENOENT));
            }
            state.names.sync(to.parent().unwrap_or(to));
            Ok(())
        };
        self.on_path("rename", from, rename).await
    }

    pub(in crate::disk) async fn read_small(
        &self,
        path: &Path,
    ) -> Result<Option<Vec<u8>>, DiskError> {
        let read = |state: &mut State| {
            let inode = state.names.file(path);
            Ok(inode.map(|inode| state.inodes[inode].read(0, usize::MAX >> 1)))
        };
        self.on_path("read", path, read).await
    }

    pub(in crate::disk) async fn replace_file(
        &self,
        path: &Path,
        content: Vec<u8>,
    ) -> Result<(), DiskError> {
        let aside: PathBuf = path.with_extension("tmp");
        let write = |state: &mut State| {
            let inode = state.write_whole(&aside, content)?;
            let up_to = state.inodes[inode].begin_sync();
            state.inodes[inode].end_sync(up_to, false);
            Ok(())
        };
        self.on_path("replace", path, write).await?;
        let rename = |state: &mut State| match state.names.rename(&aside, path) {
            true => Ok(()),
            false => Err(os_error(libc::ENOENT)),
        };
        self.on_path("replace", path, rename).await?;
        self.sync_dir(path.parent().unwrap_or(path)).await
    }

    pub(in crate::disk) async fn write_small(
        &self,
        path: &Path,
        content: Vec<u8>,
    ) -> Result<(), DiskError> {
        self.on_path("write", path, |state| state.write_whole(path, content).map(drop)).await
    }
}

impl SimFile {
    /// Does `work` on the file, unless the power has been cut since it was opened.
    async fn step<T>(
        &self,
        work: impl FnOnce(&mut State, usize) -> io::Result<T>,
    ) -> io::Result<T> {
        self.disk.delay().await;
        let mut state = self.disk.0.borrow_mut();
        match state.cuts == self.cuts {
            true => work(&mut state, self.inode),
            false => Err(os_error(libc::ESTALE)),
        }
    }

    pub async fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        let begin = |state: &mut State, inode: usize| {
            let end = position + bytes.len() as u64;
            if !state.has_room(end.saturating_sub(state.inodes[inode].len() as u64)) {
                return Err(os_error(libc::ENOSPC));
            }
            let rate = state.faults.write_errors;
            let fails = state.chance().in_thousand(rate);
            Ok((state.inodes[inode].begin_write(position as usize, bytes.to_vec()), fails))
        };
        let (write, fails) = self.step(begin).await?;
        let end = |state: &mut State, inode: usize| {
            if fails {
                state.inodes[inode].fail_write(write);
                return Err(os_error(libc::EIO));
            }
            state.inodes[inode].end_write(write, self.durable);
            Ok(bytes.len())
        };
        self.step(end).await
    }

    pub async fn read_at(&self, position: u64, len: usize) -> io::Result<Vec<u8>> {
        let read = |state: &mut State, inode: usize| {
            let rate = state.faults.read_errors;
            match state.chance().in_thousand(rate) {
                true => Err(os_error(libc::EIO)),
                false => Ok(state.inodes[inode].read(position as usize, len)),
            }
        };
        self.step(read).await
    }

    pub async fn sync_data(&self) -> io::Result<()> {
        let begin = |state: &mut State, inode: usize| Ok(state.inodes[inode].begin_sync());
        let up_to = self.step(begin).await?;
        let end = |state: &mut State, inode: usize| {
            let rate = state.faults.sync_errors;
            let failed = state.chance().in_thousand(rate);
            state.inodes[inode].end_sync(up_to, failed);
            match failed {
                true => Err(os_error(libc::EIO)),
                false => Ok(()),
            }
        };
        self.step(end).await
    }

    pub async fn allocate(&self, size: u64) -> io::Result<()> {
        let grow = |state: &mut State, inode: usize| {
            let more = size.saturating_sub(state.inodes[inode].len() as u64);
            if !state.has_room(more) {
                return Err(os_error(libc::ENOSPC));
            }
            if more > 0 {
                state.inodes[inode].resize(size as usize);
            }
            Ok(())
        };
        self.step(grow).await
    }

    pub async fn truncate(&self, size: u64) -> io::Result<()> {
        let cut = |state: &mut State, inode: usize| {
            state.inodes[inode].resize(size as usize);
            Ok(())
        };
        self.step(cut).await
    }

    pub async fn size(&self) -> io::Result<u64> {
        self.step(|state, inode| Ok(state.inodes[inode].len() as u64)).await
    }
}
