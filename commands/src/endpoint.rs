//! What a command's endpoint is: the shape of its request, and how that becomes a command.

use std::fmt::Display;

use guildhall_aggregates::{Decide, StoredEvent, TenantId};
use guildhall_event_store::{Claim, StreamId};
use guildhall_web::{Kind, Problem};
use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Context;

/// The request of one command. Its doc comment is the operation's description, its fields' are the schema's.
///
/// To add a command: a struct with `#[derive(Deserialize, ToSchema)]` and `#[serde(deny_unknown_fields)]`
/// in a file of its own, this trait for it, and its name in the aggregate's `all`.
pub trait Endpoint: DeserializeOwned + ToSchema + Send + Sync + 'static {
    /// The command's name, which is also the last part of its path.
    const NAME: &'static str;

    /// Whether it may be sent before the association is founded. One command is for that.
    const FOUNDS: bool = false;

    /// The aggregate that decides.
    type Aggregate: Decide<Error: Refusal>;

    /// Which stream decides. It follows from the request and the command's identity alone, so the same
    /// command finds the same stream.
    fn stream(&self, origin: &Origin) -> Uuid;

    /// Which streams [`Endpoint::prepare`] looks at. In bulk, it waits until these are done.
    fn reads(&self, origin: &Origin) -> Vec<StreamId> {
        let _ = origin;
        Vec::new()
    }

    /// Turns the request into the command: seals personal data, looks up what the rules need to know, and
    /// refuses what names nothing.
    fn prepare(self, context: &Context) -> impl Future<Output = Result<Prepared<Self::Aggregate>, Problem>> + Send;

    /// What is to be done after the command was recorded and before it is answered; done again whenever the
    /// command is sent again.
    fn recorded(context: &Context) -> impl Future<Output = Result<(), Problem>> + Send {
        let _ = context;
        async { Ok(()) }
    }
}

/// Where a command comes from, as far as its stream's identity may depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The association.
    pub tenant: TenantId,
    /// The command's identity.
    pub command_id: Uuid,
}

impl Origin {
    /// The id a request gives, or one that follows from the command, so that sending it again makes nothing
    /// new.
    pub fn given_or_new(&self, given: Option<Uuid>) -> Uuid {
        given.unwrap_or_else(|| guildhall_aggregates::derived(self.command_id, &["made"]))
    }
}

/// The stream of one thing of aggregate `A`.
pub fn stream_of<A: Decide>(id: Uuid) -> StreamId {
    StreamId::new(A::Event::CATEGORY, id)
}

/// A command ready to be decided.
pub struct Prepared<A: Decide> {
    /// What is asked.
    pub command: A::Command,
    /// What the stream claims for itself alone.
    pub claims: Vec<Claim>,
}

impl<A: Decide> Prepared<A> {
    /// A command that claims nothing.
    pub fn of(command: impl Into<A::Command>) -> Self {
        Self { command: command.into(), claims: Vec::new() }
    }

    /// The same, with a claim.
    #[must_use]
    pub fn claiming(mut self, claim: Claim) -> Self {
        self.claims.push(claim);
        self
    }
}

/// What an aggregate says when it says no. Each aggregate's `mod.rs` maps its refusals in one exhaustive
/// match, so that a new refusal does not compile without a status.
pub trait Refusal: Display {
    /// The refusal's stable word and status.
    fn kind(&self) -> Kind;

    /// The refusal as a client sees it.
    fn problem(&self) -> Problem {
        let text = self.to_string();
        let mut letters = text.chars();
        let sentence = letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>());
        Problem::new(self.kind(), format!("{}.", sentence.unwrap_or_default()))
    }
}
