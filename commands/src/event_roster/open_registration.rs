use guildhall_aggregates::{
    AssociationEventId,
    association_event::AssociationEvent,
    event_roster::{self, EventRoster},
};
use guildhall_event_store::StreamId;
use guildhall_web::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Context, Endpoint, Origin, Prepared,
    endpoint::stream_of,
    wire::{Moment, Policy, Pool, Ticket},
};

/// Let people ask for places at an association event.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenRegistration {
    /// Which event.
    #[schema(value_type = Uuid)]
    event_id: AssociationEventId,
    /// The pools of places; names unique.
    #[serde(deserialize_with = "crate::wire::at_most::<100, _, _>")]
    #[schema(min_items = 1, max_items = 100)]
    pools: Vec<Pool>,
    /// What can be registered for; codes unique.
    #[serde(deserialize_with = "crate::wire::at_most::<100, _, _>")]
    #[schema(min_items = 1, max_items = 100)]
    ticket_types: Vec<Ticket>,
    /// How those who ask are treated.
    #[serde(default)]
    policy: Policy,
    /// When it closes by itself.
    closes_at: Option<Moment>,
}

impl Endpoint for OpenRegistration {
    const NAME: &'static str = "OpenRegistration";
    type Aggregate = EventRoster;

    fn stream(&self, _: &Origin) -> Uuid {
        self.event_id.uuid()
    }

    fn reads(&self, _: &Origin) -> Vec<StreamId> {
        vec![stream_of::<AssociationEvent>(self.event_id.uuid())]
    }

    async fn prepare(self, context: &Context) -> Result<Prepared<EventRoster>, Problem> {
        context.require::<AssociationEvent>(self.event_id.uuid(), "/event_id").await?;
        super::takes_place(context).await?;
        Ok(Prepared::of(event_roster::OpenRegistration {
            pools: self.pools.into_iter().map(Into::into).collect(),
            ticket_types: self.ticket_types.into_iter().map(Into::into).collect(),
            policy: self.policy.into(),
            closes_at: self.closes_at.map(|Moment(instant)| instant),
        }))
    }
}
