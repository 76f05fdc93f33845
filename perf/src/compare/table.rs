//! The comparison as a table on the terminal.

use std::fmt;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table};

use super::goals;
use super::results::{Figure, Measured, Results, Side, CPU_PER_GB};
use crate::stats::Spread;

/// Displays results for a terminal.
pub struct Terminal<'a>(pub &'a Results);

impl fmt::Display for Terminal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let results = self.0;
        let about = &results.about;
        writeln!(
            f,
            "{}, {} cores, Linux {}\n{}\n{}\nmedian (least–most) of the pairs; × is how many times better \
             Corelane is, taken within each pair\n",
            about.machine.processor, about.machine.cores, about.machine.kernel, about.corelane.version, about.kafka.version,
        )?;
        writeln!(f, "{}", table(results))?;
        for row in goals::rows(results) {
            let met = match row.met {
                Some(true) => "met   ",
                Some(false) => "MISSED",
                None => continue,
            };
            writeln!(f, "{met}  {}: {}, reached {}", row.what, row.goal, row.reached_text())?;
        }
        for failure in &results.failures {
            writeln!(f, "failed: {failure}")?;
        }
        for note in &about.notes {
            writeln!(f, "{note}")?;
        }
        Ok(())
    }
}

fn table(results: &Results) -> Table {
    let mut table = Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header([
            "workload",
            "figure",
            "Corelane",
            "Kafka",
            "×",
            "p99 ×",
            "CPU/GB ×",
            "of the ceiling",
        ]);
    for measured in &results.workloads {
        let headline = measured.headline();
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        table.add_row([
            Cell::new(&measured.workload.name),
            Cell::new(format!("{}, {}", headline.name, headline.unit)),
            right(spread(measured.spread(Side::Corelane, &headline), headline.digits.min(2))),
            right(spread(measured.spread(Side::Kafka, &headline), headline.digits.min(2))),
            ratio(measured, &headline),
            ratio(measured, &measured.latency()),
            ratio(measured, &CPU_PER_GB),
            right(
                measured
                    .of_the_ceiling(Side::Corelane)
                    .map_or("–".into(), |s| format!("{:.2}", s.median)),
            ),
        ]);
    }
    table
}

/// Green where Corelane is ahead, red where Kafka is.
fn ratio(measured: &Measured, figure: &Figure) -> Cell {
    let Some(spread) = measured.ratio(figure) else {
        return Cell::new("–").set_alignment(CellAlignment::Right);
    };
    let color = if spread.median < 1.0 { Color::Red } else { Color::Green };
    let text = format!("{} ({}–{})", times(spread.median), times(spread.min), times(spread.max));
    Cell::new(text).fg(color).set_alignment(CellAlignment::Right)
}

/// A ratio with as many digits as tell something.
pub fn times(ratio: f64) -> String {
    match ratio {
        ratio if ratio >= 100.0 => format!("{ratio:.0}"),
        ratio if ratio >= 10.0 => format!("{ratio:.1}"),
        ratio => format!("{ratio:.2}"),
    }
}

/// "median (least–most)", or a dash for no runs.
pub fn spread(spread: Option<Spread>, digits: usize) -> String {
    match spread {
        None => "–".to_owned(),
        Some(Spread { median, min, max }) => {
            format!("{} ({}–{})", number(median, digits), number(min, digits), number(max, digits))
        }
    }
}

/// A number with narrow spaces between its thousands.
pub fn number(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (at, c) in whole.char_indices() {
        let left = whole.len() - at;
        if at > 0 && left % 3 == 0 && whole.as_bytes()[at - 1].is_ascii_digit() {
            grouped.push('\u{202f}');
        }
        grouped.push(c);
    }
    grouped + fraction
}
