//! Memory, or the disk, out to the socket; and the echo.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use anyhow::Result;

use super::aligned::{AlignedBuffer, BLOCK_BYTES};
use super::frames::HEAD_LEN;
use crate::connection::write_all_parts;

/// More than any processor cache, so that the bytes come from memory as a broker's cache does.
const MEMORY_BYTES: usize = 256 << 20;
/// The largest answer.
pub const LARGEST_ANSWER: u32 = 64 << 20;

type Request = [u8; HEAD_LEN + 4];

/// The next request, a frame whose four bytes say how many bytes are wanted; `None` at the end.
fn next_request(stream: &mut TcpStream) -> Result<Option<(Request, usize)>> {
    let mut request = [0; HEAD_LEN + 4];
    match stream.read_exact(&mut request) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let [.., a, b, c, d] = request;
    Ok(Some((request, u32::from_be_bytes([a, b, c, d]).min(LARGEST_ANSWER) as usize)))
}

fn answer(stream: &mut TcpStream, request: &Request, bytes: &[u8]) -> io::Result<()> {
    let length = (4 + bytes.len() as u32).to_be_bytes();
    write_all_parts(stream, [&length, &request[HEAD_LEN - 4..HEAD_LEN], bytes])
}

/// Answers each request from `memory`.
pub fn serve(mut stream: TcpStream, memory: &[u8]) -> Result<()> {
    let mut at = 0;
    while let Some((request, wanted)) = next_request(&mut stream)? {
        if at + wanted > memory.len() {
            at = 0;
        }
        answer(&mut stream, &request, &memory[at..at + wanted])?;
        at += wanted;
    }
    Ok(())
}

/// Answers requests, all for as many bytes, from `file`, which is read ahead by a thread.
pub fn serve_file(mut stream: TcpStream, file: File) -> Result<()> {
    let Some((mut request, wanted)) = next_request(&mut stream)? else { return Ok(()) };
    let (filled, ready) = mpsc::sync_channel(1);
    let (used, free) = mpsc::channel();
    for _ in 0..3 {
        used.send(AlignedBuffer::new(wanted))?;
    }
    let size = file.metadata()?.len();
    thread::spawn(move || {
        let mut at = 0;
        for mut buffer in free {
            if at + buffer.len() as u64 > size {
                at = 0;
            }
            let read = file.read_exact_at(buffer.as_mut_slice(), at).map(|()| buffer);
            at += wanted.next_multiple_of(BLOCK_BYTES) as u64;
            if filled.send(read).is_err() {
                return;
            }
        }
    });
    loop {
        let buffer = ready.recv()??;
        answer(&mut stream, &request, &buffer.as_slice()[..wanted])?;
        used.send(buffer)?;
        match next_request(&mut stream)? {
            Some((next, _)) => request = next,
            None => return Ok(()),
        }
    }
}

/// A file of `bytes`, durably on the disk, to be read directly.
pub fn file(path: &Path, bytes: u64, memory: &[u8]) -> io::Result<File> {
    let writing = File::create(path)?;
    let mut at = 0;
    while at < bytes {
        let len = (bytes - at).min(memory.len() as u64);
        writing.write_all_at(&memory[..len as usize], at)?;
        at += len;
    }
    writing.sync_all()?;
    OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path)
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
