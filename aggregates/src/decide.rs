//! What every aggregate has in common: it decides, and its events can be stored.

use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink, persist::EventUpcaster};

use crate::{
    association::AssociationRecord, association_event::AssociationEventRecord, event_roster::RosterEvent,
    invoice::InvoiceEvent, invoice_series::SeriesEvent, member::MemberEvent, membership::MembershipEvent,
    membership_plan::PlanEvent, payment::PaymentEvent,
};

/// The pure heart of an aggregate. `cqrs_es::Aggregate::handle` calls it and nothing else, so the same
/// decision runs under the executor, under the test framework and in a foreign `cqrs-es` application.
pub trait Decide:
    Aggregate<
        Command: Clone + Send + 'static,
        Event: StoredEvent,
        Error: PartialEq + Send + Sync + 'static,
        Services = (),
    > + Clone
    + 'static
{
    /// Which way of folding this is. Raised whenever `apply`, the shape of the state or the events it is folded from
    /// change, so that a state kept by an older program is not taken for one of this; `tests/folds.rs` says when.
    const FOLD: u32 = 1;

    /// All events of the command, or a refusal; never half of them.
    ///
    /// Asking for what is already so gives no events.
    fn decide(&self, command: Self::Command) -> Result<Vec<Self::Event>, Self::Error>;
}

/// An event enum whose variants are stored for ever.
pub trait StoredEvent: DomainEvent + 'static {
    /// The stream category: the aggregate's name in every room, such as `event_roster`.
    const CATEGORY: &'static str;

    /// The variant's name as stored in the `type` column.
    fn type_name(&self) -> &'static str;

    /// The variants whose schema version is no longer 1, and what it is. Whoever raises one keeps the schema of the version
    /// before: see [`schema`](crate::schema).
    const RAISED: &'static [(&'static str, u16)] = &[];

    /// The schema version this code writes for the variant. Starts at 1.
    fn schema_version(&self) -> u16 {
        version_of::<Self>(self.type_name())
    }

    /// What brings older stored versions up to today's, in the order they apply.
    fn upcasters() -> Vec<Box<dyn EventUpcaster>> {
        Vec::new()
    }
}

/// The schema version this code writes for a variant, by its name.
pub(crate) fn version_of<E: StoredEvent>(type_name: &str) -> u16 {
    E::RAISED.iter().find(|(raised, _)| *raised == type_name).map_or(1, |(_, version)| *version)
}

/// The category of every aggregate here. Those of other applications' aggregates on this history are not among them.
pub const CATEGORIES: [&str; 9] = [
    AssociationRecord::CATEGORY,
    MemberEvent::CATEGORY,
    PlanEvent::CATEGORY,
    MembershipEvent::CATEGORY,
    AssociationEventRecord::CATEGORY,
    RosterEvent::CATEGORY,
    InvoiceEvent::CATEGORY,
    SeriesEvent::CATEGORY,
    PaymentEvent::CATEGORY,
];

/// The refusal of an aggregate that never refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {}

/// The body of every `Aggregate::handle`: decide, then hand over what was decided.
pub(crate) async fn handle<A: Decide>(
    aggregate: &mut A,
    command: A::Command,
    sink: &EventSink<A>,
) -> Result<(), A::Error> {
    for event in aggregate.decide(command)? {
        sink.write(event, aggregate).await;
    }
    Ok(())
}

/// The command enum of an aggregate: one variant for each command, made from it by `into()`.
///
/// Sixty commands would need four hundred lines that differ in nothing but a name.
macro_rules! command_enum {
    ($(#[$attribute:meta])* $name:ident { $($command:ident),+ $(,)? }) => {
        $(#[$attribute])*
        #[derive(Debug, Clone)]
        pub enum $name {
            $(#[doc = concat!("See [`", stringify!($command), "`].")] $command($command),)+
        }
        $(impl From<$command> for $name {
            fn from(command: $command) -> Self {
                Self::$command(command)
            }
        })+
    };
}
pub(crate) use command_enum;
