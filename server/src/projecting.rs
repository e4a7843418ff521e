//! The two ways events reach a projector.

use std::{sync::Arc, time::Duration};

use deadpool_postgres::Pool;
use guildhall_event_store::EventStore;
use guildhall_kafka::{Consumer, ConsumerOptions, PartitionBatch, Resume, source};
use guildhall_projections::{Claim, Delivery, Projector, RunError, Runner};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// How long a projection waits before it joins again after an error that may pass.
const PAUSE: Duration = Duration::from_secs(1);

/// How often history is asked whether it is still the one that was folded.
const AUDIT_EVERY: Duration = Duration::from_secs(10);

/// Straight from the event store.
pub(crate) async fn from_store<P: Projector>(
    pool: Pool,
    store: EventStore,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    Ok(Runner::<P>::open(pool, store).run_from_store(shutdown).await?)
}

/// From Kafka, as a member of the projection's consumer group.
pub(crate) async fn from_kafka<P: Projector>(
    pool: Pool,
    store: EventStore,
    options: ConsumerOptions,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    while !shutdown.is_cancelled() {
        let Err(error) = consume::<P>(pool.clone(), store.clone(), options.clone(), &shutdown).await else { break };
        match error.downcast_ref::<RunError>() {
            Some(error) if error.may_pass() => {
                tracing::warn!(projection = P::NAME, %error, "the projection joins its group again");
            }
            _ => return Err(error),
        }
        let _stopping = tokio::time::timeout(PAUSE, shutdown.cancelled()).await;
    }
    Ok(())
}

async fn consume<P: Projector>(
    pool: Pool,
    store: EventStore,
    options: ConsumerOptions,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let mut runner = Runner::<P>::open(pool, store.clone());
    let sources = options.sources();
    runner.declare(&sources.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let runner = Arc::new(Mutex::new(runner));
    let claimant = Arc::clone(&runner);
    let mut consumer = Consumer::start(options, store, move |topic, partition| {
        let claimant = Arc::clone(&claimant);
        async move {
            let Claim { next_offset, reached, owner_epoch: claim, .. } =
                claimant.lock().await.claim(&source(&topic, partition)).await?;
            Ok::<_, RunError>(Resume { next_offset, reached, claim })
        }
    })?;
    let mut audit = tokio::time::interval(AUDIT_EVERY);
    let ended = loop {
        let round = tokio::select! {
            () = shutdown.cancelled() => break Ok(()),
            _ = audit.tick() => {
                // What was folded may have been lost by the store since: nothing that arrives would show it.
                if let Err(error) = runner.lock().await.check_history().await { break Err(error.into()) }
                continue;
            }
            round = consumer.next() => round,
        };
        let delivered = match round {
            Ok(batches) => deliver(&runner, &consumer, batches).await,
            Err(error) => break Err(error.into()),
        };
        if let Err(error) = delivered {
            break Err(error.into());
        }
    };
    consumer.shutdown().await;
    ended
}

/// Folds what arrived. What was read before a partition went elsewhere is left out: whoever has it now reads it again.
async fn deliver<P: Projector>(
    runner: &Mutex<Runner<P>>,
    consumer: &Consumer,
    batches: Vec<PartitionBatch>,
) -> Result<(), RunError> {
    let mut runner = runner.lock().await;
    let mut deliveries = Vec::with_capacity(batches.len());
    for batch in batches {
        let source = batch.source();
        let PartitionBatch { topic, partition, events, next_offset, reached, claim } = batch;
        if runner.holds(&source, claim) && consumer.holds(&topic, partition, claim) {
            deliveries.push(Delivery { source, events, next_offset, reached });
        }
    }
    runner.deliver(deliveries).await.map(drop)
}
