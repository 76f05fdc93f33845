//! What `/proc` and `/sys` say of the machine and of this process's share of it, below a root that tests
//! put their own trees at.

mod memory;
mod nodes;
mod root;

pub use memory::{cgroup_files, cgroup_memory_limit, usable_memory};
pub use nodes::one_memory_node;
pub use root::{chosen, Root};
