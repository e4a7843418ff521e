//! Connections that are driven by whoever uses them.
//!
//! Usually a connection has a task of its own, which hands what arrives to the task that asked. These two wake each other
//! for every eight kilobytes, across threads where there are several, and a long stream is hundreds of those. Here whoever
//! asked reads the socket as well, and what is unread waits in the socket until somebody asks again.

use std::{collections::HashMap, pin::Pin, task::Poll};

use deadpool::{
    Runtime,
    managed::{self, Metrics, RecycleError, RecycleResult},
};
use tokio_postgres::{Client, Config, Connection, Error, NoTls, Socket, Statement, tls::NoTlsStream, types::Type};

use crate::{StoreError, store::POOL_TIMEOUT};

/// The settings under which statements are planned, once for each connection and at the worst when the tables are empty:
/// left to itself, Postgres would then read whole tables, and planning anew takes longer than reading twenty events.
pub(crate) const SETTINGS: &str = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off
    -c enable_sort=off -c max_parallel_workers_per_gather=0";

/// A connection and what was prepared on it.
pub(crate) struct Line {
    client: Client,
    connection: Connection<Socket, NoTlsStream>,
    statements: Statements,
}

/// Statements by their text.
#[derive(Default)]
pub(crate) struct Statements(HashMap<&'static str, Statement>);

impl Statements {
    /// A statement, prepared when it is asked for the first time.
    pub(crate) async fn prepared(
        &mut self,
        client: &Client,
        query: &'static str,
        types: &[Type],
    ) -> Result<Statement, Error> {
        if let Some(known) = self.0.get(query) {
            return Ok(known.clone());
        }
        let statement = client.prepare_typed(query, types).await?;
        self.0.insert(query, statement.clone());
        Ok(statement)
    }
}

/// Lines to one database, made when they are wanted.
#[derive(Clone)]
pub(crate) struct Lines(managed::Pool<Maker>);

impl Lines {
    /// At most `most` lines at a time.
    pub(crate) fn new(config: Config, most: usize) -> Result<Self, StoreError> {
        managed::Pool::builder(Maker { config })
            .max_size(most)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(POOL_TIMEOUT))
            .create_timeout(Some(POOL_TIMEOUT))
            .build()
            .map(Self)
            .map_err(|error| StoreError::Misconfigured(error.to_string()))
    }

    /// Does something over a line. One on which it failed is not used again.
    pub(crate) async fn with<T, E: From<StoreError>>(
        &self,
        work: impl AsyncFnOnce(&Client, &mut Statements) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut object = self.0.get().await.map_err(StoreError::from)?;
        let Line { client, connection, statements } = &mut *object;
        let outcome = tokio::select! {
            biased;
            outcome = work(client, statements) => outcome,
            ended = connection => {
                let reason = ended.map_or_else(|error| crate::error::said(&error), |()| "the connection ended".to_owned());
                Err(StoreError::Unavailable { reason, may_be_stored: false }.into())
            }
        };
        if outcome.is_err() {
            drop(managed::Object::take(object));
        }
        outcome
    }

    /// Ends all lines.
    pub(crate) fn close(&self) {
        self.0.close();
    }
}

struct Maker {
    config: Config,
}

impl managed::Manager for Maker {
    type Type = Line;
    type Error = Error;

    async fn create(&self) -> Result<Line, Error> {
        let (client, connection) = self.config.connect(NoTls).await?;
        Ok(Line { client, connection, statements: Statements::default() })
    }

    /// Nobody has looked at the socket since it was used: whether the server has closed it shows now.
    async fn recycle(&self, line: &mut Line, _: &Metrics) -> RecycleResult<Error> {
        match futures::poll!(Pin::new(&mut line.connection)) {
            Poll::Pending => Ok(()),
            Poll::Ready(_) => Err(RecycleError::message("the connection ended")),
        }
    }
}
