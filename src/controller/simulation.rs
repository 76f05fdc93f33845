//! A disk in memory that loses power: of what was not made durable each sector and each name is there
//! afterwards or not, by chance.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use super::disk::MetadataDisk;

const SECTOR: usize = 512;

#[derive(Debug, Clone, Default)]
struct Content {
    durable: Vec<u8>,
    now: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
struct Inside {
    files: Vec<Content>,
    /// What each name stood for, from the last that is durable on.
    names: Vec<BTreeMap<String, usize>>,
    /// Operations that may still be done.
    left: Option<usize>,
}

/// Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    inside: Rc<RefCell<Inside>>,
    /// Whatever changes something fails, with nothing done.
    pub fails: bool,
}

fn broken() -> io::Error {
    io::Error::other("the power is gone")
}

impl SimDisk {
    /// Loses power when so many more operations are done: the one that comes then is done in part.
    pub fn stop_after(&self, operations: usize) {
        self.inside.borrow_mut().left = Some(operations);
    }

    pub fn has_stopped(&self) -> bool {
        self.inside.borrow().left == Some(0)
    }

    /// What is there when power is back.
    pub fn after_power_cut(&self, seed: u64) -> SimDisk {
        let inside = self.inside.borrow();
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut chance = |of: usize| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 33) as usize % of
        };
        let file = |content: &Content| {
            // Its length is what it was durably, or any that it has had since.
            let (low, high) = (content.durable.len(), content.now.len());
            let len = low.min(high) + chance(low.abs_diff(high) + 1);
            let mut left = vec![0; len];
            for at in (0..len).step_by(SECTOR) {
                let from = if chance(2) == 0 { &content.durable } else { &content.now };
                let end = len.min(at + SECTOR).min(from.len());
                if at < end {
                    left[at..end].copy_from_slice(&from[at..end]);
                }
            }
            Content { durable: left.clone(), now: left }
        };
        let files = inside.files.iter().map(file).collect();
        let names = inside.names.get(chance(inside.names.len().max(1))).cloned();
        let names = vec![names.unwrap_or_default()];
        let inside = Inside { files, names, left: None };
        SimDisk { inside: Rc::new(RefCell::new(inside)), fails: false }
    }

    /// Does one operation, or fails once power is gone; the last one is done all the same, and not told.
    fn change<T>(&self, change: impl FnOnce(&mut Inside) -> T) -> io::Result<T> {
        let mut inside = self.inside.borrow_mut();
        if self.fails || inside.left == Some(0) {
            return Err(broken());
        }
        if inside.names.is_empty() {
            inside.names.push(BTreeMap::new());
        }
        let last = inside.left == Some(1);
        inside.left = inside.left.map(|left| left - 1);
        let done = change(&mut inside);
        if last {
            Err(broken())
        } else {
            Ok(done)
        }
    }
}

impl Inside {
    fn now(&mut self) -> BTreeMap<String, usize> {
        self.names.last().cloned().unwrap_or_default()
    }

    fn file(&mut self, name: &str) -> Option<&mut Content> {
        let at = *self.names.last()?.get(name)?;
        self.files.get_mut(at)
    }
}

impl MetadataDisk for SimDisk {
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.inside.borrow_mut().file(name).map(|file| file.now.clone()))
    }

    fn create(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.change(|disk| {
            disk.files.push(Content { durable: Vec::new(), now: content.to_vec() });
            let mut names = disk.now();
            names.insert(name.to_string(), disk.files.len() - 1);
            disk.names.push(names);
        })
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.change(|disk| {
            if let Some(file) = disk.file(name) {
                file.durable = file.now.clone();
            }
        })
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.change(|disk| {
            let mut names = disk.now();
            if let Some(file) = names.remove(from) {
                names.insert(to.to_string(), file);
            }
            disk.names.push(names);
        })
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.change(|disk| {
            let names = disk.now();
            disk.names = vec![names];
        })
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.change(|disk| {
            if let Some(file) = disk.file(name) {
                file.now.extend_from_slice(bytes);
            }
        })
    }

    fn cut(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.change(|disk| {
            if let Some(file) = disk.file(name) {
                file.now.truncate(len as usize);
            }
        })
    }

    fn reserve(&mut self, _name: &str, _from: u64, _bytes: u64) -> io::Result<()> {
        self.change(|_| ())
    }
}
