//! Which file of a journal is written next, and which may be written over: a pure state machine.

/// What the journal has to do before the next frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// Write at `position` of `file`.
    Here { file: usize, position: u64, generation: u64, sequence: u64 },
    /// No file has room: make one more, and tell [`JournalFiles::made`].
    NewFile { file: usize },
    /// As many files as are allowed wait for their logs: do without the journal for now.
    Congested,
}

/// See the module's head.
pub struct JournalFiles {
    file_bytes: u64,
    /// Per file what its logs still need: waiting files are written over when they are empty.
    files: Vec<Use>,
    active: Option<usize>,
    next_generation: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Free,
    Active {
        generation: u64,
        position: u64,
        sequence: u64,
    },
    /// Full: its logs write out what it holds.
    Waiting,
}

/// Files at most: one is written, the others wait for slow logs.
const MAX_FILES: usize = 4;
/// Logs of a waiting file that are written out at once, at least: together they share the commits of
/// the file system's own journal; and at most, so that they do not flood the disk.
const LEAST_WRITE_OUTS: usize = 8;
const MOST_WRITE_OUTS: usize = 64;

impl JournalFiles {
    /// `first_generation` must be higher than any that a file there has.
    pub fn new(file_bytes: u64, first_generation: u64) -> Self {
        JournalFiles {
            file_bytes,
            files: Vec::new(),
            active: None,
            next_generation: first_generation,
        }
    }

    /// Where a frame of `len` bytes goes.
    pub fn place(&mut self, len: u64) -> Place {
        if let Some(file) = self.active {
            if let Use::Active { generation, position, sequence } = self.files[file] {
                if position + len <= self.file_bytes {
                    return Place::Here { file, position, generation, sequence };
                }
            }
            return Place::Congested; // the caller retires it first
        }
        if let Some(file) = self.files.iter().position(|state| *state == Use::Free) {
            let generation = self.next_generation;
            self.next_generation += 1;
            self.files[file] = Use::Active { generation, position: 0, sequence: 0 };
            self.active = Some(file);
            return Place::Here { file, position: 0, generation, sequence: 0 };
        }
        match self.files.len() {
            MAX_FILES => Place::Congested,
            file => Place::NewFile { file },
        }
    }

    /// Whether a frame of `len` bytes has no room in the file that is being written.
    pub fn is_full(&self, len: u64) -> bool {
        let active = self.active.map(|file| self.files[file]);
        matches!(active, Some(Use::Active { position, .. }) if position + len > self.file_bytes)
    }

    /// How many logs of a waiting file are written out at once. Frames that are written meanwhile
    /// feel them, so they are few until half of the next file is full; then more and more, so that
    /// the journal need not be done without.
    pub fn write_outs(&self) -> usize {
        let waiting = self.files.iter().filter(|state| **state == Use::Waiting).count();
        let filled = match self.active.map(|file| self.files[file]) {
            Some(Use::Active { position, .. }) if waiting < 2 => position,
            _ => self.file_bytes,
        };
        let half = self.file_bytes / 2;
        let more = (MOST_WRITE_OUTS - LEAST_WRITE_OUTS) as u64;
        let beyond = filled.saturating_sub(half).min(half) * more / half.max(1);
        LEAST_WRITE_OUTS + beyond as usize
    }

    /// A new file is there.
    pub fn made(&mut self) {
        self.files.push(Use::Free);
    }

    /// A frame of `len` bytes has been written where [`JournalFiles::place`] said.
    pub fn written(&mut self, file: usize, len: u64) {
        if let Use::Active { position, sequence, .. } = &mut self.files[file] {
            *position += len;
            *sequence += 1;
        }
    }

    /// Takes the active file out of use; it waits until [`JournalFiles::free`].
    pub fn retire(&mut self) -> Option<usize> {
        let file = self.active.take()?;
        self.files[file] = Use::Waiting;
        Some(file)
    }

    /// Everything in `file` has reached its segments.
    pub fn free(&mut self, file: usize) {
        self.files[file] = Use::Free;
    }

    /// Size of each file.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_in_turn_and_never_while_they_wait() {
        let mut files = JournalFiles::new(100, 5);
        assert_eq!(files.place(60), Place::NewFile { file: 0 });
        files.made();
        let first = Place::Here { file: 0, position: 0, generation: 5, sequence: 0 };
        assert_eq!(files.place(60), first);
        files.written(0, 60);
        let second = Place::Here { file: 0, position: 60, generation: 5, sequence: 1 };
        assert_eq!(files.place(40), second);
        assert!(files.is_full(41) && !files.is_full(40));
        for file in 0..MAX_FILES {
            assert_eq!(files.retire(), Some(file));
            if file + 1 < MAX_FILES {
                assert_eq!(files.place(10), Place::NewFile { file: file + 1 });
                files.made();
                assert!(matches!(files.place(10), Place::Here { position: 0, .. }));
            }
        }
        assert_eq!(files.place(10), Place::Congested);
        files.free(2);
        let again = Place::Here { file: 2, position: 0, generation: 9, sequence: 0 };
        assert_eq!(files.place(10), again);
    }

    #[test]
    fn logs_are_written_out_faster_the_less_room_is_left() {
        let mut files = JournalFiles::new(100, 5);
        let fill = |files: &mut JournalFiles, to: u64| {
            while let Place::NewFile { .. } = files.place(1) {
                files.made();
            }
            let Place::Here { file, position, .. } = files.place(1) else { panic!("no room") };
            files.written(file, to - position);
        };
        fill(&mut files, 100);
        files.retire();
        let mut at_once = Vec::new();
        for filled in [10, 50, 75, 100] {
            fill(&mut files, filled);
            at_once.push(files.write_outs());
        }
        assert_eq!(at_once, [8, 8, 36, 64]);
        files.retire();
        fill(&mut files, 10);
        assert_eq!(files.write_outs(), 64, "two files wait");
        files.free(0);
        assert_eq!(files.write_outs(), 8);
    }
}
