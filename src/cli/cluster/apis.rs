use kafka_protocol::messages::ApiKey;
use serde_json::{json, Value};

use crate::cli::client::Connect;
use crate::cli::nodes::Cluster;
use crate::cli::print::{say, table};
use crate::cli::Failure;

pub fn run(connect: &Connect, as_json: bool) -> Result<(), Failure> {
    let mut cluster = Cluster::connect(connect)?;
    let mut apis = cluster.first().versions()?.api_keys;
    apis.sort_by_key(|api| api.api_key);
    let name = |key: i16| match ApiKey::try_from(key) {
        Ok(key) => format!("{key:?}"),
        Err(()) => "?".to_string(),
    };
    if as_json {
        let rows = apis.iter().map(|api| {
            json!({
                "key": api.api_key,
                "name": name(api.api_key),
                "from": api.min_version,
                "to": api.max_version,
            })
        });
        say(Value::Array(rows.collect()));
        return Ok(());
    }
    let rows = apis.iter().map(|api| {
        let versions = match api.min_version == api.max_version {
            true => api.min_version.to_string(),
            false => format!("{}–{}", api.min_version, api.max_version),
        };
        vec![api.api_key.to_string(), name(api.api_key), versions]
    });
    table(&["KEY", "NAME", "VERSIONS"], rows.collect());
    Ok(())
}
