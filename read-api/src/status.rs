//! `GET /v1/status`: how far the data has come.

use axum::{extract::State, response::Response};
use deadpool_postgres::ClientWrapper;
use guildhall_aggregates::TenantId;
use guildhall_projections::{
    Directory, ErpJournal, Projector, Reporting,
    parked::{self, ParkedStream, PoisonEvent},
    reached,
};
use guildhall_web::{Position, Problem};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ReadState,
    answer::{Asked, Early, One},
    format::Format,
    problems::{AnyRead, of_postgres},
};

pub(crate) fn routes() -> OpenApiRouter<ReadState> {
    OpenApiRouter::new().routes(routes!(status))
}

/// How far history and the read models have come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Progress {
    /// Each read model.
    projections: Vec<ProjectionStatus>,
}

/// How far one read model has come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProjectionStatus {
    /// Its name.
    name: &'static str,
    /// Everything recorded up to here is in it.
    position: Position,
    /// How many records of history it is behind.
    behind: u64,
    /// What of the association it could not follow. Empty unless something is wrong.
    parked: Vec<Parked>,
    /// Records of the association that were left out of it, until it is rebuilt. Empty unless something was wrong.
    left_out: Vec<LeftOut>,
}

/// A stream that a read model could not follow: what happened to it from a record on is not in there.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Parked {
    /// Which stream.
    stream: String,
    /// From which position on.
    first_position: u64,
    /// How many of its records wait.
    events: u64,
    /// Why.
    reason: String,
}

/// A record that a read model goes on without.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LeftOut {
    /// Its stream.
    stream: String,
    /// Where it stands in history.
    position: u64,
    /// Why.
    reason: String,
}

/// How far the data has come
///
/// The `position` of the answer is that of history. A read model is behind while it takes in new records.
#[utoipa::path(
    get,
    path = "/v1/status",
    tag = "operations",
    responses((status = OK, body = One<Progress>), AnyRead),
)]
pub(crate) async fn status(State(read): State<ReadState>, asked: Asked) -> Result<Response, Early> {
    let format = asked.shape(None, &[Format::Json])?;
    let connection = read.pool.get().await.map_err(|error| crate::problems::unavailable(&error))?;
    // History last: no read model can be ahead of it.
    let tenant = asked.caller.tenant;
    let mut projections = vec![
        of::<Directory>(&connection, tenant).await?,
        of::<Reporting>(&connection, tenant).await?,
        of::<ErpJournal>(&connection, tenant).await?,
    ];
    let mark = read.history(None).await?;
    for projection in &mut projections {
        projection.behind = mark.position.0.saturating_sub(projection.position.0);
    }
    asked.passing_answer(format, mark).one(Progress { projections })
}

async fn of<P: Projector>(client: &ClientWrapper, tenant: TenantId) -> Result<ProjectionStatus, Problem> {
    let (position, parked, left_out) =
        tokio::try_join!(reached(client, P::NAME), parked::list(client, P::NAME), parked::left_out(client, P::NAME))
            .map_err(|error| of_postgres(&error))?;
    let parked = parked.into_iter().filter(|parked| parked.tenant == tenant).map(Parked::from).collect();
    let left_out = left_out.into_iter().filter(|event| event.tenant == tenant).map(LeftOut::from).collect();
    Ok(ProjectionStatus { name: P::NAME, position: Position(position), behind: 0, parked, left_out })
}

impl From<ParkedStream> for Parked {
    fn from(parked: ParkedStream) -> Self {
        let ParkedStream { stream, first_position, events, reason, .. } = parked;
        Self { stream: stream.to_string(), first_position, events, reason }
    }
}

impl From<PoisonEvent> for LeftOut {
    fn from(event: PoisonEvent) -> Self {
        let PoisonEvent { stream, position, reason, .. } = event;
        Self { stream: stream.to_string(), position, reason }
    }
}
