//! Streams that cannot be followed, and their way back. A check that is added to a live table refuses the rows of one
//! stream, and dropping it takes the cause away.

use guildhall_event_store::{NewEvent, StreamId};
use guildhall_projections::{
    Directory, Projector, Reporting, RunError, Runner, STORE,
    parked::{self, RetryError},
    reached,
};
use tokio::task::JoinSet;
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    story::{self, activated, applied, plan_created, renewed},
    support::{World, compare, delivery, id, raw, repair, tenant, until},
};

/// The membership whose rows are refused.
const REFUSED: u128 = 1_000_000;

fn membership(number: u128) -> StreamId {
    StreamId::new("membership", id(number))
}

impl World {
    async fn refuse(&self) {
        let check = format!(
            "ALTER TABLE read.reporting_membership ADD CONSTRAINT refused CHECK (membership_id <> '{}') NOT VALID",
            id(REFUSED)
        );
        self.client().await.batch_execute(&check).await.expect("the table is there");
    }

    async fn accept(&self) {
        let drop = "ALTER TABLE read.reporting_membership DROP CONSTRAINT refused";
        self.client().await.batch_execute(drop).await.expect("it was refused");
    }

    /// A membership that begins, and is renewed so many times: the first renewal is number 2.
    async fn join(&self, number: u128, renewals: std::ops::Range<u32>) {
        self.record(
            tenant(1),
            id(number),
            &[applied(id(1), id(10), "2020-01-01"), activated("2020-01-01", "2020-12-31")],
        )
        .await;
        self.renew(number, renewals).await;
    }

    async fn renew(&self, number: u128, renewals: std::ops::Range<u32>) {
        for nth in renewals {
            let (start, end) = ("2021-01-01", "2021-12-31");
            self.record(tenant(1), id(number), &[renewed(nth + 2, id(10), start, end, "2020-01-01", start)]).await;
        }
    }

    async fn parked<P: Projector>(&self) -> Vec<parked::ParkedStream> {
        parked::list(&*self.client().await, P::NAME).await.expect("the list is readable")
    }

    async fn retry<P: Projector>(&self, stream: Option<&StreamId>) -> Vec<parked::Retried> {
        parked::retry::<P>(&self.pool(), &self.store, stream, false).await.expect("the projection may be folded")
    }

    async fn assert_equals_a_rebuild<P: Projector>(&self) {
        let report = self.rebuild::<P>(compare()).await.expect("history can be folded");
        assert!(report.equal() && report.parked == 0, "{report:?}");
    }
}

/// How many streams beside the one: a few hundred, or ten thousand when asked for the long form.
fn others() -> u128 {
    if std::env::var_os("GUILDHALL_TORTURE").is_some_and(|wanted| wanted == "1") { 10_000 } else { 300 }
}

#[tokio::test]
async fn one_poison_event_among_many_streams_holds_up_no_other_and_its_stream_ends_in_the_right_state() {
    let world = World::open().await;
    let others: Vec<u128> = (0..others()).map(|n| REFUSED + 1 + n).collect();
    let half = others.len() / 2;
    join_all(&world, &others[..half]).await;
    world.join(REFUSED, 0..1).await;
    join_all(&world, &others[half..]).await;
    world.refuse().await;

    let mut runner = world.runner::<Reporting>();
    let mut at = runner.claim(STORE).await.unwrap().last_position;
    let head = world.store.head().await.unwrap();
    while at < head {
        // Each batch is in as a whole but for the one stream, that with the poison as well.
        let events = world.store.read_after(at, 500).await.unwrap();
        at = events.last().unwrap().position;
        runner.deliver(delivery(events)).await.unwrap();
        assert_eq!(reached(&*world.client().await, Reporting::NAME).await.unwrap(), at);
        let activated = "SELECT count(*) FROM es.event WHERE type = 'MembershipActivated'";
        let sql = format!(
            "{activated} AND position <= {at} AND stream_key <> (SELECT stream_key FROM es.stream WHERE id = '{}')",
            id(REFUSED)
        );
        let folded = world.count("SELECT count(*) FROM read.reporting_membership WHERE active").await;
        assert_eq!(folded, world.count(&sql).await, "at {at}");
    }
    let waiting = world.parked::<Reporting>().await;
    assert_eq!(
        waiting.iter().map(|parked| (&parked.stream, parked.events)).collect::<Vec<_>>(),
        [(&membership(REFUSED), 3)]
    );

    // The cause is gone and nobody knows: the stream waits on, and so does what is recorded meanwhile.
    world.accept().await;
    world.renew(REFUSED, 1..3).await;
    world.project::<Reporting>().await;
    assert_eq!(world.parked::<Reporting>().await[0].events, 5);
    let retried = world.retry::<Reporting>(Some(&membership(REFUSED))).await;
    assert_eq!((retried[0].waited, retried[0].folded(), &retried[0].parked), (5, 5, &None));
    world.renew(REFUSED, 3..4).await;
    world.project::<Reporting>().await;
    assert_eq!(world.parked::<Reporting>().await, []);
    world.assert_equals_a_rebuild::<Reporting>().await;
}

