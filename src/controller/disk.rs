//! What the metadata log asks of a disk. The second implementation is a disk in memory that loses power
//! (`simulation`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{fallocate, FallocateFlags};

/// The directory of the metadata log, by names of files in it.
pub trait MetadataDisk {
    /// The whole content of a file; none where it is not there.
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// A new file, or the old one's content gone; not durable.
    fn create(&mut self, name: &str, content: &[u8]) -> io::Result<()>;
    /// Makes a file's content durable, and all of its length.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// Puts a file in the place of another; not durable.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Makes names durable.
    fn sync_names(&mut self) -> io::Result<()>;
    /// Adds to a file's end; not durable.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a file.
    fn cut(&mut self, name: &str, len: u64) -> io::Result<()>;
    /// Keeps space from `from` on, behind the file's end.
    fn reserve(&mut self, name: &str, from: u64, bytes: u64) -> io::Result<()>;
}

/// A directory of this machine. The file that is appended to stays open.
#[derive(Debug)]
pub struct RealDisk {
    dir: PathBuf,
    open: Option<(String, File)>,
}

impl RealDisk {
    pub fn new(dir: &Path) -> RealDisk {
        RealDisk { dir: dir.to_path_buf(), open: None }
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        let open = match self.open.take() {
            Some((of, file)) if of == name => (of, file),
            _ => {
                let file = OpenOptions::new().append(true).open(self.dir.join(name))?;
                (name.to_string(), file)
            }
        };
        Ok(&mut self.open.insert(open).1)
    }
}

impl MetadataDisk for RealDisk {
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.dir.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn create(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut file = File::create(self.dir.join(name))?;
        file.write_all(content)?;
        self.open = Some((name.to_string(), file));
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.open = None;
        fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn sync_names(&mut self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all(bytes)
    }

    fn cut(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.file(name)?.set_len(len)
    }

    fn reserve(&mut self, name: &str, from: u64, bytes: u64) -> io::Result<()> {
        Ok(fallocate(self.file(name)?, FallocateFlags::KEEP_SIZE, from, bytes)?)
    }
}
