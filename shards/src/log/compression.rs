//! The four codecs that producers compress a batch's records with, read as streams, so that
//! memory does not grow with what a batch claims to hold.

use std::io::{self, Cursor, Read, Write};

use super::batch::Codec;

/// Snappy's framing by snappy-java, which Kafka's own clients use: this, two version numbers, and
/// then blocks, each after its length in four bytes.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER_BYTES: usize = 16;
const XERIAL_BLOCK_BYTES: usize = 32 << 10;
/// The largest block of snappy that is undone at once: it has to be as a whole.
const MAX_SNAPPY_BLOCK: usize = 128 << 20;

/// The records of a batch, read through its codec.
///
/// # Errors
/// The bytes do not begin as the codec's do. Reading fails where they go on otherwise.
pub fn decompressed<'a>(codec: Codec, bytes: &'a [u8]) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match codec {
        Codec::None => Box::new(bytes),
        Codec::Gzip => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
        Codec::Snappy => match bytes.strip_prefix(XERIAL_MAGIC) {
            Some(_) => Box::new(Xerial::new(bytes)),
            None => Box::new(Cursor::new(snappy_block(bytes)?)),
        },
        Codec::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(bytes)),
        Codec::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(bytes)?),
    })
}

/// Records compressed as Kafka's own clients do.
///
/// # Errors
/// None in practice: memory is written to.
pub fn compressed(codec: Codec, records: &[u8]) -> io::Result<Vec<u8>> {
    match codec {
        Codec::None => Ok(records.to_vec()),
        Codec::Gzip => {
            let level = flate2::Compression::default();
            let mut out = flate2::write::GzEncoder::new(Vec::new(), level);
            out.write_all(records)?;
            out.finish()
        }
        Codec::Snappy => xerial(records),
        Codec::Lz4 => {
            let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
            out.write_all(records)?;
            out.finish().map_err(io::Error::other)
        }
        Codec::Zstd => zstd::encode_all(records, zstd::DEFAULT_COMPRESSION_LEVEL),
    }
}

fn xerial(records: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = [XERIAL_MAGIC, &1u32.to_be_bytes(), &1u32.to_be_bytes()].concat();
    for block in records.chunks(XERIAL_BLOCK_BYTES) {
        let block = snap::raw::Encoder::new().compress_vec(block).map_err(io::Error::other)?;
        out.extend((block.len() as u32).to_be_bytes());
        out.extend(block);
    }
    Ok(out)
}

fn snappy_block(block: &[u8]) -> io::Result<Vec<u8>> {
    let len = snap::raw::decompress_len(block).map_err(io::Error::other)?;
    if len > MAX_SNAPPY_BLOCK {
        return Err(io::Error::other(format!("a snappy block of {len} bytes")));
    }
    snap::raw::Decoder::new().decompress_vec(block).map_err(io::Error::other)
}

/// Blocks of snappy-java's framing, one after the other.
struct Xerial<'a> {
    rest: &'a [u8],
    block: Cursor<Vec<u8>>,
}

impl<'a> Xerial<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let rest = bytes.get(XERIAL_HEADER_BYTES..).unwrap_or_default();
        Xerial { rest, block: Cursor::default() }
    }
}

impl Read for Xerial<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.block.read(out)?;
            if read > 0 || out.is_empty() || self.rest.is_empty() {
                return Ok(read);
            }
            let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
            let (len, rest) = self.rest.split_first_chunk::<4>().ok_or_else(cut)?;
            let block = rest.get(..u32::from_be_bytes(*len) as usize).ok_or_else(cut)?;
            self.rest = &rest[block.len()..];
            self.block = Cursor::new(snappy_block(block)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> Vec<u8> {
        (0..50_000u32).flat_map(|n| n.to_string().into_bytes()).collect()
    }

    fn undone(codec: Codec, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        decompressed(codec, bytes)?.read_to_end(&mut out)?;
        Ok(out)
    }

    fn all_compressed() -> Vec<(Codec, Vec<u8>)> {
        let text = text();
        let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
        let ours = |codec| (codec, compressed(codec, &text).expect("compresses"));
        let mut all: Vec<_> = codecs.map(ours).into();
        // librdkafka's: one block without framing.
        all.push((Codec::Snappy, snap::raw::Encoder::new().compress_vec(&text).expect("one")));
        all
    }

    #[test]
    fn every_codec_gives_back_what_was_compressed() {
        for (codec, bytes) in all_compressed() {
            assert_eq!(undone(codec, &bytes).expect("is undone"), text(), "{codec:?}");
        }
    }

    #[test]
    fn cut_and_damaged_bytes_are_errors_or_other_bytes_never_panics() {
        for (codec, bytes) in all_compressed() {
            for at in (0..bytes.len()).step_by(bytes.len() / 200) {
                let _ = undone(codec, &bytes[..at]);
                let mut damaged = bytes.clone();
                damaged[at] ^= 0x55;
                let _ = undone(codec, &damaged);
            }
        }
        let bomb = [&[0xff; 4][..], &[0x0f]].concat();
        assert!(undone(Codec::Snappy, &bomb).is_err(), "four gigabytes are not reserved");
    }
}
