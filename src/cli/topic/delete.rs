use kafka_protocol::messages::{ApiKey, DeleteTopicsRequest, DeleteTopicsResponse};
use kafka_protocol::ResponseError;

use crate::cli::client::{Connect, ASK_TIMEOUT};
use crate::cli::confirm::{some_of, Yes};
use crate::cli::nodes::{topic_name, Cluster};
use crate::cli::outcome::{report, Outcome};
use crate::cli::print::plural;
use crate::cli::Failure;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  corelane topic delete events
  corelane topic delete events orders --yes --if-exists")]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// Their names.
    #[arg(required = true, value_name = "TOPIC", add = clap_complete::ArgValueCompleter::new(crate::cli::complete::topics))]
    topics: Vec<String>,
    /// Topics that are not there are no error.
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    yes: Yes,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let cluster = Cluster::connect(&args.connect)?;
    let what = match &args.topics[..] {
        [one] => format!("Delete the topic {one} with all its records"),
        many => format!(
            "Delete {} with all their records: {}",
            plural(many.len(), "topic"),
            some_of(many)
        ),
    };
    args.yes.confirm(&what)?;
    let request = DeleteTopicsRequest::default()
        .with_topic_names(args.topics.iter().map(|name| topic_name(name)).collect())
        .with_timeout_ms(ASK_TIMEOUT.as_millis() as i32);
    let answer: DeleteTopicsResponse =
        cluster.controller()?.ask(ApiKey::DeleteTopics, 5, &request)?;
    let mut outcomes = Vec::with_capacity(answer.responses.len());
    for topic in answer.responses {
        let is_missing = topic.error_code == ResponseError::UnknownTopicOrPartition.code();
        if is_missing && args.if_exists {
            continue;
        }
        let name = topic.name.as_ref().map_or("?", |name| name.as_str());
        let message = topic.error_message.as_deref();
        let message = if is_missing { Some("it does not exist") } else { message };
        outcomes.push(Outcome::new(name, topic.error_code, message));
    }
    outcomes.sort_by_key(|outcome| args.topics.iter().position(|name| *name == outcome.name));
    report("deleted", "topic", outcomes, args.json)
}
