//! ListConfigResources (key 74), versions 0–1 (KIP-1000, KIP-1142): what has settings. Version 0 is about
//! subscriptions to clients' metrics alone. Knowingly missing: loggers.

use kafka_protocol::messages::list_config_resources_response::ConfigResource;
use kafka_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};

use super::RequestContext;
use crate::metadata::Resource;
use crate::wire::{ErrorCode, StrBytes};

/// All types, in the order in which they are told.
const TYPES: [i8; 5] = [
    Resource::GROUP,
    Resource::CLIENT_METRICS,
    Resource::BROKER_LOGGER,
    Resource::BROKER,
    Resource::TOPIC,
];

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    let asked = &request.resource_types;
    let response = ListConfigResourcesResponse::default();
    if asked.iter().any(|kind| !TYPES.contains(kind)) {
        return response.with_error_code(ErrorCode::UnsupportedVersion.code());
    }
    let wanted = |kind: &i8| match version {
        0 => *kind == Resource::CLIENT_METRICS,
        _ => asked.is_empty() || asked.contains(kind),
    };
    let found = TYPES.into_iter().filter(wanted).flat_map(|kind| {
        names(cx, kind).into_iter().map(move |name| {
            let resource =
                ConfigResource::default().with_resource_name(StrBytes::from_string(name));
            // Version 0 has no types; the default is theirs.
            if version == 0 {
                resource
            } else {
                resource.with_resource_type(kind)
            }
        })
    });
    response.with_config_resources(found.collect())
}

fn names(cx: &RequestContext, kind: i8) -> Vec<String> {
    let image = cx.shard.image();
    match kind {
        Resource::TOPIC => image.topics.keys().map(ToString::to_string).collect(),
        Resource::BROKER => {
            let nodes = cx.shard.advertised.nodes(cx.listener);
            nodes.iter().map(|node| node.id.to_string()).collect()
        }
        kind => {
            let of_kind = image.settings.iter().filter(|(resource, _)| resource.kind() == kind);
            of_kind.map(|(resource, _)| resource.name()).collect()
        }
    }
}
