//! All commands by name: what the single endpoint, the bulk endpoint, the importer and the `OpenAPI` document
//! have in common.

use std::{collections::BTreeMap, sync::LazyLock};

use futures::future::BoxFuture;
use guildhall_aggregates::{StoredEvent, TenantId, association::Association, derived};
use guildhall_event_store::{Actor, Metadata, Receipt, StreamId};
use guildhall_web::{Caller, Kind, Problem, Request, from_json};
use utoipa::openapi::{RefOr, Schema};
use uuid::Uuid;

use crate::{
    Context, Endpoint, Executor, Expected, Order, Origin, context::Ground, endpoint::stream_of, executor::Manner,
    problem::problem_of,
};

type Parse = fn(&[u8]) -> Result<Box<dyn AnyCommand>, Problem>;

/// One kind of command.
pub struct CommandType {
    /// Its name, such as `RegisterForEvent`.
    pub name: &'static str,
    /// The category of the streams that decide it, such as `event_roster`.
    pub category: &'static str,
    parse: Parse,
    pub(crate) schemas: fn() -> Vec<(String, RefOr<Schema>)>,
}

impl CommandType {
    /// The kind of command an endpoint is for.
    pub(crate) fn of<E: Endpoint>() -> Self {
        Self {
            name: E::NAME,
            category: <<E::Aggregate as cqrs_es::Aggregate>::Event as StoredEvent>::CATEGORY,
            parse: |body| from_json::<E>(body).map(|request| Box::new(request) as Box<dyn AnyCommand>),
            schemas: || {
                let mut schemas = vec![(E::NAME.to_owned(), E::schema())];
                E::schemas(&mut schemas);
                schemas
            },
        }
    }

    /// Reads a request's body.
    ///
    /// # Errors
    /// It is not JSON, or not the JSON of this command.
    pub fn parse(&self, body: &[u8]) -> Result<Box<dyn AnyCommand>, Problem> {
        (self.parse)(body)
    }
}

/// All commands, by name.
pub static COMMANDS: LazyLock<BTreeMap<&'static str, CommandType>> = LazyLock::new(|| {
    let all = [
        crate::association::all(),
        crate::association_event::all(),
        crate::event_roster::all(),
        crate::invoice::all(),
        crate::member::all(),
        crate::membership::all(),
        crate::membership_plan::all(),
        crate::payment::all(),
    ];
    all.into_iter().flatten().map(|command| (command.name, command)).collect()
});

/// The command of a name.
///
/// # Errors
/// There is none.
pub fn find(name: &str) -> Result<&'static CommandType, Problem> {
    COMMANDS.get(name).ok_or_else(|| {
        Problem::new(Kind::invalid("unknown-command"), "There is no such command; the API description lists all.")
    })
}

/// Who sends commands, and what they belong to.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The association they are sent in.
    pub tenant: TenantId,
    /// Who it is.
    pub actor: Actor,
    /// What they belong to.
    pub correlation_id: Uuid,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

impl Sender {
    /// The caller of a request.
    pub fn of(caller: &Caller, request: Request) -> Self {
        Self {
            tenant: caller.tenant,
            actor: Actor::Caller(caller.subject.clone()),
            correlation_id: request.correlation_id,
            traceparent: request.traceparent,
        }
    }
}

/// Everything about one command but its body.
pub struct Call {
    /// What executes it.
    pub executor: Executor,
    /// Who sends it.
    pub sender: Sender,
    /// Its identity.
    pub command_id: Uuid,
    /// A keyed hash of its name and body.
    pub request_hash: [u8; 32],
    /// What the stream must be like.
    pub expected: Option<Expected>,
    /// How it waits.
    pub manner: Manner,
}

impl Call {
    /// A command under an idempotency key. Its identity follows from association and key.
    pub fn new(executor: &Executor, sender: &Sender, name: &str, key: &str, body: &[u8]) -> Self {
        let mut request = Vec::with_capacity(name.len() + 1 + body.len());
        request.extend_from_slice(name.as_bytes());
        request.push(0);
        request.extend_from_slice(body);
        Self {
            request_hash: executor.store().vault().request_hash(sender.tenant, &request),
            command_id: command_id(sender.tenant, key),
            executor: executor.clone(),
            sender: sender.clone(),
            expected: None,
            manner: Manner::default(),
        }
    }

