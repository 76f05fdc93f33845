//! ListTransactions (key 66), versions 0–2: transactional ids by state, producer, duration and
//! a pattern that they match as a whole (KIP-664, KIP-994, KIP-1152).

use kafka_protocol::messages::list_transactions_response::TransactionState;
use kafka_protocol::messages::{
    ListTransactionsRequest, ListTransactionsResponse, ProducerId, TransactionalId,
};

use super::route::ask_owners;
use super::RequestContext;
use crate::clock::now_ms;
use crate::group::TRANSACTION_TOPIC;
use crate::partition::{Operation, Outcome, TransactionView};
use crate::pattern;
use crate::transaction::State;
use crate::wire::{ErrorCode, StrBytes};

pub async fn handle(
    cx: &RequestContext,
    version: i16,
    request: ListTransactionsRequest,
) -> ListTransactionsResponse {
    let (states, producers) = (&request.state_filters, &request.producer_id_filters);
    let longer_than_ms = if version >= 1 { request.duration_filter } else { -1 };
    let asked = request.transactional_id_pattern.as_deref().filter(|_| version >= 2);
    let pattern = match asked.filter(|pattern| !pattern.is_empty()).map(pattern::whole).transpose()
    {
        Ok(pattern) => pattern,
        Err(_) => {
            return ListTransactionsResponse::default()
                .with_error_code(ErrorCode::InvalidRegularExpression.code())
        }
    };
    let now = now_ms();
    let is_asked = |view: &TransactionView| {
        (states.is_empty() || states.iter().any(|state| **state == *view.state))
            && (producers.is_empty() || producers.contains(&ProducerId(view.producer.id)))
            && pattern.as_ref().is_none_or(|pattern| pattern.is_match(&view.id))
            && (longer_than_ms < 0 || now.saturating_sub(view.start_ms) > longer_than_ms)
    };
    let found = ask_owners(
        cx,
        TRANSACTION_TOPIC,
        || Operation::ListTransactions,
        |outcome| match outcome {
            Outcome::ListTransactions(views) => Some(views),
            _ => None,
        },
    );
    let (found, wrong) = found.await;
    let listed = found.into_iter().filter(is_asked).map(|view| {
        TransactionState::default()
            .with_producer_id(ProducerId(view.producer.id))
            .with_transaction_state(StrBytes::from_static_str(view.state))
            .with_transactional_id(TransactionalId(StrBytes::from_string(view.id)))
    });
    let listed = listed.collect();
    let unknown = request.state_filters.iter().filter(|state| !State::is_known(state));
    ListTransactionsResponse::default()
        .with_error_code(wrong.map_or(0, |code| code.code()))
        .with_unknown_state_filters(unknown.cloned().collect())
        .with_transaction_states(listed)
}
