//! The `corelane` binary: nothing but the command line.

/// Buffers are made on one shard and dropped on another: mimalloc hands such memory back without a
/// lock. (The choice is open; see ARCHITECTURE.md.)
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    std::process::exit(corelane::cli::main());
}
