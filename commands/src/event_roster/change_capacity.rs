use guildhall_aggregates::{
    AssociationEventId,
    event_roster::{self, EventRoster},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, wire::Line};

/// Give a pool another size. What becomes free is offered to those who wait.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeCapacity {
    /// Which event.
    #[schema(value_type = Uuid)]
    event_id: AssociationEventId,
    /// Which pool.
    pool: Line,
    /// How many places it has from now on; left out for no limit.
    size: Option<u32>,
}

impl Endpoint for ChangeCapacity {
    const NAME: &'static str = "ChangeCapacity";
    type Aggregate = EventRoster;

    fn stream(&self, _: &Origin) -> Uuid {
        self.event_id.uuid()
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<EventRoster>, Problem> {
        Ok(Prepared::of(event_roster::ChangeCapacity { pool: self.pool.into(), size: self.size, now: context.now }))
    }
}
