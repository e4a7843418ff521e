//! Why an association event says no.

use strum::IntoStaticStr;

/// Why a command to an association event is refused. The name in kebab case is stable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum AssociationEventRefusal {
    /// There is no such event.
    #[error("there is no such event")]
    EventUnknown,
    /// There is an event with this identity, and it is another one.
    #[error("the event is on the calendar with other details or at another time: change or reschedule it instead")]
    EventAlreadyScheduled,
    /// It was called off.
    #[error("the event was cancelled")]
    EventIsCancelled,
    /// A title is needed.
    #[error("an event needs a title")]
    TitleMissing,
    /// It would be over before it begins.
    #[error("an event cannot end before it starts")]
    EndsBeforeStart,
    /// People want to know why.
    #[error("say why the event is cancelled")]
    ReasonMissing,
}
