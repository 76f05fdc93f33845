//! A broker's settings that change while it runs.

use super::layers::Values;
use super::setting::{Standing, Update};
use super::{broker, BrokerConfig};

/// Why a setting of a broker does not change while it runs, in Kafka's words where it has some.
///
/// # Errors
/// The reason.
pub fn may_change(name: &str, for_all: bool) -> Result<(), String> {
    let Some(setting) = broker::find(name) else {
        return Err(format!("{name}: {}", broker::unknown(name)));
    };
    match (setting.update, &setting.standing) {
        (Update::ReadOnly, _) => {
            Err(format!("Cannot update these configs dynamically: Set({name})"))
        }
        (Update::PerBroker, _) if for_all => Err(format!(
            "Cannot update these configs at default cluster level, broker id must be specified: \
             Set({name})"
        )),
        (Update::PerBroker, Standing::Honoured(_)) => Err(format!(
            "Cannot update these configs dynamically: Set({name}): here listeners are opened at \
             the start, from the file"
        )),
        _ => Ok(()),
    }
}

impl BrokerConfig {
    /// These settings, which are the file's, with those over them that are set while the broker runs:
    /// for all brokers, then for this one. What does not fit is left out and told.
    pub fn with_dynamic(&self, all: &Values, own: &Values) -> (BrokerConfig, Vec<String>) {
        let mut config = self.clone();
        let mut wrong = Vec::new();
        for layer in [all, own] {
            let unknown = layer.keys().filter(|name| broker::find(name).is_none());
            wrong.extend(unknown.map(|name| format!("{name}: {}", broker::unknown(name))));
            // In the tables' order: which synonym counts does not depend on names.
            for setting in broker::all() {
                let Some(value) = layer.get(setting.name) else { continue };
                if let Err(why) = setting.put(&mut config, value) {
                    let name = setting.name;
                    wrong.push(format!("Invalid value {value} for configuration {name}: {why}"));
                }
            }
        }
        (config, wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brokers_own_counts_before_all_brokers_and_the_file() {
        let values =
            |text: &str| Values::from([("log.retention.ms".to_string(), text.to_string())]);
        let file = super::super::parse_properties("log.retention.hours=1", "f").expect("valid");
        let retention = |all: &Values, own: &Values| {
            let (config, wrong) = file.with_dynamic(all, own);
            assert_eq!(wrong, [""; 0]);
            config.topic_defaults.log.retention_ms
        };
        let none = Values::new();
        assert_eq!(retention(&none, &none), 3_600_000);
        assert_eq!(retention(&values("8"), &none), 8);
        assert_eq!(retention(&values("8"), &values("9")), 9);
        let (_, wrong) = file.with_dynamic(&values("soon"), &none);
        assert!(wrong[0].contains("Not a number of type LONG"), "{wrong:?}");
    }

    #[test]
    fn what_is_read_only_says_so() {
        for (name, for_all, expected) in [
            ("num.partitions", false, "Cannot update these configs dynamically: Set(num.part"),
            ("listeners", true, "Cannot update these configs at default cluster level"),
            ("listeners", false, "here listeners are opened at the start"),
            ("num.partition", false, "did you mean num.partitions?"),
        ] {
            let why = may_change(name, for_all).expect_err(name);
            assert!(why.contains(expected), "{why}");
        }
        assert_eq!(may_change("message.max.bytes", true), Ok(()));
        assert_eq!(may_change("num.io.threads", false), Ok(()));
    }
}