async fn join_all(world: &World, numbers: &[u128]) {
    for some in numbers.chunks(100) {
        futures::future::join_all(some.iter().map(|number| world.join(*number, 0..0))).await;
    }
}

/// Feeds a runner as a partition of Kafka would: the memberships with an even id, or those with an odd one.
async fn follow_partition(world: &World, parity: u128, stop: &CancellationToken) {
    let source = format!("kafka:guildhall.memberships:{parity}");
    let mut runner: Runner<Reporting> = world.runner();
    let mut at = None;
    while !stop.is_cancelled() {
        let from = match at {
            Some(from) => from,
            None => runner.claim(&source).await.expect("nobody else claims it").last_position,
        };
        // A delivery that is refused is made again, from where the checkpoint is.
        at = match next_of(world, &mut runner, &source, parity, from).await {
            Ok(position) => Some(position),
            Err(error) if error.may_pass() => None,
            Err(error) => panic!("{error}"),
        };
    }
}

async fn next_of(
    world: &World,
    runner: &mut Runner<Reporting>,
    source: &str,
    parity: u128,
    from: u64,
) -> Result<u64, RunError> {
    let mut events = world.store.read_after(from, 200).await?;
    let Some(reached) = events.last().map(|event| event.position) else {
        tokio::task::yield_now().await;
        return Ok(from);
    };
    events.retain(|event| event.stream.id.as_u128() % 2 == parity);
    let source = source.to_owned();
    runner.deliver(vec![guildhall_projections::Delivery { source, events, next_offset: 0, reached }]).await?;
    Ok(reached)
}

