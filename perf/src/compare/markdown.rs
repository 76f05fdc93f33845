//! The comparison as a Markdown file, with its plots as SVG files beside it.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::goals;
use super::html::load;
use super::plots;
use super::results::{Measured, Results, Side, BOTH, CPU_PER_GB, FIGURES};
use super::table::{number, spread, times};
use crate::size::human_bytes;

/// What follows it in the file that is there stays as it is.
const BY_HAND: &str = "<!-- What follows is written by hand; `corelane-perf render` keeps it. -->";

/// Writes `path`, and its plots to the directory beside it that is named as the file, in small
/// letters and without its ending.
pub fn write(results: &Results, path: &Path) -> Result<()> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).context("the file has no name")?;
    let name = stem.to_lowercase();
    let plots = path.with_file_name(&name);
    fs::create_dir_all(&plots).with_context(|| format!("cannot make {}", plots.display()))?;
    let by_hand = fs::read_to_string(path).unwrap_or_default();
    let by_hand = by_hand.split_once(BY_HAND).map_or("\n", |(_, text)| text);
    let page = Page { results, plots: &plots, name: &name, text: String::new() };
    let text = page.write()? + BY_HAND + by_hand;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

struct Page<'a> {
    results: &'a Results,
    plots: &'a Path,
    name: &'a str,
    text: String,
}

