use guildhall_aggregates::{
    AssociationEventId,
    association_event::{self, AssociationEvent},
};
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Context, Endpoint, Origin, Prepared, wire::Details};

/// Change what people read about an association event.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeEventDetails {
    /// Which event.
    #[schema(value_type = Uuid)]
    event_id: AssociationEventId,
    /// All of it, as it is now.
    details: Details,
}

impl Endpoint for ChangeEventDetails {
    const NAME: &'static str = "ChangeEventDetails";
    type Aggregate = AssociationEvent;

    fn stream(&self, _: &Origin) -> Uuid {
        self.event_id.uuid()
    }

    async fn prepare(self, _: &Context) -> Result<Prepared<AssociationEvent>, Problem> {
        Ok(Prepared::of(association_event::ChangeEventDetails { details: self.details.into() }))
    }
}
