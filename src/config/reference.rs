//! The tables as documents: `config/REFERENCE.md` and `config/corelane.toml`.

use std::fmt::Write;

use super::setting::{Kind, Setting, Standing, Update};
use super::{broker, client_metrics, group, topic};

const REFERENCE_HEAD: &str = "# Configuration reference

Made by `corelane reference`; a test compares. Every setting that Kafka 4.1 knows is here, and
Corelane's own. *Honoured*: as it says. *No effect*: taken and shown, for the reason given. *Refused*: only
the default is taken, which is what is done; another value is an error that says why. A name that is not
here is an error.

Values count in this order: set while the broker runs for this broker, for all brokers, then in the
file (`corelane serve --config`, TOML or Kafka's `server.properties`), then the default. *Changes*: with
`kafka-configs --alter`, for one broker or for all (`--entity-default`), at once on all shards and
kept over a restart; *at start*: in the file alone.
";

/// `config/REFERENCE.md`.
pub fn markdown() -> String {
    let mut out = REFERENCE_HEAD.to_string();
    for (subject, table) in broker::TABLES {
        section(&mut out, &format!("Broker: {}", lower(subject)), table, true);
    }
    section(&mut out, "Topics", topic::SETTINGS, false);
    section(&mut out, "Groups", group::SETTINGS, false);
    section(&mut out, "Client metrics", client_metrics::SETTINGS, false);
    out
}

fn lower(subject: &str) -> String {
    match subject.starts_with("The ") {
        true => subject.replacen("The", "the", 1),
        false => subject.to_string(),
    }
}

fn section<C>(out: &mut String, title: &str, table: &[Setting<C>], of_broker: bool) {
    let columns = "| name | type | valid | default | ";
    let (changes, lines) = match of_broker {
        true => ("changes | what it does |", "|---|---|---|---|---|---|"),
        false => ("what it does |", "|---|---|---|---|---|"),
    };
    let _ = write!(out, "\n## {title}\n\n{columns}{changes}\n{lines}\n");
    for setting in table {
        let default = setting.default.map_or("unset".to_string(), |text| format!("`{text}`"));
        let default = if default == "``" { "empty".to_string() } else { default };
        let _ = write!(
            out,
            "| `{}` | {} | {} | {default} | ",
            setting.name,
            setting.kind.name().to_lowercase(),
            setting.valid
        );
        if of_broker {
            let _ = write!(out, "{} | ", changes_of(setting));
        }
        let _ = writeln!(out, "{} |", told(setting));
    }
}

fn changes_of<C>(setting: &Setting<C>) -> &'static str {
    match setting.update {
        Update::ReadOnly => "at start",
        Update::PerBroker => "per broker",
        Update::ClusterWide => "cluster-wide",
    }
}

fn told<C>(setting: &Setting<C>) -> String {
    let mut text = match setting.standing {
        Standing::Honoured(_) => setting.doc.to_string(),
        Standing::NoEffect(why) => format!("{} *No effect*: {why}.", setting.doc),
        Standing::Refused(why) => format!("{} *Refused*: {why}.", setting.doc),
    };
    if let Some(differs) = setting.differs {
        let _ = write!(text, " *Difference*: {differs}");
    }
    text
}

const TOML_HEAD: &str = "\
# Corelane's configuration: every setting that is honoured, with its default. Names are Kafka's where
# Kafka has one; config/REFERENCE.md has all, and what is different. A name may be written quoted, as
# here, or as TOML tables; lists as arrays or with commas. Lines that begin with # show the default.
# Kafka's own server.properties can be used instead. Made by `corelane reference --toml`.
";

/// `config/corelane.toml`.
pub fn toml() -> String {
    let mut out = TOML_HEAD.to_string();
    for setting in broker::all() {
        if !matches!(setting.standing, Standing::Honoured(_)) {
            continue;
        }
        let _ = writeln!(out, "\n{}", commented(setting.doc));
        let text = setting.default.unwrap_or_default();
        let plain =
            !text.is_empty() && matches!(setting.kind, Kind::Int | Kind::Long | Kind::Boolean);
        let value = if plain { text.to_string() } else { format!("\"{text}\"") };
        let _ = writeln!(out, "#\"{}\" = {value}", setting.name);
    }
    out
}

/// As lines of a comment, of 100 characters at most.
fn commented(text: &str) -> String {
    let mut out = String::from("#");
    let mut used = 1;
    for word in text.split(' ') {
        if used + word.len() >= 100 {
            out.push_str("\n#");
            used = 1;
        }
        let _ = write!(out, " {word}");
        used += word.len() + 1;
    }
    out
}
