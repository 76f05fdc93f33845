//! Socket in, O_DIRECT file out.
//!
//! For each connection one thread receives straight into an aligned buffer and others write filled
//! buffers and acknowledge, in order, the frames that ended in them. What arrives while all of
//! them write goes with the next buffer. The stream is written as it is, frame heads included; each
//! buffer is padded to whole blocks and the next begins on a block of its own, so that writes are
//! independent of each other and two can be in flight.

use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{sync_channel, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use anyhow::{anyhow, Result};
use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::aligned::{AlignedBuffer, BLOCK_BYTES};
use super::frames::{push_ack, FrameCounter};
use super::Durability;

/// Larger buffers fall out of the processor's cache between receiving and writing: 4 MiB is slower.
const BUFFER_BYTES: usize = 1 << 20;
/// Writes in flight on one file.
const WRITERS: usize = 2;
/// One for each writer and one that fills.
const BUFFERS: usize = WRITERS + 1;

/// A buffer to be written at an offset of whole blocks.
struct Filled {
    buffer: AlignedBuffer,
    len: usize,
    file_offset: u64,
    /// Counts the buffers of this connection: acknowledgements leave in this order.
    number: u64,
    ended: Vec<[u8; 4]>,
}

/// Serves one connection until the client closes it.
pub fn serve(stream: TcpStream, file: File, durability: Durability) -> Result<()> {
    // No room in the channel: a hand-over succeeds at once only if a writer is idle.
    let (to_writers, filled) = sync_channel::<Filled>(0);
    let (give_back, empty) = sync_channel(BUFFERS);
    for _ in 0..BUFFERS {
        give_back.send(AlignedBuffer::new(BUFFER_BYTES))?;
    }
    let acknowledger = Acknowledger::new(stream.try_clone()?);
    // Only writers hold these two: when the last of them fails, the receiver notices.
    let filled = Arc::new(Mutex::new(filled));
    let writers = vec![(filled, give_back); WRITERS];
    thread::scope(|scope| {
        let writing: Vec<_> = writers
            .into_iter()
            .map(|(filled, give_back)| {
                let (file, acknowledger) = (&file, &acknowledger);
                scope.spawn(move || {
                    let result = write(&filled, &give_back, file, acknowledger, durability);
                    if result.is_err() {
                        acknowledger.fail();
                    }
                    result
                })
            })
            .collect();
        let received = receive(&stream, &to_writers, &empty);
        drop(to_writers);
        for writer in writing {
            writer.join().map_err(|_| anyhow!("a writing thread panicked"))??;
        }
        received
    })
}

fn receive(
    stream: &TcpStream,
    to_writers: &SyncSender<Filled>,
    empty: &Receiver<AlignedBuffer>,
) -> Result<()> {
    let mut frames = FrameCounter::default();
    let mut file_offset = 0;
    let mut number = 0;
    while let Ok(buffer) = empty.recv() {
        let mut filled = Filled { buffer, len: 0, file_offset, number, ended: Vec::new() };
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
            let padded = filled.len.next_multiple_of(BLOCK_BYTES) as u64;
            filled = match hand_over(to_writers, filled, got == 0) {
                HandOver::Done => {
                    file_offset += padded;
                    number += 1;
                    break;
                }
                HandOver::NotYet(filled) => filled,
                HandOver::WritersGone => return Ok(()),
            };
        }
    }
    Ok(())
}

enum HandOver {
    Done,
    NotYet(Filled),
    WritersGone,
}

/// Hands the buffer over if a writer is idle, or waits for one if there is nothing left
/// to receive meanwhile.
fn hand_over(to_writers: &SyncSender<Filled>, filled: Filled, nothing_came: bool) -> HandOver {
    if nothing_came {
        return match to_writers.send(filled) {
            Ok(()) => HandOver::Done,
            Err(_) => HandOver::WritersGone,
        };
    }
    if filled.ended.is_empty() {
        return HandOver::NotYet(filled);
    }
    match to_writers.try_send(filled) {
        Ok(()) => HandOver::Done,
        Err(TrySendError::Full(filled)) => HandOver::NotYet(filled),
        Err(TrySendError::Disconnected(_)) => HandOver::WritersGone,
    }
}

