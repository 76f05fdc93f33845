//! The documents that are made from the tables of settings are current.

use corelane::config::{broker, client_metrics, group, reference, topic};

#[test]
fn the_reference_and_the_example_file_are_what_the_tables_say() {
    for (made, kept, how) in [
        (reference::markdown(), include_str!("../config/REFERENCE.md"), "corelane reference"),
        (reference::toml(), include_str!("../config/corelane.toml"), "corelane reference --toml"),
    ] {
        assert!(made == kept, "not current: make it anew with `{how}`");
    }
}

#[test]
fn every_setting_says_what_it_does_and_why_it_is_not_honoured() {
    fn judge<C>(table: &[corelane::config::setting::Setting<C>]) {
        for setting in table {
            assert!(setting.doc.len() > 8 && setting.doc.ends_with('.'), "{}", setting.name);
            assert!(setting.in_vain().is_none_or(|why| why.len() > 8), "{}", setting.name);
        }
    }
    broker::TABLES.iter().for_each(|(_, table)| judge(table));
    judge(topic::SETTINGS);
    judge(group::SETTINGS);
    judge(client_metrics::SETTINGS);
    assert!(broker::all().count() >= 336, "Kafka 4.1 knows 336 settings of brokers");
}
