//! What read models could not fold, on its way to Kafka.
//!
//! A projector notes the event in the transaction that parks its stream, and knows nothing of Kafka. Here the notes are
//! sent and marked; a crash in between sends one again, under the same id.

use std::time::Duration;

use guildhall_event_store::EventStore;
use guildhall_kafka::DeadLetterTopic;
use guildhall_projections::{NAMES, parked};
use tokio_util::sync::CancellationToken;

/// How often is looked for something to send. Nobody waits for it.
const EVERY: Duration = Duration::from_secs(2);

/// How many letters one transaction marks at most.
const LETTERS: i64 = 50;

/// Sends until it is told to stop. What fails is tried again.
pub(crate) async fn run(topic: DeadLetterTopic, store: EventStore, shutdown: CancellationToken) -> anyhow::Result<()> {
    while !shutdown.is_cancelled() {
        for projection in NAMES {
            if let Err(error) = send(&topic, &store, projection).await {
                metrics::counter!("dead_letter_errors_total").increment(1);
                tracing::warn!(projection, %error, "dead letters cannot be sent; tried again later");
            }
        }
        let _stopping = tokio::time::timeout(EVERY, shutdown.cancelled()).await;
    }
    Ok(())
}

/// Sends what a projection has noted. Other nodes that look at the same time see what is left.
async fn send(topic: &DeadLetterTopic, store: &EventStore, projection: &'static str) -> anyhow::Result<()> {
    let mut client = store.pool().get().await?;
    loop {
        let tx = client.transaction().await?;
        let letters = parked::unsent(&tx, projection, LETTERS).await?;
        if letters.is_empty() {
            return Ok(());
        }
        for letter in &letters {
            for event in store.read_after(letter.position - 1, 1).await? {
                topic.publish(&event, projection, &letter.reason).await?;
                metrics::counter!("dead_letters_total", "projection" => projection).increment(1);
            }
        }
        parked::mark_sent(&tx, projection, &letters).await?;
        tx.commit().await?;
    }
}
