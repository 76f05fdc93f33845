//! UnregisterBroker (key 64), version 0 (KIP-500): no broker is registered but this one, which cannot
//! be spared.

use kafka_protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};

use super::RequestContext;
use crate::wire::{ErrorCode, StrBytes};

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: UnregisterBrokerRequest,
) -> UnregisterBrokerResponse {
    let id = request.broker_id.0;
    let ours = cx.shard.advertised.nodes(cx.listener).iter().any(|node| node.id == id);
    let (code, message) = match ours {
        true => {
            let message = format!("Broker {id} is running and the only one: stop it instead.");
            (ErrorCode::InvalidRequest, message)
        }
        false => (ErrorCode::BrokerIdNotRegistered, format!("Broker {id} is not registered.")),
    };
    UnregisterBrokerResponse::default()
        .with_error_code(code.code())
        .with_error_message(Some(StrBytes::from_string(message)))
}
