//! The `corelane` binary: nothing but the command line.

mod allocator;

fn main() {
    allocator::keep_freed();
    std::process::exit(corelane::cli::main());
}