    /// The association and the command's identity.
    pub fn origin(&self) -> Origin {
        Origin { tenant: self.sender.tenant, command_id: self.command_id }
    }
}

/// The identity of the command that an association sends under an idempotency key.
pub fn command_id(tenant: TenantId, key: &str) -> Uuid {
    derived(tenant.uuid(), &["command", key])
}

/// A request that was read and whose type is not known any more.
pub trait AnyCommand: Send + Sync {
    /// The stream that will decide.
    fn stream(&self, origin: &Origin) -> StreamId;
    /// The streams that are looked at before.
    fn reads(&self, origin: &Origin) -> Vec<StreamId>;
    /// Prepares and executes it.
    fn execute(self: Box<Self>, call: Call) -> BoxFuture<'static, Result<Receipt, Problem>>;
}

impl<E: Endpoint> AnyCommand for E {
    fn stream(&self, origin: &Origin) -> StreamId {
        stream_of::<E::Aggregate>(Endpoint::stream(self, origin))
    }

    fn reads(&self, origin: &Origin) -> Vec<StreamId> {
        let mut reads = Endpoint::reads(self, origin);
        if !E::FOUNDS {
            reads.push(stream_of::<Association>(origin.tenant.uuid()));
        }
        reads
    }

    fn execute(self: Box<Self>, call: Call) -> BoxFuture<'static, Result<Receipt, Problem>> {
        Box::pin(execute(*self, call))
    }
}

async fn execute<E: Endpoint>(endpoint: E, call: Call) -> Result<Receipt, Problem> {
    let outcome = run(endpoint, call).await;
    if let Err(problem) = &outcome {
        metrics::counter!("refusals_total", "command" => E::NAME, "refusal" => problem.kind().word).increment(1);
    }
    outcome
}

async fn run<E: Endpoint>(endpoint: E, call: Call) -> Result<Receipt, Problem> {
    let origin = call.origin();
    let Call { executor, sender, command_id, request_hash, expected, manner } = call;
    let ground = executor.read::<Association, _>(origin.tenant, origin.tenant.uuid(), Ground::of).await;
    let context = Context {
        id: Endpoint::stream(&endpoint, &origin),
        now: executor.store().clock().now(),
        association: ground.map_err(|error| problem_of(&error))?,
        executor,
        origin,
    };
    let prepared = match prepare(endpoint, &context).await {
        Ok(prepared) => prepared,
        // What could be prepared then may not be now: the plan was retired, the person was forgotten. A
        // command that was recorded has its receipt all the same.
        Err(problem) => {
            let recorded = context.executor.recorded(origin.tenant, command_id, request_hash).await;
            let receipt = recorded.map_err(|error| problem_of::<RefusalOf<E>>(&error))?.ok_or(problem)?;
            E::recorded(&context).await?;
            return Ok(receipt);
        }
    };
    let order = Order::<E::Aggregate> {
        tenant: origin.tenant,
        id: context.id,
        command: prepared.command,
        command_id,
        request_hash,
        metadata: Metadata {
            command: E::NAME.to_owned(),
            actor: sender.actor,
            correlation_id: sender.correlation_id,
            causation_id: None,
            traceparent: sender.traceparent,
        },
        claims: prepared.claims,
        expected_version: expected,
    };
    let receipt = context.executor.execute_as(order, manner).await.map_err(|error| problem_of(&error))?;
    E::recorded(&context).await?;
    Ok(receipt)
}

type RefusalOf<E> = <<E as Endpoint>::Aggregate as cqrs_es::Aggregate>::Error;

async fn prepare<E: Endpoint>(endpoint: E, context: &Context) -> Result<crate::Prepared<E::Aggregate>, Problem> {
    if !E::FOUNDS {
        context.association()?;
    }
    endpoint.prepare(context).await
}
