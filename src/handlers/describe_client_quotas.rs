//! DescribeClientQuotas (key 48) and AlterClientQuotas (key 49), versions 0–1 (KIP-546): quotas are kept
//! with the metadata. Knowingly missing: nothing enforces them yet, and names of hosts are not looked up
//! where an address is meant.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use kafka_protocol::messages::{
    alter_client_quotas_response as altered, AlterClientQuotasRequest, AlterClientQuotasResponse,
    DescribeClientQuotasRequest, DescribeClientQuotasResponse,
};

use super::RequestContext;
use crate::controller::{ApiError, QuotaChange};
use crate::metadata::{QuotaEntity, QuotaMatch};
use crate::wire::{ErrorCode, StrBytes};

const TIMEOUT: Duration = Duration::from_secs(30);

pub async fn handle(
    cx: &RequestContext,
    _version: i16,
    request: DescribeClientQuotasRequest,
) -> DescribeClientQuotasResponse {
    let asked = match filter(&request.components) {
        Ok(asked) => asked,
        Err(error) => {
            return DescribeClientQuotasResponse::default()
                .with_error_code(error.code.code())
                .with_error_message(Some(StrBytes::from_string(error.message)))
                .with_entries(None)
        }
    };
    let image = cx.shard.image();
    let entries = image.quotas.find(&asked, request.strict).map(|(entity, quotas)| {
        let entity = entity.iter().map(|(kind, name)| {
            EntityData::default()
                .with_entity_type(StrBytes::from_string(kind.clone()))
                .with_entity_name(name.clone().map(StrBytes::from_string))
        });
        let values = quotas.iter().map(|(key, value)| {
            ValueData::default().with_key(StrBytes::from_string(key.clone())).with_value(*value)
        });
        EntryData::default().with_entity(entity.collect()).with_values(values.collect())
    });
    DescribeClientQuotasResponse::default()
        .with_error_message(None)
        .with_entries(Some(entries.collect()))
}

fn filter(components: &[ComponentData]) -> Result<BTreeMap<String, QuotaMatch>, ApiError> {
    let invalid = |message: String| ApiError::new(ErrorCode::InvalidRequest, message);
    let mut asked = BTreeMap::new();
    for component in components {
        let kind = component.entity_type.to_string();
        if kind.is_empty() {
            return Err(invalid("A kind of entity has a name.".to_string()));
        }
        if asked.contains_key(&kind) {
            return Err(invalid(format!("The kind of entity {kind} is named twice.")));
        }
        if !["user", "client-id", "ip"].contains(&kind.as_str()) {
            let message = format!("There is no kind of entity {kind} with quotas.");
            return Err(ApiError::new(ErrorCode::UnsupportedVersion, message));
        }
        let name = component._match.as_ref().map(ToString::to_string);
        let wanted = match (component.match_type, name) {
            (0, Some(name)) => QuotaMatch::Exactly(Some(name)),
            (1, None) => QuotaMatch::Exactly(None),
            (2, None) => QuotaMatch::Anything,
            (0, None) => return Err(invalid(format!("The name of the {kind} is missing."))),
            (1 | 2, Some(_)) => {
                return Err(invalid(format!("The {kind} is not looked for by its name here.")))
            }
            (other, _) => return Err(invalid(format!("There is no type of match {other}."))),
        };
        asked.insert(kind, wanted);
    }
    if asked.contains_key("ip") && asked.len() > 1 {
        let message = "An ip has quotas by itself, without user or client-id.";
        return Err(invalid(message.to_string()));
    }
    Ok(asked)
}

pub async fn alter(
    cx: &RequestContext,
    _version: i16,
    request: AlterClientQuotasRequest,
) -> AlterClientQuotasResponse {
    let changes: Vec<QuotaChange> = request
        .entries
        .iter()
        .map(|entry| {
            let name = |name: &StrBytes| name.to_string();
            let entity = entry.entity.iter();
            let entity = entity.map(|e| (name(&e.entity_type), e.entity_name.as_ref().map(name)));
            let op = |op: &kafka_protocol::messages::alter_client_quotas_request::OpData| {
                (name(&op.key), (!op.remove).then_some(op.value))
            };
            QuotaChange { entity: entity.collect(), ops: entry.ops.iter().map(op).collect() }
        })
        .collect();
    // Each entity is answered once, as in Kafka.
    let entities: BTreeSet<QuotaEntity> =
        changes.iter().map(|change| change.entity.clone()).collect();
    let asked: Vec<QuotaEntity> = changes.iter().map(|change| change.entity.clone()).collect();
    let results = cx.shard.controller.alter_quotas(changes, request.validate_only, TIMEOUT).await;
    let results: BTreeMap<QuotaEntity, Result<(), ApiError>> = match results {
        Ok(results) => asked.into_iter().zip(results).collect(),
        Err(code) => {
            let late = || Err(ApiError::new(code, "The controller did not answer."));
            entities.into_iter().map(|entity| (entity, late())).collect()
        }
    };
    let entries = results.into_iter().map(|(entity, result)| {
        let entity = entity.into_iter().map(|(kind, name)| {
            altered::EntityData::default()
                .with_entity_type(StrBytes::from_string(kind))
                .with_entity_name(name.map(StrBytes::from_string))
        });
        let answer = altered::EntryData::default().with_entity(entity.collect());
        match result {
            Ok(()) => answer.with_error_message(None),
            Err(error) => answer
                .with_error_code(error.code.code())
                .with_error_message(Some(StrBytes::from_string(error.message))),
        }
    });
    AlterClientQuotasResponse::default().with_entries(entries.collect())
}