impl Page<'_> {
    fn write(mut self) -> Result<String> {
        let results = self.results;
        self.text += "# Corelane and Apache Kafka compared\n\n";
        self.text += "Made by `corelane-perf render`; [README.md](README.md) tells how to take it again.\n\n";
        self.introduction()?;
        self.goals()?;
        self.plot("ratios", "How many times better Corelane is", &plots::ratios(results)?)?;
        self.summary()?;
        self.kafka_ahead()?;
        for measured in &results.workloads {
            self.workload(measured)?;
        }
        if !results.failures.is_empty() {
            self.text += "\n## Runs that failed\n\nThey are in none of the figures.\n\n";
            for failure in &results.failures {
                writeln!(self.text, "- {failure}")?;
            }
        }
        self.about()?;
        Ok(self.text)
    }

    fn introduction(&mut self) -> Result<()> {
        let about = &self.results.about;
        let machine = &about.machine;
        writeln!(
            self.text,
            "{}, {}, {} cores, {} of memory, Linux {}. {}; {}{}.\n\nEvery run has a broker of its own on empty \
             directories and is at most {} s or {} long, after {} s of the same load that are not counted. \
             The sides take turns; ratios are taken within each pair, and every figure is the median of all \
             pairs with the least and the most. Load and client are the same for all, and the client is on \
             the same machine{}. MB is 10⁶ bytes, of record batches as they travel.\n",
            about.began,
            machine.processor,
            machine.cores,
            human_bytes(machine.memory_bytes),
            machine.kernel,
            about.corelane.version,
            about.kafka.version,
            about.nats.as_ref().map(|nats| format!("; {}", nats.version)).unwrap_or_default(),
            about.seconds,
            human_bytes(about.most_bytes),
            about.warm_up_seconds,
            if about.client_cpus.is_none() { " and shares its cores with the broker" } else { "" },
        )?;
        for note in &about.notes {
            writeln!(self.text, "- {note}")?;
        }
        Ok(())
    }

    fn goals(&mut self) -> Result<()> {
        let rows = goals::rows(self.results);
        let met = rows.iter().filter(|row| row.met == Some(true)).count();
        let missed = rows.iter().filter(|row| row.met == Some(false)).count();
        writeln!(
            self.text,
            "\n## Goals\n\n{met} met, {missed} missed, {} not measured here.\n\n\
             | what | goal | reached | | from |\n| --- | --- | ---: | --- | --- |",
            rows.len() - met - missed
        )?;
        for row in rows {
            let met = match row.met {
                Some(true) => "met",
                Some(false) => "**missed**",
                None => "not measured",
            };
            let reached = row.reached_text();
            writeln!(
                self.text,
                "| {} | {} | {reached} | {met} | {} |",
                row.what, row.goal, row.from
            )?;
        }
        Ok(())
    }

    fn plot(&mut self, name: &str, title: &str, svg: &str) -> Result<()> {
        let file = format!("{name}.svg");
        let path = self.plots.join(&file);
        fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
        write!(self.text, "\n![{title}]({}/{file})", self.name)?;
        Ok(())
    }

    fn summary(&mut self) -> Result<()> {
        self.text += "\n\n## All workloads\n\nRatios tell how many times better Corelane is.\n\n\
                      | workload | figure | Corelane | Kafka | ratio | p99 | CPU per GB | of the ceiling |\n\
                      | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n";
        for measured in &self.results.workloads {
            let figure = measured.headline();
            let side = |side| spread(measured.spread(side, &figure), figure.digits.min(2));
            let ratio = |figure| match measured.ratio(&figure) {
                Some(ratio) => {
                    format!("{}× ({}–{})", times(ratio.median), times(ratio.min), times(ratio.max))
                }
                None => "–".to_owned(),
            };
            let ceiling = measured.of_the_ceiling(Side::Corelane);
            writeln!(
                self.text,
                "| [{}](#{}) | {}, {} | {} | {} | {} | {} | {} | {} |",
                measured.workload.name,
                anchor(&measured.workload.name),
                figure.name,
                figure.unit,
                side(Side::Corelane),
                side(Side::Kafka),
                ratio(figure),
                ratio(measured.latency()),
                ratio(CPU_PER_GB),
                ceiling.map_or("–".to_owned(), |part| number(part.median, 2)),
            )?;
        }
        Ok(())
    }

    fn kafka_ahead(&mut self) -> Result<()> {
        self.text += "\n## Where Kafka is ahead\n\n";
        let ahead = self.results.kafka_ahead();
        if ahead.is_empty() {
            self.text +=
                "In none of the figures of throughput, 99th percentile and CPU time, by the \
                          medians of this comparison.\n";
        }
        for (workload, figure, ratio) in ahead {
            writeln!(self.text, "- {workload}: {figure}, {}×", times(ratio))?;
        }
        Ok(())
    }

    fn workload(&mut self, measured: &Measured) -> Result<()> {
        let workload = &measured.workload;
        writeln!(
            self.text,
            "\n## {}\n\n**{}.** {}\n\n{}.",
            workload.name,
            workload.title,
            workload.why.trim(),
            load(measured)
        )?;
        let headline = measured.headline();
        let drawn = [
            ("figure", plots::figure(measured, &headline)?),
            ("latency", plots::latency(measured)?),
            ("cpu", plots::figure(measured, &CPU_PER_GB)?),
        ];
        for (what, plot) in drawn {
            let Some(plot) = plot else { continue };
            self.plot(
                &format!("{}-{what}", workload.name),
                &format!("{}: {what}", workload.name),
                &plot,
            )?;
        }
        let sides: Vec<Side> = Side::ALL.into_iter().filter(|&side| measured.has(side)).collect();
        self.text += "\n\n| figure |";
        sides.iter().for_each(|side| self.text += &format!(" {} |", side.name()));
        self.text += " ratio |\n| --- |";
        sides.iter().for_each(|_| self.text += " ---: |");
        self.text += " ---: |\n";
        for figure in FIGURES {
            if sides.iter().all(|&side| measured.values(side, figure).is_empty()) {
                continue;
            }
            write!(self.text, "| {}, {} |", figure.name, figure.unit)?;
            for &side in &sides {
                write!(self.text, " {} |", spread(measured.spread(side, figure), figure.digits))?;
            }
            let ratio = measured.ratio(figure);
            let ratio = ratio.map_or("–".to_owned(), |ratio| format!("{}×", times(ratio.median)));
            writeln!(self.text, " {ratio} |")?;
        }
        Ok(())
    }

    fn about(&mut self) -> Result<()> {
        let about = &self.results.about;
        writeln!(self.text, "\n## What it was taken with\n\n```sh\n{}\n```\n", about.command)?;
        for disk in &about.machine.disks {
            writeln!(
                self.text,
                "- directory on {}, {} ({}); {}",
                disk.device, disk.file_system, disk.options, disk.properties
            )?;
        }
        let cores = |cpus: &Option<String>| cpus.clone().unwrap_or("all".to_owned());
        writeln!(
            self.text,
            "- cores of the brokers: {}; of the client: {}",
            cores(&about.broker_cpus),
            cores(&about.client_cpus)
        )?;
        for (side, about) in BOTH.into_iter().zip([&about.corelane, &about.kafka]) {
            let settings: Vec<String> =
                about.settings.iter().map(|(key, value)| format!("`{key}={value}`")).collect();
            let settings = match settings.is_empty() {
                true => "all settings at their defaults".to_owned(),
                false => settings.join(", "),
            };
            writeln!(
                self.text,
                "- {}: {}; `{}`; {settings}",
                side.name(),
                about.version,
                about.command
            )?;
        }
        self.text += "\n";
        Ok(())
    }
}

/// What a heading's link is called.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace(' ', "-")
}