fn write(
    filled: &Mutex<Receiver<Filled>>,
    give_back: &SyncSender<AlignedBuffer>,
    file: &File,
    acknowledger: &Acknowledger,
    durability: Durability,
) -> Result<()> {
    let mut acks = Vec::new();
    loop {
        // The lock is held while waiting: one idle writer waits for a buffer, others for the lock.
        let next = filled.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Filled { mut buffer, len, file_offset, number, ended }) = next else {
            return Ok(());
        };
        let padded = len.next_multiple_of(BLOCK_BYTES);
        buffer.as_mut_slice()[len..padded].fill(0);
        file.write_all_at(&buffer.as_slice()[..padded], file_offset)?;
        if durability == Durability::Fdatasync {
            file.sync_data()?;
        }
        // The receiver may have ended already, and needs no buffer then.
        let _ = give_back.send(buffer);
        acks.clear();
        for id in ended {
            push_ack(&mut acks, id);
        }
        acknowledger.send_in_turn(number, &acks)?;
    }
}

/// Sends acknowledgements in the order of the buffers, whichever writer is done first.
struct Acknowledger {
    /// The stream, the number of the buffer whose turn it is, and whether a writer failed.
    state: Mutex<(TcpStream, u64, bool)>,
    turned: Condvar,
}

impl Acknowledger {
    fn new(stream: TcpStream) -> Self {
        Self { state: Mutex::new((stream, 0, false)), turned: Condvar::new() }
    }

    fn send_in_turn(&self, number: u64, acks: &[u8]) -> Result<()> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self
            .turned
            .wait_while(state, |(_, turn, failed)| *turn != number && !*failed)
            .unwrap_or_else(PoisonError::into_inner);
        let (stream, turn, failed) = &mut *state;
        if *failed {
            return Err(anyhow!("the write before failed"));
        }
        stream.write_all(acks)?;
        *turn += 1;
        self.turned.notify_all();
        Ok(())
    }

    /// Ends the waiting of other writers: their turn will not come.
    fn fail(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.2 = true;
        // The client, which waits for answers, learns of it too.
        let _ = state.0.shutdown(std::net::Shutdown::Both);
        self.turned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::TcpListener;
    use std::time::Duration;

    use super::super::{create_file, frames, Blocks};
    use super::*;
    use crate::connection::Connection;
    use crate::load::{drive, Answers, Request, Work};

    #[test]
    fn file_holds_the_stream_in_order() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = dir.path().join("stream");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let file = create_file(&path, 1 << 20, Durability::Dsync, Blocks::Fallocated).unwrap();
        let serving = thread::spawn(move || {
            serve(listener.accept().unwrap().0, file, Durability::Dsync).unwrap();
        });
        let batch: Arc<[u8]> = (0..10_007u32).map(|i| (i % 255 + 1) as u8).collect();
        let request =
            Request { head: frames::head(batch.len()), batch: Arc::clone(&batch), tail: &[] };
        let connection = Connection::open(&address).unwrap();
        let mut work = vec![Work { connection, requests: vec![request] }];
        let answers = Answers::Each { in_flight: 3, check: frames::check_ack };
        let (tally, _) = drive(&mut work, answers, Duration::from_secs(3600), 500).unwrap();
        drop(work);
        serving.join().unwrap();
        assert_eq!(tally.requests, 500);
        let mut expected = Vec::new();
        for number in 0..500u32 {
            let head = frames::head(batch.len());
            expected.extend_from_slice(&head[..8]);
            expected.extend_from_slice(&number.to_be_bytes());
            expected.extend_from_slice(&batch);
        }
        // Padding is zeros, and may stand anywhere; so compare what is not zero.
        let mut written = fs::read(&path).unwrap();
        written.retain(|&byte| byte != 0);
        expected.retain(|&byte| byte != 0);
        assert!(written == expected, "{} bytes for {}", written.len(), expected.len());
    }
}
