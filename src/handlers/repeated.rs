use std::collections::BTreeSet;

use crate::controller::ApiError;
use crate::wire::ErrorCode;

/// The names that come more than once: nothing is done with what they name, and each is answered once.
pub fn repeated<'a, T: Ord + Clone + 'a>(names: impl Iterator<Item = &'a T>) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    names.filter(|name| !seen.insert(*name)).cloned().collect()
}

/// What such a name is answered with.
pub fn named_twice() -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, "The topic is named twice in the request.")
}
