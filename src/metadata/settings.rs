use std::collections::BTreeMap;

/// What has settings that are kept, topics apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    AllBrokers,
    Broker(i32),
    Group(String),
    ClientMetrics(String),
}

impl Resource {
    /// Kafka's numbers of the types.
    pub const TOPIC: i8 = 2;
    pub const BROKER: i8 = 4;
    pub const BROKER_LOGGER: i8 = 8;
    pub const CLIENT_METRICS: i8 = 16;
    pub const GROUP: i8 = 32;

    /// By Kafka's number of its type, and its name.
    ///
    /// # Errors
    /// There are no such settings.
    pub fn parse(kind: i8, name: &str) -> Result<Resource, String> {
        match kind {
            Self::BROKER if name.is_empty() => Ok(Resource::AllBrokers),
            Self::BROKER => match name.parse() {
                Ok(id) => Ok(Resource::Broker(id)),
                Err(_) => Err(format!("Node id must be an integer, but it is: {name}")),
            },
            Self::CLIENT_METRICS => Ok(Resource::ClientMetrics(name.to_string())),
            Self::GROUP => Ok(Resource::Group(name.to_string())),
            other => Err(format!("Unexpected resource type {other}.")),
        }
    }

    /// The type's number.
    pub fn kind(&self) -> i8 {
        match self {
            Resource::AllBrokers | Resource::Broker(_) => Self::BROKER,
            Resource::ClientMetrics(_) => Self::CLIENT_METRICS,
            Resource::Group(_) => Self::GROUP,
        }
    }

    pub fn name(&self) -> String {
        match self {
            Resource::AllBrokers => String::new(),
            Resource::Broker(id) => id.to_string(),
            Resource::ClientMetrics(name) | Resource::Group(name) => name.clone(),
        }
    }
}

/// What was set while the broker runs, of all that is not a topic.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    of: BTreeMap<Resource, BTreeMap<String, String>>,
    none: BTreeMap<String, String>,
}

impl Settings {
    pub fn get(&self, resource: &Resource) -> &BTreeMap<String, String> {
        self.of.get(resource).unwrap_or(&self.none)
    }

    /// Puts `values` in the place of all that the resource had.
    pub fn set(&mut self, resource: Resource, values: BTreeMap<String, String>) {
        match values.is_empty() {
            true => self.of.remove(&resource),
            false => self.of.insert(resource, values),
        };
    }

    /// All that have some.
    pub fn iter(&self) -> impl Iterator<Item = (&Resource, &BTreeMap<String, String>)> {
        self.of.iter()
    }
}
