//! Any set of roles in one process: the wiring, and the orderly end.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use guildhall_commands::{CommandApi, CommandApiOptions, Executor, ExecutorOptions};
use guildhall_event_store::{Clock, EventStore, KeyEncryptionKey, StoreOptions};
use guildhall_kafka::{DeadLetterTopic, Relay, RelayOptions};
use guildhall_processes::{ProcessOptions, Processes};
use guildhall_projections::{Projector, directory::Directory, erp_journal::ErpJournal, reporting::Reporting};
use guildhall_read_api::{Arrived, Feed, FeedLimits, ReadLimits, ReadState};
use guildhall_web::TokenKeys;
use guildhall_webhooks::{WebhookApi, Webhooks};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, Http, Transport},
    dead_letters, http, kafka, projecting, sealing, status, telemetry,
};

/// How long the end of a node waits, beside the time a request may take, for clients to read their answers.
const CLIENT_READS: Duration = Duration::from_secs(5);

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "any set of four roles is possible")]
pub struct Roles {
    /// Serves the HTTP API.
    pub serve: bool,
    /// Carries history to Kafka.
    pub relay: bool,
    /// Folds history into the read models.
    pub project: bool,
    /// Reacts to events and deadlines; seals and signs history; sends webhooks.
    pub process: bool,
}

impl Roles {
    const NONE: Self = Self { serve: false, relay: false, project: false, process: false };
    /// The HTTP API alone.
    pub const SERVE: Self = Self { serve: true, ..Self::NONE };
    /// The relay alone.
    pub const RELAY: Self = Self { relay: true, ..Self::NONE };
    /// The projectors alone.
    pub const PROJECT: Self = Self { project: true, ..Self::NONE };
    /// The processes alone.
    pub const PROCESS: Self = Self { process: true, ..Self::NONE };
    /// Everything.
    pub const ALL: Self = Self { serve: true, relay: true, project: true, process: true };
}

