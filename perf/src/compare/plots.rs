//! The report's plots, as SVG.

use anyhow::Result;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::results::{Figure, Measured, Results, Side, CPU_PER_GB};
use super::table::{number, times};
use crate::stats::Spread;

const CORELANE: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);
const KAFKA: RGBColor = RGBColor(0xd9, 0x6b, 0x1c);
const NATS: RGBColor = RGBColor(0x2f, 0x8f, 0x5b);
const CEILING: RGBColor = RGBColor(0x80, 0x80, 0x80);
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const FAINT: RGBColor = RGBColor(0xe4, 0xe4, 0xe4);
const SIZE: (u32, u32) = (380, 260);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn color(side: Side) -> RGBColor {
    match side {
        Side::Corelane => CORELANE,
        Side::Kafka => KAFKA,
        Side::Nats => NATS,
    }
}

fn font(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

fn centered(size: u32) -> TextStyle<'static> {
    font(size).pos(Pos::new(HPos::Center, VPos::Center))
}

/// Draws into a string. plotters' errors hold the borrowed backend and are told by their text.
fn svg(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Result<(), String>) -> Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&area).and_then(|()| area.present().map_err(told)).map_err(anyhow::Error::msg)?;
    }
    Ok(text)
}

/// The plot for a page: it shrinks with a narrow window.
pub fn shrinking(svg: &str) -> String {
    let end = svg.find('>').unwrap_or(svg.len());
    let attribute = |name: &str| {
        let (_, rest) = svg[..end].split_once(&format!(" {name}=\""))?;
        rest.split_once('"').map(|(value, _)| value)
    };
    let (Some(width), Some(height)) = (attribute("width"), attribute("height")) else {
        return svg.to_owned();
    };
    let from = format!("width=\"{width}\" height=\"{height}\"");
    svg.replacen(&from, &format!("class=\"plot\" style=\"max-width:{width}px\""), 1)
}

fn told(error: impl std::fmt::Display) -> String {
    format!("a plot: {error}")
}

/// How many times better Corelane is in the figure of each workload: dots are pairs.
pub fn ratios(results: &Results) -> Result<String> {
    let rows: Vec<(&Measured, Figure, Vec<f64>)> = results
        .workloads
        .iter()
        .map(|measured| (measured, measured.headline(), measured.ratios(&measured.headline())))
        .filter(|(_, _, ratios)| !ratios.is_empty())
        .collect();
    let all = rows.iter().flat_map(|(_, _, ratios)| ratios.iter().copied());
    let (low, high) = all.fold((0.5f64, 2.0f64), |(low, high), r| (low.min(r), high.max(r)));
    let (low, high) = (low / 1.3, high * 1.6);
    let (left, right, top, row_height) = (360i32, 30i32, 40i32, 26i32);
    let width = 860i32;
    let height = top + row_height * rows.len() as i32 + 16;
    let x = |ratio: f64| {
        let part = (ratio.ln() - low.ln()) / (high.ln() - low.ln());
        left + (part * f64::from(width - left - right)) as i32
    };
    svg((width as u32, height as u32), |area| {
        for tick in
            [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1e3, 1e4]
        {
            if tick < low || tick > high {
                continue;
            }
            let shade = if tick == 1.0 { INK } else { FAINT };
            let line = vec![(x(tick), top - 8), (x(tick), height - 8)];
            area.draw(&PathElement::new(line, shade)).map_err(told)?;
            area.draw(&Text::new(format!("{tick}×"), (x(tick), top - 20), centered(12)))
                .map_err(told)?;
        }
        for (at, (measured, figure, ratios)) in rows.iter().enumerate() {
            let y = top + row_height * at as i32 + row_height / 2;
            let label = format!("{}: {}", measured.workload.name, figure.name);
            let style = font(12).pos(Pos::new(HPos::Right, VPos::Center));
            area.draw(&Text::new(label, (left - 12, y), style)).map_err(told)?;
            let Some(Spread { median, .. }) = Spread::of(ratios) else { continue };
            let ahead = if median < 1.0 { KAFKA } else { CORELANE };
            let (from, to) = (x(median.min(1.0)), x(median.max(1.0)));
            area.draw(&Rectangle::new([(from, y - 6), (to, y + 6)], ahead.mix(0.45).filled()))
                .map_err(told)?;
            for &ratio in ratios {
                area.draw(&Circle::new((x(ratio), y), 2, ahead.filled())).map_err(told)?;
            }
            let last = ratios.iter().copied().fold(median.max(1.0), f64::max);
            let style = font(12).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(format!("{}×", times(median)), (x(last) + 8, y), style))
                .map_err(told)?;
        }
        Ok(())
    })
}

