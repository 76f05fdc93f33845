//! The comparison as one page that holds everything: no script, no other file.

use anyhow::Result;
use maud::{html, Markup, PreEscaped, DOCTYPE};

use super::about::{About, SideAbout};
use super::goals;
use super::plots;
use super::results::{Figure, Measured, Results, Side, BOTH, CPU_PER_GB, FIGURES};
use super::table::{number, spread, times};
use crate::size::human_bytes;
use crate::stats::Spread;
use crate::workload::{Rate, Settings, Workload};

const STYLE: &str = "
body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:1240px;margin:2em auto;padding:0 1em}
h1{font-size:1.7em}h2{margin-top:2.2em;border-bottom:1px solid #ddd;padding-bottom:.2em}
table{border-collapse:collapse;margin:1em 0;font-size:.92em}
th,td{padding:.25em .7em;border-bottom:1px solid #eee;text-align:left;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.ahead{color:#1f6fb4;font-weight:600}.behind{color:#c0560f;font-weight:600}
.plots{display:flex;flex-wrap:wrap;gap:1em}.plot{width:100%;height:auto}.plots>div{flex:1 1 340px;max-width:440px}
.why{max-width:75ch}code,pre{background:#f5f5f5;font-size:.9em;white-space:pre-wrap;overflow-wrap:anywhere}
.failed{background:#fdecea;padding:.5em 1em}small,.small{color:#666;font-size:.85em}
";

/// The whole page.
pub fn page(results: &Results) -> Result<Markup> {
    let mut workloads = Vec::new();
    for measured in &results.workloads {
        workloads.push(workload(measured)?);
    }
    let overview = PreEscaped(plots::shrinking(&plots::ratios(results)?));
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Corelane and Apache Kafka compared" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Corelane and Apache Kafka compared" }
                (introduction(&results.about))
                @if !results.failures.is_empty() {
                    div.failed {
                        p { "Runs that failed, and are in none of the figures:" }
                        ul { @for failure in &results.failures { li { (failure) } } }
                    }
                }
                h2 { "Goals" }
                (goals_table(results))
                h2 { "How many times better Corelane is" }
                p.small {
                    "In the figure that each workload is about, on a scale where twice and half are \
                     equally far from 1. Bars are medians, dots are pairs."
                }
                (overview)
                (summary(results))
                h2 { "Where Kafka is ahead" }
                (kafka_ahead(results))
                @for markup in &workloads { (markup) }
                h2 { "What it was taken with" }
                (about(&results.about))
            }
        }
    })
}

fn introduction(about: &About) -> Markup {
    html! {
        p {
            (about.began) ", " (about.machine.processor) ", " (about.machine.cores) " cores, "
            (human_bytes(about.machine.memory_bytes)) " of memory, Linux " (about.machine.kernel) ". "
            (about.corelane.version) "; " (about.kafka.version) "."
        }
        p.why {
            "Every run has a broker of its own on empty directories and is at most "
            (about.seconds) " s or " (human_bytes(about.most_bytes)) " long, after "
            (about.warm_up_seconds) " s of the same load that are not counted. The two take turns; \
             ratios are taken within each pair, and every figure is the median of all pairs with the \
             least and the most. Client and batches are the same for both, and the client is on the \
             same machine" @if about.client_cpus.is_none() { " and shares its cores with the broker" }
            ". Latencies at a fixed rate count from the moment a request was due, so that a stall is \
             charged to all that was due meanwhile. MB is 10⁶ bytes, of record batches as they travel."
        }
        @if !about.notes.is_empty() {
            ul { @for note in &about.notes { li { (note) } } }
        }
    }
}

fn ratio(measured: &Measured, figure: &Figure) -> Markup {
    match measured.ratio(figure) {
        None => html! { td.n { "–" } },
        Some(ratio) => html! {
            td.n {
                span.ahead[ratio.median >= 1.0].behind[ratio.median < 1.0] { (times(ratio.median)) "×" }
                " " small { "(" (times(ratio.min)) "–" (times(ratio.max)) ")" }
            }
        },
    }
}

fn summary(results: &Results) -> Markup {
    html! {
        table {
            thead { tr {
                th { "workload" } th { "figure" } th.n { "Corelane" } th.n { "Kafka" } th.n { "ratio" }
                th.n { "p99" } th.n { "CPU per GB" } th.n { "of the ceiling" }
            } }
            tbody {
                @for measured in &results.workloads {
                    @let figure = measured.headline();
                    tr {
                        td { a href=(format!("#{}", measured.workload.name)) { (measured.workload.title) } }
                        td { (figure.name) ", " (figure.unit) }
                        @for side in BOTH {
                            td.n { (spread(measured.spread(side, &figure), figure.digits.min(2))) }
                        }
                        (ratio(measured, &figure))
                        (ratio(measured, &measured.latency()))
                        (ratio(measured, &CPU_PER_GB))
                        td.n { (measured.of_the_ceiling(Side::Corelane).map_or("–".to_owned(), |s| number(s.median, 2))) }
                    }
                }
            }
        }
    }
}

fn goals_table(results: &Results) -> Markup {
    html! {
        table {
            thead { tr {
                th { "what" } th { "goal" } th.n { "reached" } th { "" } th { "from" }
            } }
            tbody { @for row in goals::rows(results) {
                tr {
                    td { (row.what) } td { (row.goal) } td.n { (row.reached_text()) }
                    td { @match row.met {
                        Some(true) => span.ahead { "met" },
                        Some(false) => span.behind { "missed" },
                        None => "not measured",
                    } }
                    td { small { (row.from) } }
                }
            } }
        }
    }
}

