//! DescribeConfigs (key 32), versions 1–4: settings of topics, of brokers (one, or what is set for all),
//! of groups and of subscriptions to clients' metrics, each with its source and synonyms (KIP-226), type
//! and documentation. Knowingly missing: levels of loggers.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::alter_configs::NO_LOGGERS;
use super::RequestContext;
use crate::config::layers::{client_metrics, Described, Layers, Values};
use crate::config::BrokerConfig;
use crate::metadata::{Resource, Settings, TopicName};
use crate::wire::{ErrorCode, StrBytes};

/// A broker has ten times as many settings as what is reckoned for an answer's entry.
const MOST_BROKERS: usize = 64;

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let (synonyms, docs) =
        (request.include_synonyms, request.include_documentation && version >= 3);
    let mut brokers = 0;
    let results = request.resources.iter().map(|resource| {
        brokers += usize::from(resource.resource_type == Resource::BROKER);
        let result = DescribeConfigsResult::default()
            .with_error_message(Some(StrBytes::default()))
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        let described = match brokers > MOST_BROKERS {
            true => {
                let message = format!("One request may name {MOST_BROKERS} brokers at most.");
                Err((ErrorCode::InvalidRequest, message))
            }
            false => described(cx, resource),
        };
        match described {
            Ok(configs) => {
                let configs = configs.into_iter().filter(|one| wanted(resource, one.name));
                let tell = |one| told(one, version, synonyms, docs);
                result.with_configs(configs.map(tell).collect())
            }
            Err((code, message)) => result
                .with_error_code(code.code())
                .with_error_message(Some(StrBytes::from_string(message))),
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

/// All settings of a topic that has `own`, as a client is told them.
pub(super) fn of_topic(cx: &RequestContext, own: &Values) -> Vec<Described> {
    let (image, config) = (cx.shard.image(), cx.shard.config());
    layers(&image.settings, &config).topic(own)
}

fn layers<'a>(settings: &'a Settings, config: &'a BrokerConfig) -> Layers<'a> {
    Layers {
        own: settings.get(&Resource::Broker(config.node_id)),
        all: settings.get(&Resource::AllBrokers),
        stated: &config.stated,
    }
}

fn wanted(resource: &DescribeConfigsResource, name: &str) -> bool {
    let keys = resource.configuration_keys.as_ref();
    // None at all means all, as in Kafka.
    keys.is_none_or(|keys| keys.is_empty() || keys.iter().any(|key| key.as_str() == name))
}

fn described(
    cx: &RequestContext,
    resource: &DescribeConfigsResource,
) -> Result<Vec<Described>, (ErrorCode, String)> {
    let (image, config) = (cx.shard.image(), cx.shard.config());
    let settings = &image.settings;
    let layers = layers(settings, &config);
    let name = resource.resource_name.as_str();
    let wrong = |message: String| (ErrorCode::InvalidRequest, message);
    match resource.resource_type {
        Resource::TOPIC => {
            TopicName::parse(name).map_err(|why| (ErrorCode::InvalidTopicException, why))?;
            let topic = image.by_name(name).ok_or_else(|| {
                (ErrorCode::UnknownTopicOrPartition, format!("The topic '{name}' does not exist."))
            })?;
            Ok(layers.topic(&topic.overrides))
        }
        Resource::BROKER if name.is_empty() => Ok(layers.all_brokers()),
        Resource::BROKER => {
            let id: i32 = name
                .parse()
                .map_err(|_| wrong(format!("Broker id must be an integer, but it is: {name}")))?;
            match cx.is_us(id) {
                true => Ok(layers.broker()),
                false => Err(wrong(format!(
                    "Unexpected broker id, expected {} or empty string, but received {id}",
                    config.node_id
                ))),
            }
        }
        Resource::GROUP if name.is_empty() => Err(wrong("Group name must not be empty".into())),
        Resource::GROUP => Ok(layers.group(settings.get(&Resource::Group(name.to_string())))),
        Resource::CLIENT_METRICS if name.is_empty() => {
            Err(wrong("Client metrics subscription name must not be empty".into()))
        }
        Resource::CLIENT_METRICS => {
            Ok(client_metrics(settings.get(&Resource::ClientMetrics(name.to_string()))))
        }
        Resource::BROKER_LOGGER => Err(wrong(NO_LOGGERS.into())),
        other => Err(wrong(format!("Unsupported resource type: {other}"))),
    }
}

fn told(one: Described, version: i16, synonyms: bool, docs: bool) -> DescribeConfigsResourceResult {
    let text = |value: String| Some(StrBytes::from_string(value));
    let all = one.synonyms.into_iter().filter(|_| synonyms).map(|synonym| {
        DescribeConfigsSynonym::default()
            .with_name(StrBytes::from_static_str(synonym.name))
            .with_value(text(synonym.value))
            .with_source(synonym.source as i8)
    });
    let result = DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(one.name))
        .with_value(one.value.and_then(text))
        .with_read_only(one.read_only)
        .with_is_sensitive(one.sensitive)
        .with_config_source(one.source as i8)
        .with_synonyms(all.collect());
    match version {
        0..=2 => result,
        _ => result
            .with_config_type(one.kind as i8)
            .with_documentation(docs.then(|| StrBytes::from_static_str(one.doc))),
    }
}
