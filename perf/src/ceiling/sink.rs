//! Socket in, O_DIRECT file out.
//!
//! Two threads for each connection: one receives straight into an aligned buffer, the other writes
//! the last buffer and acknowledges the frames that ended in it. What arrives during a write is
//! written with the next one. The stream is written as it is, frame heads included; a last block
//! that is not full is padded, and written again with the next buffer.

use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{sync_channel, Receiver, SyncSender, TrySendError};
use std::thread;

use anyhow::{anyhow, Result};
use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::aligned::{AlignedBuffer, BLOCK_BYTES};
use super::frames::{push_ack, FrameCounter};
use super::Durability;

/// Large enough for four of the largest batches: beyond 1 MiB writes gain little.
const BUFFER_BYTES: usize = 4 << 20;
/// One that fills, one that is written, one on its way between them.
const BUFFERS: usize = 3;

/// A buffer to be written at an offset of whole blocks.
struct Filled {
    buffer: AlignedBuffer,
    len: usize,
    file_offset: u64,
    ended: Vec<[u8; 4]>,
}

/// Serves one connection until the client closes it.
pub fn serve(stream: TcpStream, file: File, durability: Durability) -> Result<()> {
    // No room in the channel: a hand-over succeeds at once only if the writer is idle.
    let (to_writer, filled) = sync_channel::<Filled>(0);
    let (give_back, empty) = sync_channel(BUFFERS);
    for _ in 0..BUFFERS {
        give_back.send(AlignedBuffer::new(BUFFER_BYTES))?;
    }
    let answers = stream.try_clone()?;
    thread::scope(|scope| {
        let writing = scope.spawn(move || write(filled, &give_back, &file, answers, durability));
        let received = receive(&stream, &to_writer, &empty);
        drop(to_writer);
        writing.join().map_err(|_| anyhow!("the writing thread panicked"))??;
        received
    })
}

fn receive(
    stream: &TcpStream,
    to_writer: &SyncSender<Filled>,
    empty: &Receiver<AlignedBuffer>,
) -> Result<()> {
    let mut frames = FrameCounter::default();
    let mut last_block = [0; BLOCK_BYTES];
    let mut carried = 0;
    let mut file_offset = 0;
    // The writer keeps the sending half for as long as it lives.
    while let Ok(mut buffer) = empty.recv() {
        buffer.as_mut_slice()[..carried].copy_from_slice(&last_block[..carried]);
        let mut filled = Filled { buffer, len: carried, file_offset, ended: Vec::new() };
        loop {
            let may_wait = filled.ended.is_empty() && filled.len < filled.buffer.len();
            let flags = if may_wait { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
            let room = &mut filled.buffer.as_mut_slice()[filled.len..];
            let got = match rustix::net::recv(stream, &mut *room, flags) {
                _ if room.is_empty() => 0,
                Ok((0, _)) if filled.ended.is_empty() => return Ok(()),
                Ok((got, _)) => got,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => 0,
                Err(error) => return Err(error.into()),
            };
            frames.advance(&room[..got], &mut filled.ended)?;
            filled.len += got;
            carried = filled.len % BLOCK_BYTES;
            let whole = filled.len - carried;
            last_block[..carried].copy_from_slice(&filled.buffer.as_slice()[whole..filled.len]);
            file_offset = filled.file_offset + whole as u64;
            let nothing_came = got == 0;
            filled = match hand_over(to_writer, filled, nothing_came) {
                HandOver::Done => break,
                HandOver::NotYet(filled) => filled,
                HandOver::WriterGone => return Ok(()),
            };
        }
    }
    Ok(())
}

enum HandOver {
    Done,
    NotYet(Filled),
    WriterGone,
}

/// Hands the buffer over if the writer is idle, or waits for the writer if there is nothing left
/// to receive meanwhile.
fn hand_over(to_writer: &SyncSender<Filled>, filled: Filled, nothing_came: bool) -> HandOver {
    if nothing_came {
        return match to_writer.send(filled) {
            Ok(()) => HandOver::Done,
            Err(_) => HandOver::WriterGone,
        };
    }
    if filled.ended.is_empty() {
        return HandOver::NotYet(filled);
    }
    match to_writer.try_send(filled) {
        Ok(()) => HandOver::Done,
        Err(TrySendError::Full(filled)) => HandOver::NotYet(filled),
        Err(TrySendError::Disconnected(_)) => HandOver::WriterGone,
    }
}

fn write(
    filled: Receiver<Filled>,
    give_back: &SyncSender<AlignedBuffer>,
    file: &File,
    mut answers: TcpStream,
    durability: Durability,
) -> Result<()> {
    let mut acks = Vec::new();
    for Filled { mut buffer, len, file_offset, ended } in filled {
        let padded = len.next_multiple_of(BLOCK_BYTES);
        buffer.as_mut_slice()[len..padded].fill(0);
        file.write_all_at(&buffer.as_slice()[..padded], file_offset)?;
        if durability == Durability::Fdatasync {
            file.sync_data()?;
        }
        acks.clear();
        for id in ended {
            push_ack(&mut acks, id);
        }
        answers.write_all(&acks)?;
        // The receiver may have ended already, and needs no buffer then.
        let _ = give_back.send(buffer);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::{create_file, frames, Blocks};
    use super::*;
    use crate::connection::Connection;
    use crate::load::{drive, Answers, Request, Work};

    #[test]
    fn file_holds_the_stream_byte_for_byte() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = dir.path().join("stream");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let file = create_file(&path, 1 << 20, Durability::Dsync, Blocks::Fallocated).unwrap();
        let serving = thread::spawn(move || {
            serve(listener.accept().unwrap().0, file, Durability::Dsync).unwrap();
        });
        let batch: Arc<[u8]> = (0..10_007u32).map(|i| i as u8).collect();
        let request =
            Request { head: frames::head(batch.len()), batch: Arc::clone(&batch), tail: &[] };
        let connection = Connection::open(&address).unwrap();
        let mut work = vec![Work { connection, requests: vec![request] }];
        let answers = Answers::Each { in_flight: 3, check: frames::check_ack };
        let (tally, _) = drive(&mut work, answers, Duration::from_secs(3600), 500).unwrap();
        drop(work);
        serving.join().unwrap();
        assert_eq!(tally.requests, 500);
        let written = fs::read(&path).unwrap();
        for (number, frame) in written.chunks(frames::HEAD_LEN + batch.len()).take(500).enumerate()
        {
            assert_eq!(frame[8..12], (number as u32).to_be_bytes());
            assert_eq!(&frame[frames::HEAD_LEN..], &batch[..], "frame {number}");
        }
    }
}
