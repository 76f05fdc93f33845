//! FindCoordinator (key 10), versions 0–6. There are no coordinators yet: every key is answered
//! COORDINATOR_NOT_AVAILABLE, which clients take as "later".

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use super::RequestContext;
use crate::wire::{ErrorCode, StrBytes};

const WHY: &str = "consumer groups and transactions are not served by this broker yet";

pub async fn handle(
    _cx: &RequestContext,
    version: i16,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let code = ErrorCode::CoordinatorNotAvailable.code();
    let message = Some(StrBytes::from_static_str(WHY));
    if version < 4 {
        return FindCoordinatorResponse::default()
            .with_error_code(code)
            .with_error_message(message.filter(|_| version >= 1))
            .with_node_id(BrokerId(-1))
            .with_port(-1);
    }
    let answer = |key: StrBytes| {
        Coordinator::default()
            .with_key(key)
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(code)
            .with_error_message(message.clone())
    };
    let coordinators = request.coordinator_keys.into_iter().map(answer).collect();
    FindCoordinatorResponse::default().with_coordinators(coordinators)
}
