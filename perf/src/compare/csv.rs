//! Every value of every run as a line.

use anyhow::Result;

use super::results::{Results, Side, FIGURES};

/// Columns: workload, pair, side, figure, unit, value.
pub fn write(results: &Results) -> Result<String> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(["workload", "pair", "side", "figure", "unit", "value"])?;
    for measured in &results.workloads {
        let name = measured.workload.name.as_str();
        for (number, pair) in (1..).zip(&measured.pairs) {
            let number = number.to_string();
            for side in Side::ALL {
                let Some(run) = pair.side(side) else { continue };
                for figure in FIGURES {
                    let Some(value) = (figure.of)(run) else { continue };
                    let value = value.to_string();
                    writer.write_record([
                        name,
                        &number,
                        side.name(),
                        figure.name,
                        figure.unit,
                        &value,
                    ])?;
                }
            }
            for (bare, value) in &pair.bare {
                let value = value.to_string();
                writer.write_record([name, &number, "bare", bare.name(), bare.unit(), &value])?;
            }
            if let Some(ceiling) = pair.ceiling {
                let value = ceiling.mb_per_second.to_string();
                writer.write_record([name, &number, "ceiling", "moved", "MB/s", &value])?;
            }
        }
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}
