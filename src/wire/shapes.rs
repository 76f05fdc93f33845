//! The layouts of the requests that the `kafka-protocol` crate decodes, from Kafka's message
//! definitions. Produce and Fetch have codecs of their own.

use super::admin_shapes::ADMIN_SHAPES;
use super::shape::{Field, Kind, Shape};
use super::ApiKey;

/// Later than any version.
const ON: i16 = i16::MAX;

pub(super) const BYTE: Kind = Kind::Fixed(1);
pub(super) const I16: Kind = Kind::Fixed(2);
pub(super) const I32: Kind = Kind::Fixed(4);
pub(super) const I64: Kind = Kind::Fixed(8);
pub(super) const UUID: Kind = Kind::Fixed(16);
pub(super) const TEXT: Kind = Kind::Text;

pub(super) const fn all(kind: Kind) -> Field {
    Field { from: 0, to: ON, kind }
}

pub(super) const fn from(version: i16, kind: Kind) -> Field {
    Field { from: version, to: ON, kind }
}

pub(super) const fn only(from: i16, to: i16, kind: Kind) -> Field {
    Field { from, to, kind }
}

pub(super) const fn list(entry: &'static Kind) -> Kind {
    Kind::List(entry)
}

/// Of most answers' entries: a name, some numbers, perhaps a message.
const ANSWER_BYTES: usize = 512;
/// Of answers that list the configuration of each entry.
const CONFIGS_BYTES: usize = 16 << 10;

pub(super) const fn shape(key: ApiKey, flexible_from: i16, fields: &'static [Field]) -> Shape {
    let answer_bytes = match key {
        ApiKey::CreateTopics | ApiKey::DescribeConfigs => CONFIGS_BYTES,
        _ => ANSWER_BYTES,
    };
    Shape { key, flexible_from, answer_bytes, fields }
}

/// The layout of `key`'s requests, where the crate decodes them.
pub fn find(key: ApiKey) -> Option<&'static Shape> {
    SHAPES.iter().chain(ADMIN_SHAPES).find(|shape| shape.key == key)
}

/// Offsets, and what is said of them.
const VERDICTS: Kind = list(&Kind::Group(&[all(I64), all(I64), all(list(&BYTE))]));
/// Partitions of topics, with what is said of their records.
const JUDGED: Kind =
    list(&Kind::Group(&[all(UUID), all(list(&Kind::Group(&[all(I32), all(VERDICTS)])))]));

