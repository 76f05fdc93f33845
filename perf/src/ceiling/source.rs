//! Memory out to the socket; and the echo.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use anyhow::Result;

use super::frames::HEAD_LEN;
use crate::connection::write_all_parts;

/// More than any processor cache, so that the bytes come from memory as a broker's cache does.
const MEMORY_BYTES: usize = 256 << 20;
/// The largest answer.
pub const LARGEST_ANSWER: u32 = 64 << 20;

/// Answers each request, a frame whose four bytes say how many bytes are wanted, from `memory`.
pub fn serve(mut stream: TcpStream, memory: &[u8]) -> Result<()> {
    let mut request = [0; HEAD_LEN + 4];
    let mut at = 0;
    loop {
        match stream.read_exact(&mut request) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let [.., a, b, c, d] = request;
        let wanted = u32::from_be_bytes([a, b, c, d]).min(LARGEST_ANSWER) as usize;
        if at + wanted > memory.len() {
            at = 0;
        }
        let length = (4 + wanted as u32).to_be_bytes();
        let correlation_id = &request[HEAD_LEN - 4..HEAD_LEN];
        write_all_parts(&mut stream, [&length, correlation_id, &memory[at..at + wanted]])?;
        at += wanted;
    }
}

/// The memory that answers come from: no two pages alike.
pub fn memory() -> Vec<u8> {
    let mut memory = vec![0; MEMORY_BYTES];
    for (number, word) in memory.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&(number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    }
    memory
}

/// Sends back whatever comes.
pub fn echo(mut stream: TcpStream) -> Result<()> {
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes)? {
            0 => return Ok(()),
            len => stream.write_all(&bytes[..len])?,
        }
    }
}