/// Parks a stream and retries it, again and again, while it and others grow and the projection runs.
async fn park_and_retry(world: &World, rounds: u32, all_folded: impl AsyncFn() -> bool) {
    let mut renewals = 0..0;
    for round in 0..rounds {
        world.refuse().await;
        renewals = renewals.end..renewals.end + 4;
        world.renew(REFUSED, renewals.clone()).await;
        until("the stream is parked", async || !world.parked::<Reporting>().await.is_empty()).await;
        world.accept().await;
        // While it is folded again, more comes for it and for others.
        renewals = renewals.end..renewals.end + 4;
        let grow = async {
            for renewal in renewals.clone() {
                world.renew(REFUSED, renewal..renewal + 1).await;
                world.join(REFUSED + 1 + u128::from(round * 100 + renewal), 0..1).await;
            }
        };
        let (retried, ()) = tokio::join!(world.retry::<Reporting>(None), grow);
        assert!(retried[0].parked.is_none(), "{retried:?}");
    }
    until("all is folded", all_folded).await;
    assert_eq!(world.parked::<Reporting>().await, []);
    let renewed = format!("SELECT count(*) FROM read.reporting_renewal WHERE membership_id = '{}'", id(REFUSED));
    assert_eq!(world.count(&renewed).await, i64::from(renewals.end));
    world.assert_equals_a_rebuild::<Reporting>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_beside_a_projection_that_reads_the_store_loses_nothing_and_doubles_nothing() {
    let world = World::open().await;
    world.join(REFUSED, 0..0).await;
    let stop = CancellationToken::new();
    let (mut runner, token) = (world.runner::<Reporting>(), stop.clone());
    let mut running = JoinSet::new();
    running.spawn(async move { runner.run_from_store(token).await });
    let client = world.client().await;
    let all_folded = async || reached(&client, Reporting::NAME).await.unwrap() == world.store.head().await.unwrap();
    park_and_retry(&world, 5, all_folded).await;
    stop.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_beside_a_projection_that_reads_partitions_loses_nothing_and_doubles_nothing() {
    let world = World::open().await;
    world
        .runner::<Reporting>()
        .declare(&["kafka:guildhall.memberships:0", "kafka:guildhall.memberships:1"])
        .await
        .unwrap();
    world.join(REFUSED, 0..0).await;
    let stop = CancellationToken::new();
    let test = async {
        let client = world.client().await;
        let all_folded = async || reached(&client, Reporting::NAME).await.unwrap() == world.store.head().await.unwrap();
        park_and_retry(&world, 5, all_folded).await;
        stop.cancel();
    };
    tokio::join!(follow_partition(&world, 0, &stop), follow_partition(&world, 1, &stop), test);
}

fn unreadable() -> Vec<NewEvent> {
    vec![raw("MembershipActivated", "{\"type\":\"MembershipActivated\"}")]
}

/// A stream with a poison event as its second and its fourth, and one behind it that is good.
async fn twice_poisoned(world: &World) -> StreamId {
    let stream = membership(20);
    world.record(tenant(1), id(20), &[applied(id(1), id(10), "2020-01-01")]).await;
    world.record_raw(tenant(1), stream.clone(), unreadable()).await;
    world.record(tenant(1), id(20), &[activated("2020-01-01", "2020-12-31")]).await;
    world.record_raw(tenant(1), stream.clone(), unreadable()).await;
    world.renew(20, 0..1).await;
    world.project::<Reporting>().await;
    stream
}

#[tokio::test]
async fn what_is_released_goes_on_without_the_events_that_cannot_be_folded_and_says_so() {
    let world = World::open().await;
    let stream = twice_poisoned(&world).await;
    let before = world.parked::<Reporting>().await;
    assert_eq!((before[0].first_version, before[0].events), (2, 4));

    // A retry by a program that reads no more of it changes nothing, and neither does a dry run.
    assert_eq!(world.retry::<Reporting>(None).await[0].parked.as_ref(), before.first());
    let foretold = parked::release::<Reporting>(&world.pool(), &world.store, &stream, true).await.unwrap();
    assert_eq!(world.parked::<Reporting>().await, before);
    assert_eq!(world.count("SELECT count(*) FROM read.reporting_membership WHERE active").await, 0);

    let did = parked::release::<Reporting>(&world.pool(), &world.store, &stream, false).await.unwrap();
    assert_eq!(did, foretold);
    assert_eq!((did[0].waited, did[0].folded(), &did[0].parked), (4, 2, &None));
    assert_eq!(did[0].left_out.iter().map(|event| event.version).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(world.count("SELECT count(*) FROM read.reporting_membership WHERE active").await, 1);
    assert_eq!(world.count("SELECT count(*) FROM read.reporting_renewal").await, 1);

    world.renew(20, 1..2).await;
    world.project::<Reporting>().await;
    assert_eq!(world.count("SELECT count(*) FROM read.reporting_renewal").await, 2);
    assert_eq!(world.parked::<Reporting>().await, []);
    let client = world.client().await;
    assert_eq!(parked::left_out(&client, Reporting::NAME).await.unwrap(), did[0].left_out);
    let stale = parked::standing(&client, Reporting::NAME, tenant(1)).await.unwrap().stale;
    assert_eq!(
        stale.iter().map(|stale| (stale.first_position, stale.parked)).collect::<Vec<_>>(),
        [(2, false), (4, false)]
    );
    assert_eq!(parked::standing(&client, Reporting::NAME, tenant(2)).await.unwrap().stale, []);

    // A rebuild tries everything again.
    world.rebuild::<Reporting>(repair()).await.unwrap();
    assert_eq!(parked::left_out(&client, Reporting::NAME).await.unwrap(), []);
    assert_eq!(world.parked::<Reporting>().await[0].events, 5);
}

#[tokio::test]
async fn a_stream_waits_from_the_first_event_that_cannot_be_folded_whichever_was_noticed_first() {
    let world = World::open().await;
    world.refuse().await;
    world.join(REFUSED, 0..1).await;
    world.record_raw(tenant(1), membership(REFUSED), unreadable()).await;
    world.renew(REFUSED, 1..2).await;
    // The unreadable one is noticed first, and then that Postgres refuses the ones before it.
    world.project::<Reporting>().await;
    assert_eq!(world.parked::<Reporting>().await[0].first_version, 1);
    world.accept().await;
    let retried = world.retry::<Reporting>(None).await;
    assert_eq!((retried[0].waited, retried[0].folded()), (5, 3));
    let waiting = world.parked::<Reporting>().await;
    assert_eq!((waiting[0].first_version, waiting[0].events), (4, 2));
    assert_eq!(retried[0].parked.as_ref(), waiting.first());
    assert_eq!(world.count("SELECT count(*) FROM read.reporting_renewal").await, 1);
}

#[tokio::test]
async fn a_stream_that_is_not_parked_can_be_neither_retried_nor_released() {
    let world = World::open().await;
    world.join(20, 0..0).await;
    world.project::<Reporting>().await;
    let refused = parked::retry::<Reporting>(&world.pool(), &world.store, Some(&membership(20)), false).await;
    assert!(matches!(refused, Err(RetryError::NotParked { .. })), "{refused:?}");
    let refused = parked::release::<Directory>(&world.pool(), &world.store, &membership(20), false).await;
    assert!(refused.unwrap_err().to_string().contains("guildhall projections parked"));
    assert_eq!(world.retry::<Reporting>(None).await, []);
}

#[tokio::test]
async fn every_poison_event_is_told_to_the_outside_once_though_it_parks_again() {
    let world = World::open().await;
    let stream = twice_poisoned(&world).await;
    let told = async || {
        let mut client = world.client().await;
        let tx = client.transaction().await.unwrap();
        let events = parked::unsent(&tx, Reporting::NAME, 10).await.unwrap();
        // Whoever asks at the same time is given none of them.
        let mut other = world.client().await;
        let others = other.transaction().await.unwrap();
        assert_eq!(parked::unsent(&others, Reporting::NAME, 10).await.unwrap(), []);
        parked::mark_sent(&tx, Reporting::NAME, &events).await.unwrap();
        tx.commit().await.unwrap();
        events.iter().map(|event| event.version).collect::<Vec<_>>()
    };
    assert_eq!(told().await, [2]);
    world.retry::<Reporting>(None).await;
    assert_eq!(told().await, [] as [u64; 0]);
    parked::release::<Reporting>(&world.pool(), &world.store, &stream, false).await.unwrap();
    assert_eq!(told().await, [4]);
    world.rebuild::<Reporting>(repair()).await.unwrap();
    assert_eq!(told().await, [] as [u64; 0]);
}

#[tokio::test]
async fn a_value_too_large_for_an_index_parks_the_stream_it_comes_from() {
    let world = World::open().await;
    // Random, so that it cannot be compressed into the index.
    let long: String = (0..400).map(|_| Uuid::now_v7().simple().to_string()).collect();
    let long = format!("Ada {long}");
    for (number, name) in [(1, "Ada Lovelace"), (2, &*long), (3, "Grace Hopper")] {
        let person = story::person(&world, tenant(1), id(number), name, "London").await;
        world.record(tenant(1), id(number), &[person]).await;
    }
    world.project::<Directory>().await;
    let waiting = world.parked::<Directory>().await;
    assert_eq!(waiting.iter().map(|parked| parked.stream.id).collect::<Vec<_>>(), [id(2)]);
    assert_eq!(world.count("SELECT count(*) FROM read.directory_member").await, 2);
}

/// What a delivery comes to while Postgres answers every row of a table with this error.
async fn delivered_while(world: &World, code: &str) -> Result<usize, RunError> {
    let client = world.client().await;
    client
        .batch_execute(&format!(
            "CREATE FUNCTION read.fail() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'in the middle of it' USING ERRCODE = '{code}'; END $$; \
             CREATE TRIGGER fail BEFORE INSERT ON read.reporting_plan FOR EACH ROW EXECUTE FUNCTION read.fail()"
        ))
        .await
        .expect("the table is there");
    let mut runner = world.runner::<Reporting>();
    runner.claim(STORE).await.expect("nobody else projects");
    let events = world.store.read_after(0, 100).await.expect("history is readable");
    let delivered = runner.deliver(delivery(events)).await;
    client.batch_execute("DROP FUNCTION read.fail() CASCADE").await.expect("it was made above");
    delivered
}

#[tokio::test]
async fn an_error_of_the_server_parks_nothing_whatever_it_is() {
    let world = World::open().await;
    world.record(tenant(1), id(10), &[plan_created("regular")]).await;
    // Serialization, deadlock, cancelled, shut down, disk full, memory, connections, lock, read-only, I/O, internal.
    for code in
        ["40001", "40P01", "57014", "57P01", "53100", "53200", "53300", "55P03", "25006", "58030", "XX000", "08006"]
    {
        let refused = delivered_while(&world, code).await.unwrap_err();
        assert!(matches!(&refused, RunError::Database(_)) && refused.may_pass(), "{code}: {refused:?}");
        assert_eq!(world.parked::<Reporting>().await, [], "{code}");
    }
    // The same rows with an error of the data: the check above can fail.
    assert_eq!(delivered_while(&world, "22000").await.unwrap(), 1);
    assert_eq!(world.parked::<Reporting>().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_is_cancelled_or_cut_off_parks_nothing_and_goes_on() {
    let world = World::open().await;
    let mut operator = world.database.connect().await;
    let stop = CancellationToken::new();
    let (mut runner, token) = (world.runner::<Reporting>(), stop.clone());
    let mut running = JoinSet::new();
    running.spawn(async move { runner.run_from_store(token).await });
    let all_folded =
        async || reached(&*world.client().await, Reporting::NAME).await.unwrap() == world.store.head().await.unwrap();
    let waits = "FROM pg_locks WHERE NOT granted AND relation = 'read.reporting_plan'::regclass";
    for (number, deed) in ["pg_cancel_backend", "pg_terminate_backend"].into_iter().enumerate() {
        // Whoever folds waits for the table, and there it is hit.
        let tx = operator.transaction().await.unwrap();
        tx.batch_execute("LOCK TABLE read.reporting_plan").await.unwrap();
        world.record(tenant(1), id(10 + number as u128), &[plan_created("regular")]).await;
        let hit = format!("SELECT count({deed}(pid)) {waits}");
        until("the projection was hit", async || tx.query_one(&hit, &[]).await.unwrap().get::<_, i64>(0) > 0).await;
        tx.rollback().await.unwrap();
        until("all is folded", all_folded).await;
    }
    assert_eq!(world.parked::<Reporting>().await, []);
    assert_eq!(world.count("SELECT count(*) FROM read.reporting_plan").await, 2);
    stop.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_has_become_a_standby_is_waited_for() {
    let world = World::open().await;
    let setting = "ALTER DATABASE %I SET default_transaction_read_only = on";
    let standby = format!("DO $$ BEGIN EXECUTE format('{setting}', current_database()); END $$");
    world.client().await.batch_execute(&standby).await.unwrap();
    let manager = deadpool_postgres::Manager::new(world.database.url().parse().unwrap(), tokio_postgres::NoTls);
    let pool = deadpool_postgres::Pool::builder(manager).build().unwrap();
    let refused = Runner::<Reporting>::open(pool, world.store.clone()).claim(STORE).await.unwrap_err();
    let RunError::Database(error) = &refused else { panic!("{refused:?}") };
    assert_eq!((error.code().map(SqlState::code), refused.may_pass()), (Some("25006"), true));
}
