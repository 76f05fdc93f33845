//! Settings asked for and changed by a raw client.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;

use super::Broker;

pub const TOPIC: i8 = 2;
pub const BROKER: i8 = 4;
pub const CLIENT_METRICS: i8 = 16;
pub const GROUP: i8 = 32;
pub const SET: i8 = 0;
pub const DELETE: i8 = 1;
pub const APPEND: i8 = 2;
pub const SUBTRACT: i8 = 3;
pub const INVALID_CONFIG: i16 = 40;
pub const INVALID_REQUEST: i16 = 42;

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

/// A setting, what is to become of it, and a value.
pub type Change<'a> = (&'a str, i8, Option<&'a str>);

fn resource(kind: i8, name: &str, changes: &[Change<'_>]) -> AlterConfigsResource {
    let config = |(name, op, value): &Change<'_>| {
        AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(*op)
            .with_value(value.map(text))
    };
    AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(changes.iter().map(config).collect())
}

/// The error code for one resource, and what is said.
pub fn altered(
    broker: &Broker,
    kind: i8,
    name: &str,
    changes: &[Change<'_>],
    validate_only: bool,
) -> (i16, String) {
    let request = IncrementalAlterConfigsRequest::default()
        .with_resources(vec![resource(kind, name, changes)])
        .with_validate_only(validate_only);
    let answer: IncrementalAlterConfigsResponse =
        broker.client().ask(ApiKey::IncrementalAlterConfigs, 1, &request);
    let message = answer.responses[0].error_message.as_ref();
    (answer.responses[0].error_code, message.map(ToString::to_string).unwrap_or_default())
}

/// The error code for one resource.
pub fn alter(broker: &Broker, kind: i8, name: &str, changes: &[Change<'_>]) -> i16 {
    altered(broker, kind, name, changes, false).0
}

/// All settings of a resource, or the error code.
pub fn describe(
    broker: &Broker,
    kind: i8,
    name: &str,
) -> Result<Vec<DescribeConfigsResourceResult>, i16> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true)
        .with_include_documentation(true);
    let mut answer: DescribeConfigsResponse =
        broker.client().ask(ApiKey::DescribeConfigs, 4, &request);
    match answer.results.remove(0) {
        result if result.error_code == 0 => Ok(result.configs),
        result => Err(result.error_code),
    }
}

/// Settings of a resource whose values come from `source`, as `name=value`.
pub fn from_source(broker: &Broker, kind: i8, name: &str, source: i8) -> Vec<String> {
    let all = describe(broker, kind, name).expect("is there").into_iter();
    let shown = |value: &Option<StrBytes>| value.as_ref().map_or("", |v| v).to_string();
    let mut of_source: Vec<String> = all
        .filter(|config| config.config_source == source)
        .map(|config| format!("{}={}", &*config.name, shown(&config.value)))
        .collect();
    of_source.sort();
    of_source
}
