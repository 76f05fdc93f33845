//! What transactions ask of the partitions that this shard owns.

use std::rc::Rc;

use corelane_shards::runtime::spawn_guarded;
use futures_util::future::join_all;

use super::Shard;
use crate::clock::now_ms;
use crate::partition::{markers, MarkerOrder, Outcome};

impl Shard {
    pub(super) fn write_markers(
        self: &Rc<Self>,
        orders: Vec<MarkerOrder>,
        answer: impl FnOnce(Outcome) + 'static,
    ) {
        let shard = Rc::clone(self);
        spawn_guarded(&self.gate, "markers", async move {
            // All are appended before the first is waited for: they share writes.
            let written = orders.iter().map(|order| markers::write(&shard.table, order, now_ms()));
            answer(Outcome::WriteMarkers(join_all(written).await));
        });
    }
}
