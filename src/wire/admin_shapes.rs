//! The layouts of requests that look after the cluster, beside those of `shapes`.

use super::shape::{Kind, Shape};
use super::shapes::{all, from, list, only, shape, BYTE, I16, I32, I64, TEXT, UUID};
use super::ApiKey;

/// A topic and numbers of its partitions.
const PARTITIONS: Kind = list(&Kind::Group(&[all(TEXT), all(list(&I32))]));
/// Of quotas: what they are for, a kind of entity and its name.
const ENTITY: Kind = list(&Kind::Group(&[all(TEXT), all(TEXT)]));

pub(super) const ADMIN_SHAPES: &[Shape] = &[
    shape(ApiKey::ElectLeaders, 2, &[from(1, BYTE), all(PARTITIONS), all(I32)]),
    shape(
        ApiKey::AlterPartitionReassignments,
        0,
        &[
            all(I32),
            from(1, BYTE),
            all(list(&Kind::Group(&[
                all(TEXT),
                all(list(&Kind::Group(&[all(I32), all(list(&I32))]))),
            ]))),
        ],
    ),
    shape(ApiKey::ListPartitionReassignments, 0, &[all(I32), all(PARTITIONS)]),
    shape(
        ApiKey::DescribeTopicPartitions,
        0,
        &[
            all(list(&Kind::Group(&[all(TEXT)]))),
            all(I32),
            all(Kind::Maybe(&[all(TEXT), all(I32)])),
        ],
    ),
    shape(ApiKey::UnregisterBroker, 0, &[all(I32)]),
    shape(ApiKey::GetTelemetrySubscriptions, 0, &[all(UUID)]),
    shape(ApiKey::PushTelemetry, 0, &[all(UUID), all(I32), all(BYTE), all(BYTE), all(Kind::Bytes)]),
    shape(
        ApiKey::DescribeClientQuotas,
        1,
        &[all(list(&Kind::Group(&[all(TEXT), all(BYTE), all(TEXT)]))), all(BYTE)],
    ),
    shape(
        ApiKey::AlterClientQuotas,
        1,
        &[
            all(list(&Kind::Group(&[
                all(ENTITY),
                all(list(&Kind::Group(&[all(TEXT), all(I64), all(BYTE)]))),
            ]))),
            all(BYTE),
        ],
    ),
    shape(
        ApiKey::DescribeShareGroupOffsets,
        0,
        &[all(list(&Kind::Group(&[
            all(TEXT),
            all(list(&Kind::Group(&[all(TEXT), all(list(&I32))]))),
        ])))],
    ),
    shape(
        ApiKey::AlterShareGroupOffsets,
        0,
        &[
            all(TEXT),
            all(list(&Kind::Group(&[all(TEXT), all(list(&Kind::Group(&[all(I32), all(I64)])))]))),
        ],
    ),
    shape(ApiKey::DeleteShareGroupOffsets, 0, &[all(TEXT), all(list(&Kind::Group(&[all(TEXT)])))]),
    shape(ApiKey::DescribeUserScramCredentials, 0, &[all(list(&Kind::Group(&[all(TEXT)])))]),
    shape(
        ApiKey::UpdateFeatures,
        0,
        &[
            all(I32),
            all(list(&Kind::Group(&[all(TEXT), all(I16), only(0, 0, BYTE), from(1, BYTE)]))),
            from(1, BYTE),
        ],
    ),
];
