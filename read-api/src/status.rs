//! `GET /v1/status`: how far the data has come.

use axum::{extract::State, response::Response};
use guildhall_projections::{Projector, directory::Directory, erp_journal::ErpJournal, reached, reporting::Reporting};
use guildhall_web::{Position, Problem};
use serde::Serialize;
use tokio_postgres::Client;
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
    let mut projections = vec![
        of::<Directory>(&connection).await?,
        of::<Reporting>(&connection).await?,
        of::<ErpJournal>(&connection).await?,
    ];
    let mark = read.history(None).await?;
    for projection in &mut projections {
        projection.behind = mark.position.0.saturating_sub(projection.position.0);
    }
    asked.passing_answer(format, mark).one(Progress { projections })
}

async fn of<P: Projector>(client: &Client) -> Result<ProjectionStatus, Problem> {
    let position = Position(reached(client, P::NAME).await.map_err(|error| of_postgres(&error))?);
    Ok(ProjectionStatus { name: P::NAME, position, behind: 0 })
}
