//! DescribeConfigs (key 32), versions 1–4, as far as clients need it to connect and to look at
//! topics: every topic setting with its source, and the broker's own settings that clients read.

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::RequestContext;
use crate::config::setting::Setting;
use crate::config::{topic as topics, TopicConfig};
use crate::wire::{ErrorCode, StrBytes};

const RESOURCE_TOPIC: i8 = 2;
const RESOURCE_BROKER: i8 = 4;
/// Where a value comes from (KIP-226).
const SOURCE_TOPIC: i8 = 1;
const SOURCE_STATIC: i8 = 4;
const SOURCE_DEFAULT: i8 = 5;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let (synonyms, docs) =
        (request.include_synonyms, request.include_documentation && version >= 3);
    let results = request.resources.iter().map(|resource| {
        let described = match resource.resource_type {
            RESOURCE_TOPIC => topic(cx, resource, version, synonyms, docs),
            RESOURCE_BROKER => broker(cx, resource),
            other => Err((
                ErrorCode::InvalidRequest,
                format!("Configurations of resource type {other} are not kept here."),
            )),
        };
        let result = DescribeConfigsResult::default()
            .with_error_message(None)
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match described {
            Ok(configs) => result.with_configs(configs),
            Err((code, message)) => result
                .with_error_code(code.code())
                .with_error_message(Some(StrBytes::from_string(message))),
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

type Described = Result<Vec<DescribeConfigsResourceResult>, (ErrorCode, String)>;

fn wanted(resource: &DescribeConfigsResource, name: &str) -> bool {
    let keys = resource.configuration_keys.as_ref();
    keys.is_none_or(|keys| keys.iter().any(|key| key.as_str() == name))
}

fn topic(
    cx: &RequestContext,
    resource: &DescribeConfigsResource,
    version: i16,
    synonyms: bool,
    docs: bool,
) -> Described {
    let image = cx.shard.image();
    let name = &resource.resource_name;
    if let Err(why) = crate::metadata::TopicName::parse(name) {
        return Err((ErrorCode::InvalidTopicException, why));
    }
    let topic = image.by_name(name).ok_or_else(|| {
        (ErrorCode::UnknownTopicOrPartition, format!("The topic '{name}' does not exist."))
    })?;
    let keys = topics::SETTINGS.iter().filter(|key| wanted(resource, key.name));
    let describe = |key| one(key, &topic.overrides, version, synonyms, docs);
    Ok(keys.map(describe).collect())
}

fn one(
    key: &Setting<TopicConfig>,
    overrides: &BTreeMap<String, String>,
    version: i16,
    synonyms: bool,
    docs: bool,
) -> DescribeConfigsResourceResult {
    let own = overrides.get(key.name);
    let value = own.cloned().unwrap_or_else(|| key.default.unwrap_or_default().to_string());
    let synonym = |name: &'static str, value: &str, source| {
        DescribeConfigsSynonym::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(Some(StrBytes::from_string(value.to_string())))
            .with_source(source)
    };
    let mut all = Vec::new();
    if synonyms {
        all.extend(own.map(|value| synonym(key.name, value, SOURCE_TOPIC)));
        all.push(synonym(
            topics::synonyms(key.name).first().unwrap_or(&key.name),
            key.default.unwrap_or_default(),
            SOURCE_DEFAULT,
        ));
    }
    let result = DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(key.name))
        .with_value(Some(StrBytes::from_string(value)))
        .with_config_source(if own.is_some() { SOURCE_TOPIC } else { SOURCE_DEFAULT })
        .with_synonyms(all);
    match version {
        0..=2 => result,
        _ => result
            .with_config_type(key.kind as i8)
            .with_documentation(docs.then(|| StrBytes::from_static_str(key.doc))),
    }
}

fn broker(cx: &RequestContext, resource: &DescribeConfigsResource) -> Described {
    let config = &cx.shard.config;
    let nodes = cx.shard.advertised.nodes(cx.listener);
    let known = resource.resource_name.parse::<i32>();
    if !resource.resource_name.is_empty() && !nodes.iter().any(|n| Ok(n.id) == known) {
        let message = format!("Unexpected broker id: {}", resource.resource_name.as_str());
        return Err((ErrorCode::InvalidRequest, message));
    }
    let dirs: Vec<String> = config.log_dirs.iter().map(|d| d.display().to_string()).collect();
    let settings = [
        ("node.id", config.node_id.to_string()),
        ("log.dirs", dirs.join(",")),
        ("num.partitions", config.num_partitions.to_string()),
        ("default.replication.factor", config.default_replication_factor.to_string()),
        ("auto.create.topics.enable", config.auto_create_topics.to_string()),
        ("message.max.bytes", config.topic_defaults.max_message_bytes.to_string()),
        ("socket.request.max.bytes", config.socket_request_max_bytes.to_string()),
        ("fetch.max.bytes", config.fetch_max_bytes.to_string()),
    ];
    let described =
        settings.into_iter().filter(|(name, _)| wanted(resource, name)).map(|(name, value)| {
            DescribeConfigsResourceResult::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(Some(StrBytes::from_string(value)))
                .with_read_only(true)
                .with_config_source(SOURCE_STATIC)
        });
    Ok(described.collect())
}
