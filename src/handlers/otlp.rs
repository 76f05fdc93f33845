//! What clients push of themselves (KIP-714): OpenTelemetry's `MetricsData`, compressed with one of Kafka's
//! codecs, as single points.

use std::fmt::Write;
use std::io::Read;

use corelane_shards::log::batch::Codec;
use corelane_shards::log::decompressed;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, MetricsData};
use prost::Message;

/// Why a push cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    #[error("it is more than {most} bytes without its compression")]
    TooLarge { most: usize },
    #[error("it cannot be decompressed: {0}")]
    Compression(#[from] std::io::Error),
    #[error("it is not OTLP: {0}")]
    Format(#[from] prost::DecodeError),
}

/// One value of a metric, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    pub metric: String,
    /// What sort of metric it is; a sum is one since the last push (`delta`) or since the client's start.
    pub kind: &'static str,
    pub value: String,
    /// `name=value`, with commas between.
    pub attributes: String,
}

/// The codec of that number in a request.
pub fn codec(number: i8) -> Option<Codec> {
    let all = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    all.into_iter().find(|codec| codec.attribute() == i16::from(number))
}

/// Decodes a push. What it holds takes up to a hundred times `most` while it is decoded.
///
/// # Errors
/// See [`OtlpError`].
pub fn points(codec: Codec, bytes: &[u8], most: usize) -> Result<Vec<Point>, OtlpError> {
    let mut plain = Vec::new();
    decompressed(codec, bytes)?.take(most as u64 + 1).read_to_end(&mut plain)?;
    if plain.len() > most {
        return Err(OtlpError::TooLarge { most });
    }
    let data = MetricsData::decode(&plain[..])?;
    let metrics = data.resource_metrics.into_iter().flat_map(|of| of.scope_metrics);
    Ok(metrics.flat_map(|of| of.metrics).flat_map(points_of).collect())
}

fn points_of(metric: Metric) -> Vec<Point> {
    let Metric { name, data, .. } = metric;
    let point = |kind, value: String, attributes: &[KeyValue]| Point {
        metric: name.clone(),
        kind,
        value,
        attributes: text_of(attributes),
    };
    let counted =
        |count: u64, sum: Option<f64>| format!("count {count}, sum {}", sum.unwrap_or(0.0));
    match data {
        None => Vec::new(),
        Some(Data::Gauge(of)) => {
            of.data_points.iter().map(|p| point("gauge", number(&p.value), &p.attributes)).collect()
        }
        Some(Data::Sum(of)) => {
            let delta = of.aggregation_temporality == AggregationTemporality::Delta as i32;
            let kind = if delta { "delta" } else { "sum" };
            of.data_points.iter().map(|p| point(kind, number(&p.value), &p.attributes)).collect()
        }
        Some(Data::Histogram(of)) => of
            .data_points
            .iter()
            .map(|p| point("histogram", counted(p.count, p.sum), &p.attributes))
            .collect(),
        Some(Data::ExponentialHistogram(of)) => of
            .data_points
            .iter()
            .map(|p| point("histogram", counted(p.count, p.sum), &p.attributes))
            .collect(),
        Some(Data::Summary(of)) => of
            .data_points
            .iter()
            .map(|p| point("summary", counted(p.count, Some(p.sum)), &p.attributes))
            .collect(),
    }
}

fn number(value: &Option<Number>) -> String {
    match value {
        Some(Number::AsInt(value)) => value.to_string(),
        Some(Number::AsDouble(value)) => value.to_string(),
        None => String::new(),
    }
}

fn text_of(attributes: &[KeyValue]) -> String {
    let mut out = String::new();
    for attribute in attributes {
        let comma = if out.is_empty() { "" } else { "," };
        // Writing to memory does not fail.
        let _ = write!(out, "{comma}{}=", attribute.key);
        let _ = match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::StringValue(text)) => write!(out, "{text}"),
            Some(Value::BoolValue(value)) => write!(out, "{value}"),
            Some(Value::IntValue(value)) => write!(out, "{value}"),
            Some(Value::DoubleValue(value)) => write!(out, "{value}"),
            // Clients have no others: lists and bytes are left out.
            _ => Ok(()),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use corelane_shards::log::compressed;
    use opentelemetry_proto::tonic::common::v1::AnyValue;
    use opentelemetry_proto::tonic::metrics::v1::{
        Gauge, Histogram, HistogramDataPoint, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    };

    use super::*;

    fn data(metrics: Vec<Metric>) -> Vec<u8> {
        let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
        let resource_metrics = vec![ResourceMetrics { scope_metrics, ..Default::default() }];
        MetricsData { resource_metrics }.encode_to_vec()
    }

    fn metric(name: &str, data: Data) -> Metric {
        Metric { name: name.to_string(), data: Some(data), ..Default::default() }
    }

    #[test]
    fn points_are_read_through_every_codec() {
        let node = KeyValue {
            key: "node_id".to_string(),
            value: Some(AnyValue { value: Some(Value::IntValue(1)) }),
            ..Default::default()
        };
        let gauge = NumberDataPoint { value: Some(Number::AsDouble(1.5)), ..Default::default() };
        let sum = NumberDataPoint {
            value: Some(Number::AsInt(7)),
            attributes: vec![node.clone(), node],
            ..Default::default()
        };
        let delta = AggregationTemporality::Delta as i32;
        let times = HistogramDataPoint { count: 3, sum: Some(9.0), ..Default::default() };
        let bytes = data(vec![
            metric("a", Data::Gauge(Gauge { data_points: vec![gauge] })),
            metric(
                "b",
                Data::Sum(Sum {
                    data_points: vec![sum],
                    aggregation_temporality: delta,
                    is_monotonic: true,
                }),
            ),
            metric(
                "c",
                Data::Histogram(Histogram { data_points: vec![times], ..Default::default() }),
            ),
        ]);
        for number in 0..=4 {
            let codec = codec(number).expect("a codec");
            let sent = compressed(codec, &bytes).expect("compresses");
            let read = points(codec, &sent, bytes.len()).expect("reads");
            let shown: Vec<_> = read
                .iter()
                .map(|p| format!("{} {} {} {}", p.metric, p.kind, p.value, p.attributes))
                .collect();
            let expected =
                ["a gauge 1.5 ", "b delta 7 node_id=1,node_id=1", "c histogram count 3, sum 9 "];
            assert_eq!(shown, expected);
            let small = points(codec, &sent, bytes.len() - 1);
            assert!(matches!(small, Err(OtlpError::TooLarge { .. })));
        }
        assert!(codec(5).is_none() && codec(-1).is_none());
    }

    #[test]
    fn what_is_no_push_is_an_error() {
        for number in 0..=4 {
            assert!(points(codec(number).expect("a codec"), &[0xff; 40], 1_000).is_err());
        }
    }
}
