//! What those who look after projections are told of them.

use deadpool_postgres::Transaction;
use guildhall_event_store::{Batch, Selection};
use guildhall_projections::{
    ProjectError, Projector, Reporting, Stage,
    progress::{Progress, progress},
};
use tokio::sync::Semaphore;

use crate::{
    story,
    support::{World, compare, tenant, until},
};

/// Opened when the held projector may fold.
static MAY_FOLD: Semaphore = Semaphore::const_new(0);

/// Folds as reporting does, once it may.
struct Held;

impl Projector for Held {
    const NAME: &'static str = Reporting::NAME;
    const VERSION: i32 = Reporting::VERSION;
    const TABLES: &'static [&'static str] = Reporting::TABLES;

    const READS: Selection = Reporting::READS;

    async fn apply(batch: &Batch, tx: &Transaction<'_>, stage: Stage) -> Result<(), ProjectError> {
        let _held = MAY_FOLD.acquire().await;
        Reporting::apply(batch, tx, stage).await
    }

    async fn complete(tx: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
        Reporting::complete(tx).await
    }
}

async fn told(world: &World) -> Vec<Progress> {
    progress(&*world.client().await).await.expect("the checkpoints are readable")
}

#[tokio::test]
async fn a_projection_that_never_ran_has_no_source_and_one_that_did_says_what_it_folded_last() {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    assert!(told(&world).await.iter().all(|one| one.version.is_none() && one.sources.is_empty()));
    world.project::<Reporting>().await;
    let last = world.store.read_after(0, 10_000).await.unwrap().pop().unwrap();
    let of_reporting = told(&world).await.remove(1);
    assert_eq!((of_reporting.projection, of_reporting.transport.as_deref()), (Reporting::NAME, Some("store")));
    assert_eq!(of_reporting.sources[0].reached, last.position);
    assert_eq!(of_reporting.sources[0].last, Some((last.position, last.leaf_hash)));
}

#[tokio::test]
async fn a_rebuild_is_seen_for_as_long_as_it_runs() {
    let world = World::open().await;
    story::tell(&world, tenant(1)).await;
    world.project::<Reporting>().await;
    let seen = async || {
        let all = told(&world).await;
        all.into_iter().filter(|one| one.rebuilding).map(|one| one.projection).collect::<Vec<_>>()
    };
    assert_eq!(seen().await, [] as [&str; 0]);
    let rebuilt = world.rebuild::<Held>(compare());
    let watched = async {
        until("the rebuild is seen", async || seen().await == [Reporting::NAME]).await;
        MAY_FOLD.add_permits(1_000);
    };
    let (report, ()) = tokio::join!(rebuilt, watched);
    assert!(report.unwrap().equal());
    until("it is over", async || seen().await.is_empty()).await;
}
