//! `GET /v1/streams/{stream}/state`: what a thing was, as of a version or a time.

use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use guildhall_aggregates::{
    Decide, StoredEvent, TenantId,
    association::{Association, AssociationRecord},
    association_event::{AssociationEvent, AssociationEventRecord},
    event_roster::{EventRoster, RosterEvent},
    invoice::{Invoice, InvoiceEvent},
    invoice_series::{InvoiceSeries, SeriesEvent},
    member::{Member, MemberEvent},
    membership::{Membership, MembershipEvent},
    membership_plan::{MembershipPlan, PlanEvent},
    payment::{Payment, PaymentEvent},
};
use guildhall_event_store::{EventStore, RecordedEvent, StreamId};
use guildhall_web::{Named, Position, Problem, Query, problem::kind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::personal::Opener;
use crate::{
    ReadState,
    answer::{Asked, Early, One},
    format::Format,
    parameters::Count,
    problems::{Fold, not_found, of_record, of_store},
};

/// How many events are in memory at once while a state is folded.
const PAGE: usize = 1_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StateQuery {
    /// The state after this version of the stream; after the latest where neither this nor `at` is given.
    #[param(value_type = Option<u64>, minimum = 1)]
    version: Option<Count>,
    /// The state at this instant, such as `2026-01-31T12:00:00Z`: after the last record that is not later.
    at: Option<DateTime<Utc>>,
    /// Show personal data in clear text. Logged.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    open: bool,
    /// A consistency token: wait until this is recorded.
    #[param(value_type = Option<String>, pattern = "^p-[0-9]{1,19}$")]
    at_least: Option<Position>,
}

/// What a thing was.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PastState {
    /// Which thing.
    stream: String,
    /// The version the state is of.
    version: u64,
    /// When the record of this version was made.
    recorded_at: DateTime<Utc>,
    /// The state as the rules see it: what later decisions depend on, not all that was recorded.
    state: Value,
}

/// What one thing was, as of a version or a time
///
/// The stream's records up to there, folded by the very rules that decide about commands. Needs the scope
/// `auditor`.
#[utoipa::path(
    get,
    path = "/v1/streams/{stream}/state",
    tag = super::TAG,
    params(("stream" = String, Path, description = "`category-uuid`", pattern = "^[a-z_]+-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", example = "membership-0198c0de-0000-7000-8000-000000000001"), StateQuery),
    responses((status = OK, body = One<PastState>), Fold),
)]
pub(crate) async fn state_of_stream(
    State(read): State<ReadState>,
    asked: Asked,
    Named(stream): Named<StreamId>,
    Query(query): Query<StateQuery>,
) -> Result<Response, Early> {
    super::admit(&asked.caller)?;
    let until = until(&query)?;
    let format = asked.shape(None, &[Format::Json])?;
    let mark = read.history(query.at_least).await?;
    let answer = if query.open { asked.passing_answer(format, mark) } else { asked.answer(format, mark, ())? };

    let past = Past { store: &read.store, tenant: asked.caller.tenant, stream: &stream, until };
    let mut found = past.state().await?.ok_or_else(|| not_found("stream, or none that far back"))?;
    if query.open {
        let opener = Opener::for_auditor(read.store.vault(), &asked.caller, &stream);
        found.state = opener.open(found.state).await?;
    }
    answer.one(found)
}

/// The last record that counts.
#[derive(Debug, Clone, Copy)]
enum Until {
    Latest,
    Version(u64),
    At(DateTime<Utc>),
}

fn until(query: &StateQuery) -> Result<Until, Problem> {
    match (query.version, query.at) {
        (None, None) => Ok(Until::Latest),
        (Some(Count(version)), None) => Ok(Until::Version(version)),
        (None, Some(at)) => Ok(Until::At(at)),
        (Some(_), Some(_)) => Err(Problem::new(kind::INVALID_QUERY, "Give `version` or `at`, not both.")),
    }
}

impl Until {
    fn includes(self, event: &RecordedEvent) -> bool {
        match self {
            Self::Latest => true,
            Self::Version(version) => event.version <= version,
            Self::At(at) => event.recorded_at <= at,
        }
    }

    /// A version that was never reached has no state.
    fn is_met_by(self, version: u64) -> bool {
        match self {
            Self::Latest | Self::At(_) => version > 0,
            Self::Version(wanted) => version == wanted && version > 0,
        }
    }
}

struct Past<'a> {
    store: &'a EventStore,
    tenant: TenantId,
    stream: &'a StreamId,
    until: Until,
}

impl Past<'_> {
    /// The state of the stream, whatever its category. A category nobody knows has no streams.
    async fn state(&self) -> Result<Option<PastState>, Problem> {
        match &*self.stream.category {
            AssociationRecord::CATEGORY => self.fold::<Association>().await,
            AssociationEventRecord::CATEGORY => self.fold::<AssociationEvent>().await,
            RosterEvent::CATEGORY => self.fold::<EventRoster>().await,
            InvoiceEvent::CATEGORY => self.fold::<Invoice>().await,
            SeriesEvent::CATEGORY => self.fold::<InvoiceSeries>().await,
            MemberEvent::CATEGORY => self.fold::<Member>().await,
            MembershipEvent::CATEGORY => self.fold::<Membership>().await,
            PlanEvent::CATEGORY => self.fold::<MembershipPlan>().await,
            PaymentEvent::CATEGORY => self.fold::<Payment>().await,
            _ => Ok(None),
        }
    }

    async fn fold<A: Decide>(&self) -> Result<Option<PastState>, Problem> {
        let (mut state, mut version, mut recorded_at) = (A::default(), 0, None);
        'history: loop {
            let events = self.store.read_stream(self.tenant, self.stream, version, PAGE).await.map_err(of_store)?;
            for event in &events {
                if !self.until.includes(event) {
                    break 'history;
                }
                state.apply(event.decode().map_err(|error| of_record(&error))?);
                (version, recorded_at) = (event.version, Some(event.recorded_at));
            }
            if events.len() < PAGE {
                break;
            }
        }
        let Some(recorded_at) = recorded_at.filter(|_| self.until.is_met_by(version)) else { return Ok(None) };
        let state = serde_json::to_value(state).map_err(|error| Problem::internal(&error))?;
        Ok(Some(PastState { stream: self.stream.to_string(), version, recorded_at, state }))
    }
}
