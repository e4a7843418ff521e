//! Our side: a whole node, over HTTP, with everything that makes it Guildhall.

use std::{collections::BTreeSet, time::Instant};

use chrono::TimeDelta;
use guildhall_aggregates::{ids::derived, tenant_of_slug};
use guildhall_event_store::{Clock, KeyEncryptionKey};
use guildhall_projections::{RebuildOptions, directory::Directory, rebuild};
use guildhall_sandbox::{postgres::Postgres, testing::TestDatabase};
use guildhall_server::{
    config::Config,
    node::{Node, Roles},
};
use guildhall_web::{Role, TokenKeys, TokenRequest};
use uuid::Uuid;

use crate::load::{self, Measured, Target};

const ASSOCIATION: &str = "bench";

/// A node with an association and its members.
pub struct Bench {
    node: Node,
    target: Target,
    _database: TestDatabase,
}

impl Bench {
    /// Starts these roles on a fresh database and registers `members`.
    pub async fn start(postgres: &Postgres, roles: Roles, members: u64) -> anyhow::Result<Self> {
        let database = TestDatabase::create_on(&postgres.url()).await?;
        let secret = KeyEncryptionKey::generate().encoded();
        let mut config = Config::default();
        config.database.url = database.url().to_owned();
        config.http.listen = ([127, 0, 0, 1], 0).into();
        config.auth.token_secret.clone_from(&secret);
        config.vault.key_encryption_key = KeyEncryptionKey::generate().encoded();
        config.check()?;
        let node = Node::start(&config, roles, Clock::system(), None).await?;
        let request = TokenRequest {
            association: ASSOCIATION.to_owned(),
            subject: "bench".to_owned(),
            roles: BTreeSet::from([Role::Api]),
            lifetime: TimeDelta::hours(12),
        };
        let token = TokenKeys::parse(&secret)?.issue(&request, Clock::system().now())?;
        let address = node.address().ok_or_else(|| anyhow::anyhow!("the node serves no HTTP"))?;
        let bench = Self { node, target: Target { address, token }, _database: database };
        load::send(&bench.target, 1, 1, |_| ("FoundAssociation", founding())).await?;
        load::send(&bench.target, 64, members, |n| ("RegisterMember", registering(n))).await?;
        Ok(bench)
    }

    /// Notes spread over the first `members`.
    pub async fn add_notes(&self, connections: u64, commands: u64, members: u64) -> anyhow::Result<Measured> {
        load::send(&self.target, connections, commands, move |n| {
            let body =
                serde_json::json!({ "member_id": member(n % members), "text": "Called about the annual meeting." });
            ("AddNote", body.to_string())
        })
        .await
    }

    /// Builds the directory again and compares it.
    pub async fn rebuild_events_per_second(&self) -> anyhow::Result<f64> {
        let (pool, store) = (self.node.store().pool(), self.node.store());
        let events = store.head().await?;
        let started = Instant::now();
        let report = rebuild::<Directory>(pool, store, RebuildOptions { repair: true }, |_, _| ()).await?;
        anyhow::ensure!(report.position == events, "the rebuild ended at {} of {events}", report.position);
        Ok(events as f64 / started.elapsed().as_secs_f64())
    }

    /// Ends the node.
    pub async fn stop(self) {
        self.node.stop().await;
    }
}

fn member(n: u64) -> Uuid {
    derived(tenant_of_slug(ASSOCIATION).uuid(), &["member", &n.to_string()])
}

fn founding() -> String {
    serde_json::json!({ "name": "Bench", "slug": ASSOCIATION, "time_zone": "UTC", "currency": "USD" }).to_string()
}

fn registering(n: u64) -> String {
    serde_json::json!({
        "member_id": member(n),
        "kind": "person",
        "name": { "display": format!("Member {n}"), "first": "Member", "last": n.to_string() },
    })
    .to_string()
}