const SHAPES: &[Shape] = &[
    shape(
        ApiKey::ListOffsets,
        6,
        &[
            all(I32),
            from(2, BYTE),
            all(list(&Kind::Group(&[
                all(TEXT),
                all(list(&Kind::Group(&[all(I32), from(4, I32), all(I64)]))),
            ]))),
            from(10, I32),
        ],
    ),
    shape(
        ApiKey::Metadata,
        9,
        &[
            all(list(&Kind::Group(&[from(10, UUID), all(TEXT)]))),
            from(4, BYTE),
            only(8, 10, BYTE),
            from(8, BYTE),
        ],
    ),
    shape(
        ApiKey::JoinGroup,
        6,
        &[
            all(TEXT),
            all(I32),
            from(1, I32),
            all(TEXT),
            from(5, TEXT),
            all(TEXT),
            all(list(&Kind::Group(&[all(TEXT), all(Kind::Bytes)]))),
            from(8, TEXT),
        ],
    ),
    shape(
        ApiKey::SyncGroup,
        4,
        &[
            all(TEXT),
            all(I32),
            all(TEXT),
            from(3, TEXT),
            from(5, TEXT),
            from(5, TEXT),
            all(list(&Kind::Group(&[all(TEXT), all(Kind::Bytes)]))),
        ],
    ),
    shape(ApiKey::DescribeGroups, 5, &[all(list(&TEXT)), from(3, BYTE)]),
    shape(ApiKey::ListGroups, 3, &[from(4, list(&TEXT)), from(5, list(&TEXT))]),
    shape(ApiKey::DeleteGroups, 2, &[all(list(&TEXT))]),
    shape(
        ApiKey::OffsetDelete,
        ON,
        &[all(TEXT), all(list(&Kind::Group(&[all(TEXT), all(list(&Kind::Group(&[all(I32)])))])))],
    ),
    shape(ApiKey::Heartbeat, 4, &[all(TEXT), all(I32), all(TEXT), from(3, TEXT)]),
    shape(
        ApiKey::LeaveGroup,
        4,
        &[
            all(TEXT),
            only(0, 2, TEXT),
            from(3, list(&Kind::Group(&[all(TEXT), all(TEXT), from(5, TEXT)]))),
        ],
    ),
    shape(
        ApiKey::OffsetCommit,
        8,
        &[
            all(TEXT),
            from(1, I32),
            from(1, TEXT),
            from(7, TEXT),
            only(2, 4, I64),
            all(list(&Kind::Group(&[
                all(TEXT),
                all(list(&Kind::Group(&[all(I32), all(I64), from(6, I32), all(TEXT)]))),
            ]))),
        ],
    ),
    shape(
        ApiKey::OffsetFetch,
        6,
        &[
            only(0, 7, TEXT),
            only(0, 7, list(&Kind::Group(&[all(TEXT), all(list(&I32))]))),
            from(
                8,
                list(&Kind::Group(&[
                    all(TEXT),
                    from(9, TEXT),
                    from(9, I32),
                    all(list(&Kind::Group(&[all(TEXT), all(list(&I32))]))),
                ])),
            ),
            from(7, BYTE),
        ],
    ),
    shape(ApiKey::FindCoordinator, 3, &[only(0, 3, TEXT), from(1, BYTE), from(4, list(&TEXT))]),
    shape(ApiKey::ApiVersions, 3, &[from(3, TEXT), from(3, TEXT)]),
    shape(
        ApiKey::CreateTopics,
        5,
        &[
            all(list(&Kind::Group(&[
                all(TEXT),
                all(I32),
                all(I16),
                all(list(&Kind::Group(&[all(I32), all(list(&I32))]))),
                all(list(&Kind::Group(&[all(TEXT), all(TEXT)]))),
            ]))),
            all(I32),
            from(1, BYTE),
        ],
    ),
    shape(
        ApiKey::DeleteTopics,
        4,
        &[from(6, list(&Kind::Group(&[all(TEXT), all(UUID)]))), only(0, 5, list(&TEXT)), all(I32)],
    ),
    shape(
        ApiKey::DeleteRecords,
        2,
        &[
            all(list(&Kind::Group(&[all(TEXT), all(list(&Kind::Group(&[all(I32), all(I64)])))]))),
            all(I32),
        ],
    ),
    shape(ApiKey::InitProducerId, 2, &[all(TEXT), all(I32), from(3, I64), from(3, I16)]),
    shape(
        ApiKey::AddPartitionsToTxn,
        3,
        &[
            from(
                4,
                list(&Kind::Group(&[
                    all(TEXT),
                    all(I64),
                    all(I16),
                    all(BYTE),
                    all(list(&Kind::Group(&[all(TEXT), all(list(&I32))]))),
                ])),
            ),
            only(0, 3, TEXT),
            only(0, 3, I64),
            only(0, 3, I16),
            only(0, 3, list(&Kind::Group(&[all(TEXT), all(list(&I32))]))),
        ],
    ),
    shape(ApiKey::AddOffsetsToTxn, 3, &[all(TEXT), all(I64), all(I16), all(TEXT)]),
    shape(ApiKey::EndTxn, 3, &[all(TEXT), all(I64), all(I16), all(BYTE)]),
    shape(ApiKey::DescribeTransactions, 0, &[all(list(&TEXT))]),
    shape(
        ApiKey::ListTransactions,
        0,
        &[all(list(&TEXT)), all(list(&I64)), from(1, I64), from(2, TEXT)],
    ),
    shape(
        ApiKey::OffsetForLeaderEpoch,
        4,
        &[
            from(3, I32),
            all(list(&Kind::Group(&[
                all(TEXT),
                all(list(&Kind::Group(&[all(I32), from(2, I32), all(I32)]))),
            ]))),
        ],
    ),
    shape(
        ApiKey::DescribeConfigs,
        4,
        &[
            all(list(&Kind::Group(&[all(BYTE), all(TEXT), all(list(&TEXT))]))),
            from(1, BYTE),
            from(3, BYTE),
        ],
    ),
    shape(
        ApiKey::AlterConfigs,
        2,
        &[
            all(list(&Kind::Group(&[
                all(BYTE),
                all(TEXT),
                all(list(&Kind::Group(&[all(TEXT), all(TEXT)]))),
            ]))),
            all(BYTE),
        ],
    ),
    shape(
        ApiKey::IncrementalAlterConfigs,
        1,
        &[
            all(list(&Kind::Group(&[
                all(BYTE),
                all(TEXT),
                all(list(&Kind::Group(&[all(TEXT), all(BYTE), all(TEXT)]))),
            ]))),
            all(BYTE),
        ],
    ),
    shape(ApiKey::ListConfigResources, 0, &[from(1, list(&BYTE))]),
    shape(
        ApiKey::AlterReplicaLogDirs,
        2,
        &[all(list(&Kind::Group(&[
            all(TEXT),
            all(list(&Kind::Group(&[all(TEXT), all(list(&I32))]))),
        ])))],
    ),
    shape(ApiKey::DescribeLogDirs, 2, &[all(list(&Kind::Group(&[all(TEXT), all(list(&I32))])))]),
    shape(
        ApiKey::CreatePartitions,
        2,
        &[
            all(list(&Kind::Group(&[
                all(TEXT),
                all(I32),
                all(list(&Kind::Group(&[all(list(&I32))]))),
            ]))),
            all(I32),
            all(BYTE),
        ],
    ),
    shape(
        ApiKey::WriteTxnMarkers,
        1,
        &[all(list(&Kind::Group(&[
            all(I64),
            all(I16),
            all(BYTE),
            all(list(&Kind::Group(&[all(TEXT), all(list(&I32))]))),
            all(I32),
        ])))],
    ),
    shape(
        ApiKey::TxnOffsetCommit,
        3,
        &[
            all(TEXT),
            all(TEXT),
            all(I64),
            all(I16),
            from(3, I32),
            from(3, TEXT),
            from(3, TEXT),
            all(list(&Kind::Group(&[
                all(TEXT),
                all(list(&Kind::Group(&[all(I32), all(I64), from(2, I32), all(TEXT)]))),
            ]))),
        ],
    ),
    shape(ApiKey::DescribeProducers, 0, &[all(list(&Kind::Group(&[all(TEXT), all(list(&I32))])))]),
    shape(
        ApiKey::ConsumerGroupHeartbeat,
        0,
        &[
            all(TEXT),
            all(TEXT),
            all(I32),
            all(TEXT),
            all(TEXT),
            all(I32),
            all(list(&TEXT)),
            from(1, TEXT),
            all(TEXT),
            all(list(&Kind::Group(&[all(UUID), all(list(&I32))]))),
        ],
    ),
    shape(ApiKey::ConsumerGroupDescribe, 0, &[all(list(&TEXT)), all(BYTE)]),
    shape(
        ApiKey::ShareGroupHeartbeat,
        0,
        &[all(TEXT), all(TEXT), all(I32), all(TEXT), all(list(&TEXT))],
    ),
    shape(ApiKey::ShareGroupDescribe, 0, &[all(list(&TEXT)), all(BYTE)]),
    shape(
        ApiKey::ShareFetch,
        0,
        &[
            all(TEXT),
            all(TEXT),
            all(I32),
            all(I32),
            all(I32),
            all(I32),
            all(I32),
            all(I32),
            all(JUDGED),
            all(list(&Kind::Group(&[all(UUID), all(list(&I32))]))),
        ],
    ),
    shape(ApiKey::ShareAcknowledge, 0, &[all(TEXT), all(TEXT), all(I32), all(JUDGED)]),
    shape(ApiKey::DescribeCluster, 0, &[all(BYTE), from(1, BYTE), from(2, BYTE)]),
];
