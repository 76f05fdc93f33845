//! What became of each of several things that were asked for at once.

use anyhow::anyhow;
use serde_json::{json, Value};

use super::nodes::explained;
use super::print::{note, plural, say};
use super::Failure;

/// One of them: what was done, or why it was not.
pub struct Outcome {
    pub name: String,
    pub result: anyhow::Result<()>,
    /// Words behind the name, and further fields in JSON.
    pub more: String,
    pub fields: Value,
}

impl Outcome {
    /// As a broker's answer tells it.
    pub fn new(name: impl Into<String>, code: i16, message: Option<&str>) -> Outcome {
        let result = match code {
            0 => Ok(()),
            code => Err(explained(code, message)),
        };
        Outcome { name: name.into(), result, more: String::new(), fields: json!({}) }
    }

    pub fn with(mut self, more: String, fields: Value) -> Outcome {
        (self.more, self.fields) = (more, fields);
        self
    }
}

/// Prints them as `created events`, or as a JSON array; fails where one was refused.
pub fn report(
    done: &str,
    kind: &str,
    outcomes: Vec<Outcome>,
    as_json: bool,
) -> Result<(), Failure> {
    let failed = outcomes.iter().filter(|outcome| outcome.result.is_err()).count();
    let all = outcomes.len();
    if as_json {
        let rows = outcomes.iter().map(|outcome| {
            let mut row = outcome.fields.clone();
            row[kind] = json!(outcome.name);
            row["error"] = json!(outcome.result.as_ref().err().map(|error| format!("{error:#}")));
            row
        });
        say(Value::Array(rows.collect()));
    }
    for outcome in outcomes {
        match outcome.result {
            Ok(()) if !as_json => say(format_args!("{done} {}{}", outcome.name, outcome.more)),
            Ok(()) => (),
            // The only one's error is told as the command's own.
            Err(error) if all == 1 => {
                return Err(error.context(format!("{kind} {}", outcome.name)).into())
            }
            Err(error) => note(format_args!("corelane: error: {kind} {}: {error:#}", outcome.name)),
        }
    }
    match failed {
        0 => Ok(()),
        failed => {
            let what = plural(failed, kind);
            Err(anyhow!(
                "{what} of {all} could not be {}",
                done.trim_start_matches("would be ").trim_end_matches(':')
            )
            .into())
        }
    }
}
