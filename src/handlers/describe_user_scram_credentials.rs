//! DescribeUserScramCredentials (key 50), version 0 (KIP-554): which users have passwords, and for which
//! mechanisms. Knowingly missing: users with passwords; so all users are none, and one that is named has
//! none, as on a Kafka where nobody was given one.

use std::collections::BTreeSet;

use kafka_protocol::messages::describe_user_scram_credentials_response::DescribeUserScramCredentialsResult;
use kafka_protocol::messages::{
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
};

use super::repeated::repeated;
use super::RequestContext;
use crate::wire::{ErrorCode, StrBytes};

pub async fn handle(
    _cx: &RequestContext,
    _version: i16,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    // No list and an empty one both mean all users.
    let named = request.users.unwrap_or_default();
    let names: BTreeSet<&StrBytes> = named.iter().map(|user| &user.name).collect();
    let twice = repeated(named.iter().map(|user| &user.name));
    let results = names.into_iter().map(|name| {
        let (code, message) = match twice.contains(name) {
            true => (ErrorCode::DuplicateResource, format!("The user {name} is named twice.")),
            false => (ErrorCode::ResourceNotFound, format!("The user {name} has no password.")),
        };
        DescribeUserScramCredentialsResult::default()
            .with_user(name.clone())
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_string(message)))
    });
    DescribeUserScramCredentialsResponse::default()
        .with_error_message(None)
        .with_results(results.collect())
}
