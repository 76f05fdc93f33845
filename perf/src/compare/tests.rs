//! Reports from fixed results.

use super::about::About;
use super::results::*;
use super::*;
use crate::flow::{Flow, Outcome};
use crate::process::ProcessUse;
use crate::stats::Latencies;
use crate::workload::tests::workload;
use std::time::Duration;

fn used(cpu_seconds: f64) -> ProcessUse {
    ProcessUse {
        cpu_seconds,
        rss_bytes: 1 << 20,
        peak_rss_bytes: 1 << 21,
        switches: None,
        io: None,
    }
}

/// A run that produced `mb` megabytes in a second.
fn run(mb: u64, p50_us: u64) -> Run {
    let mut latencies = Latencies::new();
    latencies.record_n(Duration::from_micros(p50_us), 10_000);
    latencies.record_n(Duration::from_micros(p50_us * 10), 50);
    let flow = Flow {
        seconds: 1.0,
        requests: 10_050,
        records: 100_000,
        bytes: mb * 1_000_000,
        latency: latencies.profile(),
        sent_late: None,
        unsent: 0,
    };
    let outcome = Outcome {
        produced: Some(flow),
        consumed: None,
        end_to_end: None,
        broker: Some(used(0.5)),
        system_calls: None,
        client: used(0.1),
    };
    Run {
        outcome,
        start_ms: 50.0,
        idle_rss_bytes: Some(40 << 20),
        flush_seconds: 0.0,
        caches_dropped: false,
    }
}

fn results() -> Results {
    let ceiling = Some(CeilingRun { mb_per_second: 1000.0, cpu_seconds_per_gb: Some(0.1) });
    let pair = |corelane, kafka| Pair {
        corelane: Some(run(corelane, 100)),
        kafka: Some(run(kafka, 50)),
        nats: None,
        ceiling,
        bare: Default::default(),
    };
    let measured = Measured {
        workload: workload("a-b"),
        batches_per_second: None,
        // The machine is twice as fast in the second pair.
        pairs: vec![pair(600, 200), pair(1200, 400), Pair { kafka: None, ..pair(600, 200) }],
    };
    Results {
        about: About::default(),
        workloads: vec![measured],
        failures: vec!["pair 3: <gone>".into()],
    }
}

#[test]
fn ratios_are_taken_within_pairs_and_a_missing_side_has_none() {
    let results = results();
    let measured = &results.workloads[0];
    assert_eq!(measured.ratios(&PRODUCED), [3.0, 3.0]);
    assert_eq!(measured.values(Side::Corelane, &PRODUCED), [600.0, 1200.0, 600.0]);
    assert_eq!(measured.of_the_ceiling(Side::Corelane).unwrap().median, 0.6);
}

#[test]
fn less_is_better_for_latency_and_cpu() {
    let results = results();
    let measured = &results.workloads[0];
    assert!((measured.ratio(&PRODUCE_P99).unwrap().median - 0.5).abs() < 0.01);
    assert!((measured.ratio(&CPU_PER_GB).unwrap().median - 3.0).abs() < 1e-9);
    let ahead = results.kafka_ahead();
    assert_eq!(ahead.len(), 1);
    assert_eq!((ahead[0].0, ahead[0].1), ("a-b", "produce p99"));
}

#[test]
fn throughput_at_a_rate_that_is_set_is_no_contest() {
    let mut results = results();
    let produce = results.workloads[0].workload.produce.as_mut().unwrap();
    produce.rate = Some(crate::workload::Rate {
        batches_per_second: Some(5.0),
        share_of_kafka: None,
        burst: 1,
    });
    let measured = &results.workloads[0];
    assert_eq!(measured.ratio(&PRODUCED), None);
    assert!(measured.ratio(&PRODUCE_P99).is_some());
    assert_eq!(measured.headline().name, PRODUCE_P99.name);
}

#[test]
fn page_is_one_file_with_plots_and_escapes_what_it_quotes() {
    let page = html::page(&results()).unwrap().into_string();
    assert_eq!(page.matches("<svg").count(), 4);
    assert!(page.contains("pair 3: &lt;gone&gt;"));
    assert!(page.contains("3.00×"));
    for elsewhere in ["<script", "<link", "src=", "href=\"http"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
}

#[test]
fn results_come_back_from_json_as_they_were() {
    let results = results();
    let text = serde_json::to_string(&results).unwrap();
    assert_eq!(serde_json::from_str::<Results>(&text).unwrap(), results);
}

#[test]
fn csv_has_a_line_for_every_value() {
    let text = csv::write(&results()).unwrap();
    assert!(text.lines().any(|line| line == "a-b,2,Corelane,produced,MB/s,1200"));
    assert!(text.lines().any(|line| line == "a-b,1,ceiling,moved,MB/s,1000"));
    assert_eq!(text.lines().filter(|line| line.starts_with("a-b,3,Kafka")).count(), 0);
}

#[test]
fn table_names_workload_ratio_and_failures() {
    let text = table::Terminal(&results()).to_string();
    for expected in ["a-b", "3.00 (3.00–3.00)", "failed: pair 3: <gone>"] {
        assert!(text.contains(expected), "no {expected} in {text}");
    }
}

#[test]
fn nothing_measured_is_still_a_page() {
    let results = Results { about: About::default(), workloads: Vec::new(), failures: Vec::new() };
    assert!(html::page(&results).is_ok());
}

#[test]
fn numbers_are_grouped() {
    assert_eq!(table::number(1_234_567.891, 1), "1\u{202f}234\u{202f}567.9");
    assert_eq!(table::number(-1234.0, 0), "-1\u{202f}234");
    assert_eq!(table::number(999.0, 0), "999");
}

#[test]
fn markdown_has_goals_and_plots_beside_it_and_keeps_what_is_written_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("RESULTS.md");
    let mut results = results();
    results.workloads[0].workload.name = "produce-1k-acks-1".into();
    markdown::write(&results, &path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("| ≥ 2.5× Kafka | 3.00 (3.00–3.00) × | met |"), "{text}");
    assert!(text.contains("| ≥ 0.8 of the ceiling | 0.60 (0.60–1.20) × | **missed** |"), "{text}");
    let plot = fs::read_to_string(dir.path().join("results/produce-1k-acks-1-figure.svg")).unwrap();
    assert!(plot.starts_with("<svg width="));
    fs::write(&path, text + "Why it is so.\n").unwrap();
    markdown::write(&results, &path).unwrap();
    assert!(fs::read_to_string(&path).unwrap().ends_with("Why it is so.\n"));
}

#[test]
fn resumed_comparison_has_what_was_taken_and_refuses_other_lengths() {
    let dir = tempfile::tempdir().unwrap();
    let mut earlier = results();
    let mut other = earlier.workloads[0].clone();
    other.workload.name = "other".into();
    earlier.workloads.push(other);
    save(&earlier, dir.path()).unwrap();
    let mut now = results();
    now.workloads[0].pairs.clear();
    now.failures.clear();
    resume::go_on(&mut now, dir.path()).unwrap();
    assert_eq!(now.workloads, earlier.workloads);
    now.about.seconds += 1.0;
    assert!(resume::go_on(&mut now, dir.path()).is_err());
}