/// A column of a bar plot: its name, its color, the value of each run.
type Column = (&'static str, RGBColor, Vec<f64>);

/// The figure on both sides: bars are medians, dots runs. The ceiling beside them where it is MB/s.
pub fn figure(measured: &Measured, figure: &Figure) -> Result<Option<String>> {
    let mut columns: Vec<Column> = Side::ALL
        .iter()
        .map(|&side| (side.name(), color(side), measured.values(side, figure)))
        .collect();
    if figure.unit == "MB/s" {
        columns.push((
            "ceiling",
            CEILING,
            measured.pairs.iter().filter_map(|pair| Some(pair.ceiling?.mb_per_second)).collect(),
        ));
    } else if figure.unit == CPU_PER_GB.unit {
        columns.push((
            "ceiling",
            CEILING,
            measured.pairs.iter().filter_map(|pair| pair.ceiling?.cpu_seconds_per_gb).collect(),
        ));
    }
    columns.retain(|(_, _, values)| !values.is_empty());
    let most = columns.iter().flat_map(|(_, _, values)| values.iter().copied()).fold(0.0, f64::max);
    if most <= 0.0 {
        return Ok(None);
    }
    svg(SIZE, |area| {
        bars(
            area,
            &format!("{}, {}", figure.name, figure.unit),
            figure.digits,
            &columns,
            most * 1.15,
        )
    })
    .map(Some)
}

fn bars(
    area: &Area<'_>,
    title: &str,
    digits: usize,
    columns: &[Column],
    most: f64,
) -> Result<(), String> {
    let mut chart = ChartBuilder::on(area)
        .caption(title, font(14))
        .margin(8)
        .margin_bottom(28)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..columns.len() as f64, 0.0..most)
        .map_err(told)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .y_labels(6)
        .light_line_style(WHITE)
        .bold_line_style(FAINT)
        .axis_style(FAINT)
        .label_style(font(11))
        .y_label_formatter(&|value| number(*value, if most < 10.0 { 2 } else { 0 }))
        .draw()
        .map_err(told)?;
    for (at, (name, color, values)) in columns.iter().enumerate() {
        let Some(Spread { median, max, .. }) = Spread::of(values) else { continue };
        let at = at as f64;
        let bar = Rectangle::new([(at + 0.2, 0.0), (at + 0.8, median)], color.mix(0.45).filled());
        chart.draw_series([bar]).map_err(told)?;
        let count = values.len() as f64;
        let dots = values.iter().enumerate().map(|(run, &value)| {
            Circle::new((at + 0.3 + 0.4 * (run as f64 + 0.5) / count, value), 3, color.filled())
        });
        chart.draw_series(dots).map_err(told)?;
        let (x, y) = chart.backend_coord(&(at + 0.5, max.max(median)));
        area.draw(&Text::new(number(median, digits.min(2)), (x, y - 11), centered(12)))
            .map_err(told)?;
        let (x, y) = chart.backend_coord(&(at + 0.5, 0.0));
        area.draw(&Text::new(*name, (x, y + 14), centered(12))).map_err(told)?;
    }
    Ok(())
}

/// Where a quantile stands: every nine is as far from the last as from the next.
fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