fn kafka_ahead(results: &Results) -> Markup {
    let ahead = results.kafka_ahead();
    html! {
        @if ahead.is_empty() {
            p { "In none of the figures of throughput, 99th percentile and CPU time, by the medians of this comparison." }
        } @else {
            ul { @for (workload, figure, ratio) in ahead {
                li { a href=(format!("#{workload}")) { (workload) } ": " (figure) ", " (times(ratio)) "×" }
            } }
        }
    }
}

fn workload(measured: &Measured) -> Result<Markup> {
    let Workload { name, title, why, .. } = &measured.workload;
    let headline = measured.headline();
    let drawn = [
        plots::figure(measured, &headline)?,
        plots::latency(measured)?,
        plots::figure(measured, &CPU_PER_GB)?,
    ];
    let sides: Vec<Side> = Side::ALL.into_iter().filter(|&side| measured.has(side)).collect();
    Ok(html! {
        h2 id=(name) { (title) }
        p.why { (why.trim()) }
        p.small { (load(measured)) }
        div.plots { @for plot in drawn.into_iter().flatten() { div { (PreEscaped(plots::shrinking(&plot))) } } }
        table {
            thead { tr { th { "figure" } @for side in &sides { th.n { (side.name()) } } th.n { "ratio" } } }
            tbody { @for figure in FIGURES {
                @if sides.iter().any(|&side| !measured.values(side, figure).is_empty()) {
                    tr {
                        td { (figure.name) ", " (figure.unit) }
                        @for &side in &sides { td.n { (spread(measured.spread(side, figure), figure.digits)) } }
                        (ratio(measured, figure))
                    }
                }
            } }
        }
        @if !measured.workload.bare.is_empty() {
            ul.small { @for &bare in &measured.workload.bare {
                li { (bare.name()) ", " (bare.unit()) ": " (spread(Spread::of(&measured.bare(bare)), 3)) }
            } }
        }
        details {
            summary { "Every value" }
            table {
                @for figure in FIGURES {
                    @for &side in &sides {
                        @let values = measured.values(side, figure);
                        @if !values.is_empty() {
                            tr {
                                td { (figure.name) ", " (figure.unit) } td { (side.name()) }
                                @for value in values { td.n { (number(value, figure.digits)) } }
                            }
                        }
                    }
                }
            }
        }
    })
}

/// The load in one sentence.
pub fn load(measured: &Measured) -> String {
    let workload = &measured.workload;
    let mut parts = vec![format!("partitions: {}", workload.partitions)];
    if let Some(backlog) = &workload.backlog {
        let cold = if backlog.cold { ", cold" } else { "" };
        parts.push(format!("backlog of {}{cold}", human_bytes(backlog.bytes)));
    }
    if let Some(produce) = &workload.produce {
        parts.push(format!(
            "{} connections, acks={}, records of {}, batches of {}",
            produce.connections,
            produce.acks,
            human_bytes(produce.record_bytes),
            human_bytes(produce.batch_bytes),
        ));
        match &produce.rate {
            None => parts.push(format!("{} requests in flight on each", produce.in_flight)),
            Some(Rate { batches_per_second, burst, .. }) => {
                let rate = batches_per_second.or(measured.batches_per_second).unwrap_or_default();
                let burst =
                    if *burst > 1 { format!(" in bursts of {burst}") } else { String::new() };
                parts.push(format!("{rate:.0} batches/s{burst}, whatever the broker does"));
            }
        }
        if produce.partitions_per_request > 1 {
            parts.push(format!("{} partitions in each request", produce.partitions_per_request));
        }
    }
    if let Some(consume) = &workload.consume {
        parts.push(format!(
            "read by {}, {} a request",
            if consume.groups == 1 {
                "one group".to_owned()
            } else {
                format!("{} groups", consume.groups)
            },
            human_bytes(consume.fetch_bytes)
        ));
    }
    let own = |side: &str, settings: &Settings| {
        settings.iter().map(|(key, value)| format!("{side} {key}={value}")).collect::<Vec<_>>()
    };
    parts.extend(own("topic:", &workload.topic));
    parts.extend(own("Kafka's topic:", &workload.kafka.topic));
    parts.extend(own("Kafka:", &workload.kafka.broker));
    parts.extend(own("Corelane's topic:", &workload.corelane.topic));
    parts.extend(own("Corelane:", &workload.corelane.broker));
    parts.join("; ")
}

fn about(about: &About) -> Markup {
    html! {
        table {
            tr { td { "command" } td { code { (about.command) } } }
            tr { td { "brokers' cores" } td { (about.broker_cpus.as_deref().unwrap_or("all")) } }
            tr { td { "client's cores" } td { (about.client_cpus.as_deref().unwrap_or("all")) } }
            @for disk in &about.machine.disks {
                tr { td { "directory" } td {
                    code { (disk.dir.display()) } " on " (disk.device) ", " (disk.file_system) " (" (disk.options) ")"
                    @if !disk.properties.is_empty() { "; " (disk.properties) }
                } }
            }
            (side(Side::Corelane, &about.corelane))
            (side(Side::Kafka, &about.kafka))
            @if let Some(nats) = &about.nats { (side(Side::Nats, nats)) }
        }
    }
}

fn side(side: Side, about: &SideAbout) -> Markup {
    html! {
        tr { td { (side.name()) } td {
            (about.version) br; code { (about.command) }
            @if about.settings.is_empty() { p.small { "all settings at their defaults" } }
            @else { pre { @for (key, value) in &about.settings { (key) "=" (value) "\n" } } }
        } }
    }
}
