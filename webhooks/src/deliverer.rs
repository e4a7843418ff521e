//! What delivers: follows history, and gives each endpoint with something to do its turn.

use std::time::{Duration, Instant};

use guildhall_event_store::RecordedEvent;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    WebhookError, Webhooks,
    cursor::{Then, Turn},
    endpoint::signed,
    message::Message,
    patience,
    secret::Secret,
    sender::Sent,
};

/// Appends that follow each other within this time are looked at together.
const PAUSE: Duration = Duration::from_millis(20);
/// Where more came in since the last look, every endpoint is taken to have something to do.
const MOST_POSITIONS: u64 = 20_000;
/// How many events of an endpoint are read at once.
const READ: usize = 50;
/// How long an endpoint is left alone when something goes wrong on our side.
const OUR_FAULT: Duration = Duration::from_secs(5);
/// How often is measured, and the log shortened.
const HOUSEKEEPING: Duration = Duration::from_secs(15);

/// How far a node has come with delivering.
#[derive(Default)]
struct Progress {
    /// Endpoints that have their turn.
    turns: JoinSet<()>,
    /// What came in up to here is noted at the endpoints.
    looked: u64,
    kept_house: Option<Instant>,
}

impl Webhooks {
    /// Delivers until told to stop. Any number of nodes may do so. Whatever goes wrong is logged and tried again.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut progress = Progress::default();
        while !shutdown.is_cancelled() {
            if let Err(error) = self.go_on(&mut progress, &shutdown).await {
                tracing::error!(%error, "webhooks pause and go on");
                shutdown.run_until_cancelled(tokio::time::sleep(self.options.poll)).await;
            }
        }
        // Each turn looks at `shutdown` and ends by itself.
        while progress.turns.join_next().await.is_some() {}
    }

    /// Waits until something happens, or for a while, and begins what turns there are to begin.
    async fn go_on(&self, progress: &mut Progress, shutdown: &CancellationToken) -> Result<(), WebhookError> {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            Some(ended) = progress.turns.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a turn ended before its time; its endpoint is free when the lease has run out");
                }
            }
            head = self.store.wait_past(progress.looked, self.options.poll) => {
                let head = head?;
                if head > progress.looked {
                    self.note_arrivals(progress.looked, head).await?;
                    progress.looked = head;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        let free = self.options.concurrency.saturating_sub(progress.turns.len());
        if free > 0 {
            for turn in self.take_turns(free).await? {
                let (webhooks, shutdown) = (self.clone(), shutdown.clone());
                progress.turns.spawn(async move { webhooks.serve(turn, &shutdown).await });
            }
        }
        if progress.kept_house.is_none_or(|kept| kept.elapsed() >= HOUSEKEEPING) {
            self.keep_house().await?;
            progress.kept_house = Some(Instant::now());
        }
        Ok(())
    }

    /// Notes at the endpoints of each association that came in that there is something to look at.
    async fn note_arrivals(&self, after: u64, head: u64) -> Result<(), WebhookError> {
        let now = self.store.clock().now();
        if head - after > MOST_POSITIONS {
            let statement = "UPDATE webhook.endpoint
                             SET tail = $1, behind_since = CASE WHEN position < tail THEN behind_since ELSE $2 END
                             WHERE tail < $1";
            self.client().await?.execute(statement, &[&signed(head), &now]).await?;
            return Ok(());
        }
        let came_in = self.store.tenants_between(after, head).await?;
        let (tenants, tails): (Vec<_>, Vec<_>) =
            came_in.into_iter().map(|(tenant, tail)| (tenant.uuid(), signed(tail))).unzip();
        let statement = "UPDATE webhook.endpoint e
                         SET tail = t.tail, behind_since = CASE WHEN position < e.tail THEN behind_since ELSE $3 END
                         FROM unnest($1::uuid[], $2::bigint[]) t (tenant_id, tail)
                         WHERE e.tenant_id = t.tenant_id AND e.tail < t.tail";
        let client = self.client().await?;
        client.execute(&client.prepare_cached(statement).await?, &[&tenants, &tails, &now]).await?;
        Ok(())
    }

    /// Delivers to one endpoint until it is told everything, does not take a message, or others want a turn.
    async fn serve(&self, mut turn: Turn, shutdown: &CancellationToken) {
        let id = turn.endpoint.id;
        let pause = match self.deliver(&mut turn, shutdown).await {
            Ok(()) => Duration::ZERO,
            Err(WebhookError::Replaced) => {
                tracing::info!(endpoint = %id, "the endpoint was changed, or another node delivers to it");
                return;
            }
            Err(error) => {
                tracing::error!(endpoint = %id, %error, "an endpoint cannot be served now");
                OUR_FAULT
            }
        };
        if let Err(error) = self.end_turn(&turn, pause).await {
            tracing::warn!(endpoint = %id, %error, "the endpoint is free when its lease has run out");
        }
    }

    async fn deliver(&self, turn: &mut Turn, shutdown: &CancellationToken) -> Result<(), WebhookError> {
        let (filter, secrets) = (turn.endpoint.filter()?, self.secrets_of(&turn.endpoint)?);
        let begun = Instant::now();
        loop {
            let page = self.store.feed_after(&filter, turn.endpoint.position, READ).await?;
            if turn.endpoint.position > page.head {
                let reason =
                    format!("it was told of position {}, and history ends at {}", turn.endpoint.position, page.head);
                return self.disable(turn, &reason).await;
            }
            for event in &page.events {
                let over =
                    begun.elapsed() >= self.options.turn || !turn.holds(self.options.lease, self.options.timeout);
                if over || shutdown.is_cancelled() || !self.deliver_one(turn, &secrets, event, shutdown).await? {
                    return Ok(());
                }
            }
            if page.seen > turn.endpoint.position {
                self.pass_over(turn, page.seen).await?;
            }
            if !page.has_more() {
                return Ok(());
            }
        }
    }

    /// Delivers one event. Says whether the next may follow.
    async fn deliver_one(
        &self,
        turn: &mut Turn,
        secrets: &[Secret],
        event: &RecordedEvent,
        shutdown: &CancellationToken,
    ) -> Result<bool, WebhookError> {
        let message = Message::about(event);
        let now = self.store.clock().now();
        let sending = self.sender.send(&turn.endpoint.url, secrets, &message, now);
        // Cut off, it may have arrived: then it comes again, under the same id.
        let Some(sent) = shutdown.run_until_cancelled(sending).await else { return Ok(false) };
        if sent.taken() {
            self.taken(turn, event, &message, &sent).await?;
            count("delivered");
            return Ok(true);
        }
        let then = self.what_then(turn, &sent);
        self.not_taken(turn, event, &message, &sent, &then).await?;
        if let Then::Disable(reason) = &then {
            count("disabled");
            tracing::warn!(endpoint = %turn.endpoint.id, position = event.position, %reason, "an endpoint is disabled");
        } else {
            count("failed");
        }
        Ok(false)
    }

    fn what_then(&self, turn: &Turn, sent: &Sent) -> Then {
        if sent.gone() {
            return Then::Disable("it answered 410 Gone".to_owned());
        }
        let failures = usize::try_from(turn.endpoint.failures).unwrap_or(usize::MAX).saturating_add(1);
        match patience::pause(&self.options.retries, failures, sent.wish) {
            Some(pause) => Then::Retry(self.store.clock().now() + pause),
            None => {
                Then::Disable(format!("it did not take a message in {failures} attempts; the last: {}", sent.detail))
            }
        }
    }

    /// Measures, and shortens the log.
    async fn keep_house(&self) -> Result<(), WebhookError> {
        let statement = "SELECT coalesce(max(tail - position) FILTER (WHERE disabled_at IS NULL), 0)::float8,
                                coalesce(extract(epoch FROM max($1::timestamptz - behind_since) FILTER (WHERE disabled_at IS NULL
                                         AND position < tail)), 0)::float8,
                                (count(*) FILTER (WHERE disabled_at IS NOT NULL))::float8
                         FROM webhook.endpoint";
        let row = self.client().await?.query_one(statement, &[&self.store.clock().now()]).await?;
        metrics::gauge!("webhook_lag_positions").set(row.try_get::<_, f64>(0)?);
        metrics::gauge!("webhook_lag_seconds").set(row.try_get::<_, f64>(1)?);
        metrics::gauge!("webhook_endpoints_disabled").set(row.try_get::<_, f64>(2)?);
        self.drop_old_deliveries().await
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("webhook_deliveries_total", "outcome" => outcome).increment(1);
}