/// Latency by percentile: thin lines are runs, the thick one their median. None without latencies.
pub fn latency(measured: &Measured) -> Result<Option<String>> {
    let sides: Vec<(Side, Vec<_>)> =
        Side::ALL.iter().map(|&side| (side, measured.curves(side))).collect();
    let sides: Vec<(Side, Vec<_>)> =
        sides.into_iter().filter(|(_, curves)| !curves.is_empty()).collect();
    let points =
        sides.iter().flat_map(|(_, curves)| curves.iter().flat_map(|profile| profile.curve.iter()));
    let (mut low, mut high, mut last) = (f64::MAX, 0.0f64, 1.0f64);
    for &(quantile, us) in points {
        low = low.min(us / 1e3);
        high = high.max(us / 1e3);
        last = last.max(nines(quantile));
    }
    if high <= 0.0 {
        return Ok(None);
    }
    let title = format!("{} by percentile, ms", measured.curves_are_of());
    svg((SIZE.0 + 60, SIZE.1), |area| {
        let range = (low * 0.8..high * 1.3).log_scale();
        let mut chart = ChartBuilder::on(area)
            .caption(title, font(14))
            .margin(8)
            .margin_right(20)
            .x_label_area_size(28)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..last.ceil(), range)
            .map_err(told)?;
        chart
            .configure_mesh()
            .x_labels(last.ceil() as usize + 1)
            .y_labels(6)
            .light_line_style(WHITE)
            .bold_line_style(FAINT)
            .axis_style(FAINT)
            .label_style(font(11))
            .x_label_formatter(&|nines| percentile(*nines))
            .y_label_formatter(&|ms| milliseconds(*ms))
            .draw()
            .map_err(told)?;
        for (side, curves) in &sides {
            for profile in curves {
                let points =
                    profile.curve.iter().map(|&(quantile, us)| (nines(quantile), us / 1e3));
                chart.draw_series(LineSeries::new(points, color(*side).mix(0.3))).map_err(told)?;
            }
            let middle = median_curve(curves.iter().map(|profile| profile.curve.as_slice()));
            let points = middle.iter().map(|&(quantile, us)| (nines(quantile), us / 1e3));
            chart
                .draw_series(LineSeries::new(points, color(*side).stroke_width(3)))
                .map_err(told)?;
        }
        for (at, (side, _)) in sides.iter().enumerate() {
            let y = 46 + 16 * at as i32;
            area.draw(&Rectangle::new([(76, y - 2), (92, y + 2)], color(*side).filled()))
                .map_err(told)?;
            let style = font(12).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(side.name(), (98, y), style)).map_err(told)?;
        }
        Ok(())
    })
    .map(Some)
}

/// "p99.9" for three nines.
fn percentile(nines: f64) -> String {
    match nines.round() as i32 {
        0 => "least".to_owned(),
        1 => "p90".to_owned(),
        2 => "p99".to_owned(),
        nines => format!("p99.{}", "9".repeat((nines - 2) as usize)),
    }
}

fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms >= 10.0 => number(ms, 0),
        ms if ms >= 1.0 => format!("{ms:.1}"),
        ms if ms >= 0.1 => format!("{ms:.2}"),
        ms => format!("{ms:.3}"),
    }
}

/// The median of all curves that reach so far, at each quantile.
fn median_curve<'a>(curves: impl Iterator<Item = &'a [(f64, f64)]> + Clone) -> Vec<(f64, f64)> {
    let longest = curves.clone().max_by_key(|curve| curve.len()).unwrap_or_default();
    let middle = longest.iter().filter_map(|&(quantile, _)| {
        let at = |curve: &[(f64, f64)]| {
            curve.iter().find(|point| point.0 == quantile).map(|point| point.1)
        };
        let values: Vec<f64> = curves.clone().filter_map(at).collect();
        Some((quantile, Spread::of(&values)?.median))
    });
    middle.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nines_are_evenly_apart_and_named() {
        for (quantile, expected, name) in
            [(0.0, 0.0, "least"), (0.9, 1.0, "p90"), (0.99, 2.0, "p99"), (0.9999, 4.0, "p99.99")]
        {
            assert!((nines(quantile) - expected).abs() < 1e-9);
            assert_eq!(percentile(expected), name);
        }
    }

    #[test]
    fn median_curve_goes_as_far_as_any() {
        let curves: [&[(f64, f64)]; 3] =
            [&[(0.5, 1.0)], &[(0.5, 3.0), (0.9, 7.0)], &[(0.5, 2.0), (0.9, 9.0)]];
        assert_eq!(median_curve(curves.into_iter()), [(0.5, 2.0), (0.9, 8.0)]);
        assert_eq!(median_curve([].into_iter()), []);
    }
}
