//! The limit: the same HTTP server, token check, group commit and event table, and nothing that makes it an event
//! store.
//!
//! Left out: the idempotency key and the command log, finding the stream and its version, the version check, state and
//! decision, encryption, the leaf hash, metrics, and the receipt's list of events. What is left is: HTTP, the token,
//! reading the command, one event of the same size in the same table with the same indexes, in batches of what is
//! waiting, two of them under way, each committed to disk before it is answered.

use std::{collections::HashMap, net::SocketAddr};

use anyhow::Context as _;
use axum::{
    Router,
    body::Bytes,
    extract::{FromRef, State},
    http::header,
    response::{IntoResponse, Response},
    routing::post,
};
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, stream::FuturesOrdered};
use guildhall_web::{Caller, Limits, Problem, Role, TokenKeys, from_json, problem::kind};
use serde::Deserialize;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot},
};
use tokio_postgres::{Client, Statement, types::ToSql};
use uuid::Uuid;

use crate::machine;

/// The same limits as those of the store: see `StoreOptions::new`.
const BATCH: usize = 512;
const QUEUE: usize = 8_192;
const IN_FLIGHT: usize = 2;

const INSERT: &str = "
    INSERT INTO es.event (position, stream_key, version, recorded_at, tenant_id, event_id, command_id, schema_version,
                          type, leaf_hash, metadata, payload)
    SELECT $1 + nth, stream_key, $1 + nth, $2, $3, event_id, command_id, 1, 'NoteAdded', leaf_hash, metadata, payload
    FROM unnest($4::bigint[], $5::uuid[], $6::uuid[], $7::bytea[], $8::bytea[], $9::bytea[])
         WITH ORDINALITY x (stream_key, event_id, command_id, leaf_hash, metadata, payload, nth)";

#[derive(Clone)]
struct Limit {
    keys: TokenKeys,
    queue: mpsc::Sender<Waiting>,
}

impl FromRef<Limit> for TokenKeys {
    fn from_ref(limit: &Limit) -> Self {
        limit.keys.clone()
    }
}

struct Waiting {
    tenant: Uuid,
    member: Uuid,
    event_id: Uuid,
    command_id: Uuid,
    metadata: Vec<u8>,
    payload: Vec<u8>,
    answer: oneshot::Sender<i64>,
}

/// Serves `AddNote` until it is told to stop. Takes its settings from the same environment as `guildhall serve` and says
/// in the same way where it listens.
pub fn serve() -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let setting = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
        let keys = TokenKeys::parse(&setting("GUILDHALL_AUTH__TOKEN_SECRET")?)?;
        let listen: SocketAddr = setting("GUILDHALL_HTTP__LISTEN")?.parse()?;
        let client = machine::connect(&setting("DATABASE_URL")?).await?;
        let (queue, taken) = mpsc::channel(QUEUE);
        let writing = tokio::spawn(write(client, taken));
        let routes = Router::new().route("/v1/commands/AddNote", post(add_note)).with_state(Limit { keys, queue });
        let listener = TcpListener::bind(listen).await?;
        println!("{}", serde_json::json!({ "listening": listener.local_addr()?.to_string() }));
        let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let stopped = async move {
            stop.recv().await;
        };
        axum::serve(listener, guildhall_web::serve(routes, Limits::default())).with_graceful_shutdown(stopped).await?;
        writing.await?
    })
}

/// As many threads as `guildhall` has: see its `main`.
pub fn runtime() -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    let few_cores = std::thread::available_parallelism().is_ok_and(|cores| cores.get() <= 2);
    if few_cores && std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        builder.worker_threads(1);
    }
    builder.enable_all().build()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddNote {
    member_id: Uuid,
    text: String,
}

async fn add_note(State(limit): State<Limit>, caller: Caller, body: Bytes) -> Result<Response, Problem> {
    caller.require(&[Role::Api])?;
    let AddNote { member_id, text } = from_json(&body)?;
    let (answer, answered) = oneshot::channel();
    let (event_id, command_id) = (Uuid::now_v7(), Uuid::now_v7());
    let waiting = Waiting {
        tenant: caller.tenant.uuid(),
        member: member_id,
        event_id,
        command_id,
        metadata: metadata(&caller.subject, command_id),
        payload: payload(&text),
        answer,
    };
    let gone = || Problem::new(kind::OVERLOADED, "The writer has stopped.");
    limit.queue.send(waiting).await.map_err(|_| gone())?;
    let position = answered.await.map_err(|_| gone())?;
    let receipt =
        format!("{{\"command_id\":\"{command_id}\",\"stream\":\"member-{member_id}\",\"position\":{position}}}");
    Ok(([(header::CONTENT_TYPE, "application/json")], receipt).into_response())
}

