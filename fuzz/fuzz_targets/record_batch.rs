//! Any bytes as a producer's record batch, with a right checksum so that the rest is looked at.
//! `cargo +nightly fuzz run -s none record_batch`
#![no_main]

use corelane_shards::log::batch;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = batch::check_produced(data);
    let _ = batch::first_at_or_after(data, 0);
    let mut sealed = data.to_vec();
    if sealed.len() >= batch::BATCH_HEADER_BYTES {
        batch::build::seal(&mut sealed);
        let _ = batch::check_produced(&sealed);
    }
});
