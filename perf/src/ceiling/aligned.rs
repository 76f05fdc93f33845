//! Memory that direct I/O accepts.

/// Addresses, lengths and file offsets of direct writes are multiples of this.
pub const BLOCK_BYTES: usize = 4096;

/// A zeroed buffer whose first byte lies on a block boundary.
#[derive(Debug)]
pub struct AlignedBuffer {
    memory: Vec<u8>,
    from: usize,
    len: usize,
}

impl AlignedBuffer {
    /// A buffer of `len` bytes, rounded up to whole blocks.
    pub fn new(len: usize) -> Self {
        let len = len.next_multiple_of(BLOCK_BYTES);
        // The vector never grows, so its memory stays where it is.
        let memory = vec![0; len + BLOCK_BYTES];
        let from = memory.as_ptr().align_offset(BLOCK_BYTES);
        Self { memory, from, len }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.memory[self.from..self.from + self.len]
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.memory[self.from..self.from + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_byte_lies_on_a_block_boundary_and_the_length_is_whole_blocks() {
        for len in [1, BLOCK_BYTES, BLOCK_BYTES + 1, 1 << 20] {
            let mut buffer = AlignedBuffer::new(len);
            assert_eq!(buffer.as_slice().as_ptr() as usize % BLOCK_BYTES, 0);
            assert_eq!(buffer.as_mut_slice().len(), len.next_multiple_of(BLOCK_BYTES));
        }
    }
}