/// A running process.
pub struct Node {
    address: Option<SocketAddr>,
    eventstoredb: Option<SocketAddr>,
    store: EventStore,
    executor: Executor,
    shutdown: CancellationToken,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Node {
    /// Starts the roles. The database's schema must be up to date.
    ///
    /// # Errors
    /// Something a role needs cannot be had; nothing is left running.
    pub async fn start(
        config: &Config,
        roles: Roles,
        clock: Clock,
        metrics: Option<PrometheusHandle>,
    ) -> anyhow::Result<Self> {
        let store = open_store(config, clock).await?;
        let executor = Executor::new(store.clone(), ExecutorOptions::default());
        let shutdown = CancellationToken::new();
        let mut node = Self { address: None, eventstoredb: None, store, executor, shutdown, tasks: JoinSet::new() };
        if roles.serve || roles.process {
            let (executor, shutdown) = (node.executor.clone(), node.shutdown.clone());
            node.tasks.spawn(async move { Ok(executor.follow(&shutdown).await?) });
        }
        if let Some(metrics) = metrics.clone() {
            let shutdown = node.shutdown.clone();
            node.tasks.spawn(async move {
                shutdown.run_until_cancelled(telemetry::keep_up(metrics)).await;
                Ok(())
            });
            let (config, store, shutdown) = (config.clone(), node.store.clone(), node.shutdown.clone());
            node.tasks.spawn(async move {
                shutdown.run_until_cancelled(status::keep_gauges(&config, &store)).await;
                Ok(())
            });
        }
        if roles.serve {
            node.serve(config, metrics).await?;
        } else if let Some(address) = config.http.operations_listen {
            let router = http::operations(node.store.clone(), metrics);
            node.address = Some(
                node.listen("http.operations_listen", address, router, http::limits(config).request_timeout).await?,
            );
        }
        if roles.relay && config.transport == Transport::Kafka {
            node.relay(config)?;
        }
        if roles.project {
            node.project::<Directory>(config);
            node.project::<Reporting>(config);
            node.project::<ErpJournal>(config);
            if config.transport == Transport::Kafka {
                let topic = DeadLetterTopic::new(kafka::options(config));
                node.tasks.spawn(dead_letters::run(topic, node.store.clone(), node.shutdown.clone()));
            }
        }
        if roles.process {
            let processes = Processes::new(node.executor.clone(), node.store.clone(), ProcessOptions::default());
            let shutdown = node.shutdown.clone();
            node.tasks.spawn(async move {
                processes.run(shutdown).await;
                Ok(())
            });
            node.tasks.spawn(sealing::run(config.clone(), node.store.clone(), node.shutdown.clone()));
            let (webhooks, shutdown) = (node.webhooks(config)?, node.shutdown.clone());
            node.tasks.spawn(async move {
                webhooks.run(shutdown).await;
                Ok(())
            });
        }
        Ok(node)
    }

    /// Where the HTTP API is served, if it is.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Where EventStoreDB's protocol is served, if it is.
    pub fn eventstoredb(&self) -> Option<SocketAddr> {
        self.eventstoredb
    }

    /// The node's store.
    pub fn store(&self) -> &EventStore {
        &self.store
    }

    /// The node's write side.
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// Runs until `stop` says so or a role cannot go on, and then ends all roles in order.
    ///
    /// # Errors
    /// The role that could not go on, and why.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let ended = tokio::select! {
            () = stop => Ok(()),
            Some(ended) = self.tasks.join_next() => ended.context("a role was aborted").flatten(),
        };
        self.stop().await;
        ended
    }

    /// Takes no more requests, finishes those that are here, writes what waits, and ends.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Ok(Err(error)) = ended {
                tracing::error!(%error, "a role ended with an error");
            }
        }
        self.executor.drain().await;
        self.store.shutdown().await;
    }

    async fn serve(&mut self, config: &Config, metrics: Option<PrometheusHandle>) -> anyhow::Result<()> {
        let keys = TokenKeys::parse(&config.auth.token_secret)?;
        let commands = CommandApi {
            executor: self.executor.clone(),
            keys: keys.clone(),
            options: CommandApiOptions { body_bytes: config.http.body_limit_bytes, ..CommandApiOptions::default() },
        };
        let reads = ReadState {
            store: self.store.clone(),
            pool: self.store.pool().clone(),
            keys: keys.clone(),
            limits: ReadLimits::default(),
            arrived: Arrived::default(),
            feed: Feed::new(FeedLimits::within(http::limits(config)), self.shutdown.clone()),
        };
        let webhooks = WebhookApi { webhooks: self.webhooks(config)?, keys: keys.clone() };
        let router = http::router(config, commands, reads, webhooks, metrics);
        self.address =
            Some(self.listen("http.listen", config.http.listen, router, http::limits(config).request_timeout).await?);
        #[cfg(feature = "eventstoredb")]
        if let Some(endpoint) = crate::grpc::bound(&config.eventstoredb, &self.store, &keys).await? {
            self.eventstoredb = Some(endpoint.address());
            let shutdown = self.shutdown.clone();
            self.tasks.spawn(async move { endpoint.serve(shutdown).await.context("the EventStoreDB endpoint ended") });
        }
        Ok(())
    }

    /// Serves at the address that a setting names. In the end, clients have the time of one request and a little more to
    /// read their answers.
    async fn listen(
        &mut self,
        setting: &str,
        address: SocketAddr,
        router: axum::Router,
        request_timeout: Duration,
    ) -> anyhow::Result<SocketAddr> {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("{setting}: {address} cannot be listened on"))?;
        let address = listener.local_addr()?;
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
            let over = async {
                shutdown.cancelled().await;
                tokio::time::sleep(request_timeout + CLIENT_READS).await;
            };
            tokio::select! {
                served = served.into_future() => served.context("the HTTP server ended"),
                () = over => {
                    tracing::warn!("clients that do not read their answers are cut off");
                    Ok(())
                }
            }
        });
        Ok(address)
    }

    fn webhooks(&self, config: &Config) -> anyhow::Result<Webhooks> {
        Webhooks::new(self.store.clone(), config.webhooks.options()).context("webhooks cannot be sent")
    }

    fn relay(&mut self, config: &Config) -> anyhow::Result<()> {
        let mut options = kafka::options(config);
        if let Some(address) = self.address {
            // What is served here has a port, also where any free one was asked for.
            options.public_url = Http { listen: address, ..config.http.clone() }.reached_at();
        }
        let relay = Relay::new(self.store.clone(), RelayOptions::new(options))?;
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move { Ok(relay.run(shutdown).await?) });
        Ok(())
    }

    fn project<P: Projector>(&mut self, config: &Config) {
        let (pool, store) = (self.store.pool().clone(), self.store.clone());
        let shutdown = self.shutdown.clone();
        match config.transport {
            Transport::Store => self.tasks.spawn(projecting::from_store::<P>(pool, store, shutdown)),
            Transport::Kafka => {
                let options = kafka::consumer_options::<P>(config);
                self.tasks.spawn(projecting::from_kafka::<P>(pool, store, options, shutdown))
            }
        };
    }
}

/// Opens the configured event store.
///
/// # Errors
/// The database cannot be reached, or is not one of ours.
pub async fn open_store(config: &Config, clock: Clock) -> anyhow::Result<EventStore> {
    let key = KeyEncryptionKey::parse(&config.vault.key_encryption_key)?;
    let mut options = StoreOptions::new(config.database.url.clone(), key);
    options.pool_size = config.database.pool_size;
    EventStore::open(options, clock).await.context("the event store cannot be opened")
}
