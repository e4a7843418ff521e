//! The gauges that every node keeps about the installation as a whole. All nodes say the same, so an alert takes the highest.

use std::time::Duration;

use guildhall_event_store::EventStore;

use super::{Reached, Status, collect};
use crate::config::Config;

/// How often the gauges are set.
const EVERY: Duration = Duration::from_secs(5);

/// Sets the gauges, again and again.
pub(crate) async fn keep_gauges(config: &Config, store: &EventStore) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let collected = collect(config, store).await;
        metrics::gauge!("node_ready").set(u8::from(collected.is_ok()));
        match collected {
            Ok(status) => status.set_gauges(),
            Err(error) => tracing::warn!(%error, "how everything is doing cannot be read"),
        }
    }
}

impl Status {
    fn set_gauges(&self) {
        metrics::gauge!("log_head_position").set(as_f64(self.head));
        for relay in self.relays.iter().filter(|relay| relay.current) {
            metrics::gauge!("relay_held").set(u8::from(relay.held));
            metrics::gauge!("history_diverged", "from" => "relay").set(u8::from(relay.diverged));
            metrics::gauge!("relay_lag_positions").set(as_f64(relay.reached.behind));
            metrics::gauge!("relay_lag_seconds").set(relay.reached.behind_seconds);
        }
        for projection in &self.projections {
            let name = projection.name;
            metrics::gauge!("projection_parked_streams", "projection" => name).set(as_f64(projection.parked));
            metrics::gauge!("projection_left_out_events", "projection" => name).set(as_f64(projection.left_out));
            metrics::gauge!("history_diverged", "from" => name).set(u8::from(projection.diverged));
            metrics::gauge!("projection_rebuilding", "projection" => name).set(u8::from(projection.rebuilding));
            for source in &projection.sources {
                let labels = [("projection", name.to_owned()), ("source", source.name.clone())];
                let Reached { behind, behind_seconds, .. } = source.reached;
                metrics::gauge!("projection_lag_positions", &labels).set(as_f64(behind));
                metrics::gauge!("projection_lag_seconds", &labels).set(behind_seconds);
            }
        }
        metrics::gauge!("process_lag_seconds").set(self.processes.behind_seconds);
        if let Some(sealer) = &self.sealer {
            metrics::gauge!("sealer_lag_seconds").set(sealer.reached.behind_seconds);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats; a count beyond 2^53 may be off by one")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