/// As long as what ours stores.
fn metadata(subject: &str, correlation: Uuid) -> Vec<u8> {
    format!("{{\"command\":\"AddNote\",\"actor\":{{\"kind\":\"caller\",\"name\":\"{subject}\"}},\"correlation_id\":\"{correlation}\"}}")
        .into_bytes()
}

/// As long as what ours stores: a sealed text is longer than a clear one.
fn payload(text: &str) -> Vec<u8> {
    format!("{{\"type\":\"NoteAdded\",\"text\":\"{text:.<171}\"}}").into_bytes()
}

/// Appends what waits until nobody can send any more.
async fn write(client: Client, mut waiting: mpsc::Receiver<Waiting>) -> anyhow::Result<()> {
    let insert = client.prepare(INSERT).await?;
    let head = client.query_one("SELECT coalesce(max(position), 0) FROM es.event", &[]).await?.get(0);
    let mut order = Order { head, streams: HashMap::new() };
    let mut flights = FuturesOrdered::new();
    let (mut next, mut sent, mut open) = (Vec::new(), 0, true);
    while open || !flights.is_empty() {
        let room = BATCH - next.len();
        tokio::select! {
            Some(landed) = flights.next() => landed?,
            taken = waiting.recv_many(&mut next, room), if open && room > 0 => open = taken > 0,
        }
        // As the store does it: a batch behind another is nearly as large.
        let enough = if flights.is_empty() { 1 } else { (sent * 2 / 3).max(1) };
        if next.len() >= enough && flights.len() < IN_FLIGHT {
            sent = next.len();
            flights.push_back(append(&client, &insert, order.columns(std::mem::take(&mut next))?));
        }
    }
    Ok(())
}

async fn append(client: &Client, insert: &Statement, columns: Columns) -> anyhow::Result<()> {
    let Columns { base, recorded_at, tenant, streams, event_ids, command_ids, leaves, metadata, payloads, answers } =
        columns;
    let params: [&(dyn ToSql + Sync); 9] =
        [&base, &recorded_at, &tenant, &streams, &event_ids, &command_ids, &leaves, &metadata, &payloads];
    client.execute(insert, &params).await?;
    for (nth, answer) in (1..).zip(answers) {
        // Who has gone needs no answer.
        let _ = answer.send(base + nth);
    }
    Ok(())
}

/// What the writer keeps in mind instead of asking the database.
struct Order {
    head: i64,
    streams: HashMap<Uuid, i64>,
}

/// A batch, an array for each column.
struct Columns {
    base: i64,
    recorded_at: DateTime<Utc>,
    tenant: Uuid,
    streams: Vec<i64>,
    event_ids: Vec<Uuid>,
    command_ids: Vec<Uuid>,
    leaves: Vec<Vec<u8>>,
    metadata: Vec<Vec<u8>>,
    payloads: Vec<Vec<u8>>,
    answers: Vec<oneshot::Sender<i64>>,
}

impl Order {
    fn columns(&mut self, batch: Vec<Waiting>) -> anyhow::Result<Columns> {
        let tenant = batch.first().context("a batch is never empty")?.tenant;
        let mut columns = Columns {
            base: self.head,
            recorded_at: Utc::now(),
            tenant,
            streams: Vec::with_capacity(batch.len()),
            event_ids: Vec::with_capacity(batch.len()),
            command_ids: Vec::with_capacity(batch.len()),
            leaves: Vec::with_capacity(batch.len()),
            metadata: Vec::with_capacity(batch.len()),
            payloads: Vec::with_capacity(batch.len()),
            answers: Vec::with_capacity(batch.len()),
        };
        for waiting in batch {
            self.head += 1;
            let next = i64::try_from(self.streams.len())?;
            columns.streams.push(*self.streams.entry(waiting.member).or_insert(next));
            columns.leaves.push(vec![0; 32]);
            columns.event_ids.push(waiting.event_id);
            columns.command_ids.push(waiting.command_id);
            columns.metadata.push(waiting.metadata);
            columns.payloads.push(waiting.payload);
            columns.answers.push(waiting.answer);
        }
        Ok(columns)
    }
}
