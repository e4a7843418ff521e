//! `GET /v1/records`: the history of an association, in order.

use axum::{extract::State, response::Response};
use guildhall_aggregates::TenantId;
use guildhall_event_store::{RecordedEvent, StoreError};
use guildhall_web::{Position, Query};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{
    personal::Opener,
    record::{self, Record},
};
use crate::{
    ReadState,
    answer::{Asked, Early, Page},
    format::ListFormat,
    parameters::{Count, Limit},
    problems::{AnyRead, of_store},
};

/// How many records one request looks at when it looks for a correlation: there is no index for that, so the
/// search goes on from page to page.
const LOOKED_AT: usize = 10_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RecordsQuery {
    /// Only records after this position.
    #[serde(default)]
    #[param(value_type = Option<u64>, minimum = 0)]
    after: Count,
    /// How many records at most.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit,
    /// Only what belongs to this: everything that one request set in motion. One answer looks through ten
    /// thousand records; go on with `next` while there is one, also after an empty page.
    correlation_id: Option<Uuid>,
    /// Show personal data in clear text. Logged.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    open: bool,
    /// A consistency token: wait until this is recorded.
    #[param(value_type = Option<String>, pattern = "^p-[0-9]{1,19}$")]
    at_least: Option<Position>,
    /// The shape of the answer; by `Accept` where not given.
    #[param(inline)]
    format: Option<ListFormat>,
}

/// The history of the association, in order
///
/// Every record of the caller's association by position, or those of one correlation. Positions count the
/// records of all associations together, so those of one have gaps. Needs the scope `auditor`.
#[utoipa::path(
    get,
    path = "/v1/records",
    tag = super::TAG,
    params(RecordsQuery),
    responses((status = OK, content((Page<Record> = "application/json"), (String = "text/csv"))), AnyRead),
)]
pub(crate) async fn records(
    State(read): State<ReadState>,
    asked: Asked,
    Query(query): Query<RecordsQuery>,
) -> Result<Response, Early> {
    super::admit(&asked.caller)?;
    let format = asked.list_shape(query.format)?;
    let mark = read.history(query.at_least).await?;
    let answer = if query.open { asked.passing_answer(format, mark) } else { asked.answer(format, mark, ())? };

    let search = Search {
        tenant: asked.caller.tenant,
        after: query.after.0,
        limit: query.limit.rows(),
        correlation_id: query.correlation_id,
    };
    let (events, next) = search.run(&read).await.map_err(of_store)?;
    let opener = query.open.then(|| Opener::for_auditor(read.store.vault(), &asked.caller, &"records"));
    answer.list(record::of_events(&events, opener.as_ref()).await?, next.map(|next| next.to_string()))
}

struct Search {
    tenant: TenantId,
    after: u64,
    limit: usize,
    correlation_id: Option<Uuid>,
}

impl Search {
    /// The records of a page, and the position to go on after where there may be more.
    async fn run(&self, read: &ReadState) -> Result<(Vec<RecordedEvent>, Option<u64>), StoreError> {
        let page = if self.correlation_id.is_some() { LOOKED_AT } else { self.limit + 1 };
        let looked_at = read.store.read_tenant_after(self.tenant, self.after, page).await?;
        let at_the_end = looked_at.len() < page;
        let last = looked_at.last().map(|event| event.position);
        let mut found: Vec<_> = looked_at.into_iter().filter(|event| self.wants(event)).collect();
        let next = match found.get(self.limit) {
            Some(_) => found.get(self.limit - 1).map(|event| event.position),
            None if at_the_end => None,
            None => last,
        };
        found.truncate(self.limit);
        Ok((found, next))
    }

    /// A record whose metadata cannot be read belongs to nothing.
    fn wants(&self, event: &RecordedEvent) -> bool {
        self.correlation_id
            .is_none_or(|wanted| event.parsed_metadata().is_ok_and(|metadata| metadata.correlation_id == wanted))
    }
}
