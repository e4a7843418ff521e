//! Promises 1 to 4 under everything at once: an installation of real processes over Postgres and three brokers is kept
//! at work while something breaks every few seconds. In the end nothing is lost, doubled or out of order: not in history, not in
//! Kafka, not in the read models.
//!
//! A short form runs with the other tests. `make chaos` runs the long one, `MINUTES=` and `SEED=` choose how long and what.

mod faults;
mod fleet;
mod load;
mod topics;
mod verdict;

use std::{
    env,
    fs::File,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use guildhall_sandbox::{
    kafka::KafkaCluster,
    postgres::Postgres,
    testing::{TestDatabase, kafka_brokers},
};
use tokio::task::{JoinSet, spawn_blocking};
use uuid::Uuid;

use crate::server::Client;
use faults::Saboteur;
use fleet::Fleet;
use load::{Acknowledged, Load, Worker};

const ASSOCIATIONS: &[&str] = &["lakeside", "harbor", "meadow"];
const WORKERS: u64 = 6;

/// How long what is broken may take to catch up once nothing breaks any more.
const CATCH_UP: Duration = Duration::from_mins(10);

/// How long it goes on, and how hard people work.
struct Form {
    minutes: f64,
    seed: u64,
    pause_ms: u64,
    /// How projectors share partitions: the seed decides.
    protocol: &'static str,
    /// How many acknowledged commands are sent once more in the end.
    sent_again: usize,
}

impl Form {
    /// About a minute of faults, or what `make chaos` asks for.
    fn asked_for() -> Self {
        let number = |name| env::var(name).ok().filter(|text| !text.is_empty());
        let seed = number("SEED")
            .map_or_else(|| Uuid::now_v7().as_u64_pair().1, |seed| seed.parse().expect("SEED is a number"));
        let protocol = if seed % 2 == 0 { "classic" } else { "consumer" };
        if env::var("GUILDHALL_CHAOS").is_ok_and(|wanted| wanted == "1") {
            let minutes = number("MINUTES").map_or(30.0, |minutes| minutes.parse().expect("MINUTES is a number"));
            return Self { minutes, seed, pause_ms: 300, protocol, sent_again: 5_000 };
        }
        Self { minutes: 0.75, seed, pause_ms: 150, protocol, sent_again: 500 }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_reordered_while_everything_breaks() {
    if kafka_brokers().is_none() {
        return;
    }
    let form = Form::asked_for();
    eprintln!("chaos: seed {}", form.seed);
    let kafka = spawn_blocking(|| KafkaCluster::temporary().expect("three brokers start"));
    let postgres = spawn_blocking(|| Postgres::temporary(true, Vec::new()).expect("Postgres starts"));
    let (kafka, postgres) = (kafka.await.expect("no panic"), postgres.await.expect("no panic"));
    let database = TestDatabase::create_on(&postgres.url()).await.expect("a database");
    let (brokers, url) = (kafka.brokers(), database.url().to_owned());
    let prefix = "chaos";
    let protocol = form.protocol;
    let started = spawn_blocking(move || Fleet::start(&url, [prefix, protocol], ASSOCIATIONS, kafka, postgres));
    let fleet = started.await.expect("starting does not panic");

    let (fleet, record, load, acknowledged) = under_load(fleet, &form, database.url()).await;
    let told = told(&form, &record);
    let _shown = ShownOnFailure(&told);
    at_rest(&database).await;

    let connection = database.connect().await;
    let history = verdict::history(&connection).await;
    verdict::acknowledged_once(&connection, &history, &acknowledged, usize::try_from(WORKERS).expect("few")).await;
    verdict::sound(&connection).await;
    assert_eq!(verdict::figures(&connection).await, verdict::naive_fold(&history), "the read models and a naive fold");
    let expected = topics::expected(&connection).await;
    let carried = spawn_blocking(move || topics::check(&brokers, prefix, &expected)).await.expect("the topics hold");
    equal_a_rebuild(&fleet);
    assert_eq!(fleet.server().report(&["audit", "verify"])["holds"], true);
    same_receipts(&fleet, &acknowledged, form.sent_again).await;
    at_rest(&database).await;

    let [read, late] = load.own_reads.each_ref().map(|count| count.load(Ordering::SeqCst));
    let interrupted = load.interrupted.load(Ordering::SeqCst);
    assert!(interrupted > 0, "nobody waited when something broke: the test shows nothing");
    came_to(
        &told,
        &format!(
            "{} events by {} acknowledged commands, {interrupted} of them interrupted; {read} reads found what had just \
             been written, {late} were told that it was not there yet; {} records in Kafka ({}), {} of them repeated: 0 \
             lost, 0 doubled, 0 out of order",
            history.len(),
            acknowledged.len(),
            carried.records,
            topics::names(prefix),
            carried.repeated,
        ),
    );
    spawn_blocking(move || drop(fleet)).await.expect("stopping does not panic");
}

/// People work while things break.
async fn under_load(
    fleet: Fleet,
    form: &Form,
    database_url: &str,
) -> (Fleet, Vec<String>, Arc<Load>, Vec<Acknowledged>) {
    let load = Arc::new(Load {
        serving: fleet.serving(),
        over: AtomicBool::new(false),
        interrupted: 0.into(),
        own_reads: [0.into(), 0.into()],
    });
    let mut workers: Vec<_> =
        (0..WORKERS).map(|number| Worker::new(&load, form.seed, number, ASSOCIATIONS.len(), form.pause_ms)).collect();
    let mut acknowledged = Vec::new();
    for (worker, slug) in workers.iter_mut().zip(ASSOCIATIONS) {
        worker.found(slug).await;
        acknowledged.extend(worker.so_far());
    }
    let working: JoinSet<_> = workers.into_iter().map(Worker::work).collect();
    let mut saboteur = Saboteur::new(form.seed, database_url);
    let how_long = Duration::from_secs_f64(form.minutes * 60.0);
    let broken = spawn_blocking(move || {
        let mut fleet = fleet;
        saboteur.run(&mut fleet, how_long);
        (fleet, saboteur.record)
    });
    let (fleet, record) = broken.await.expect("what breaks things does not break itself");
    load.over.store(true, Ordering::SeqCst);
    acknowledged.extend(working.join_all().await.concat());
    (fleet, record, load, acknowledged)
}

/// Waits until processes and projections have seen all of history, and nothing more comes of it.
async fn at_rest(database: &TestDatabase) {
    let connection = database.connect().await;
    let query = "SELECT (SELECT coalesce(max(position), 0) FROM es.event),
                        (SELECT coalesce(min(position), 0) FROM process.checkpoint),
                        (SELECT coalesce(min(reached), 0) FROM read.checkpoint),
                        (SELECT count(DISTINCT projection) FROM read.checkpoint)";
    let (started, mut seen) = (Instant::now(), (0, 0));
    loop {
        let row = connection.query_one(query, &[]).await.expect("the database answers");
        let at: [i64; 4] = [0, 1, 2, 3].map(|column| row.get(column));
        let [head, processed, projected, projections] = at;
        let all = processed >= head && projected >= head && projections == 3;
        seen = if all && seen.0 == head { (head, seen.1 + 1) } else { (head, 0) };
        if seen.1 >= 5 {
            return;
        }
        assert!(
            started.elapsed() < CATCH_UP,
            "history is at {head}, processes at {processed}, read models at {projected}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn equal_a_rebuild(fleet: &Fleet) {
    for report in fleet.server().report(&["rebuild", "all"]).as_array().expect("a report each") {
        let tables = report["tables"].as_array().expect("tables");
        assert!(tables.iter().all(|table| table["only_live"] == 0 && table["only_rebuilt"] == 0), "{report}");
    }
}

/// Whoever sends a command again under its key gets the receipt that they had.
async fn same_receipts(fleet: &Fleet, acknowledged: &[Acknowledged], most: usize) {
    let serving = fleet.serving().borrow().clone();
    let step = acknowledged.len().div_ceil(most).max(1);
    let mut asking = JoinSet::new();
    for lane in 0..8 {
        let part: Vec<_> = acknowledged.iter().step_by(step).skip(lane).step_by(8).cloned().collect();
        let clients: Vec<Client> = serving.iter().map(|nodes| nodes[lane % nodes.len()].clone()).collect();
        asking.spawn(async move {
            for Acknowledged { association, name, key, body, receipt } in part {
                let (_, again) = clients[association].send(name, &key, &body).await.expect("an answer");
                assert_eq!(again, receipt, "{key}: another receipt");
            }
        });
    }
    asking.join_all().await;
}

/// What was injected, and the seed that brings it again.
fn told(form: &Form, record: &[String]) -> String {
    let Form { seed, minutes, protocol, .. } = form;
    let entries = record.len();
    format!("Seed {seed}, {minutes} minutes, groups by {protocol}, {entries} entries:\n\n{}\n", record.join("\n"))
}

/// Shows what was injected where the test fails.
struct ShownOnFailure<'a>(&'a str);

impl Drop for ShownOnFailure<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

/// Says what it came to, and where `make chaos` collects it.
fn came_to(told: &str, figures: &str) {
    println!("{told}\n{figures}");
    let Some(results) = env::var_os("GUILDHALL_CHAOS_RESULTS") else { return };
    let mut results = File::options().append(true).create(true).open(results).expect("the results can be written");
    writeln!(results, "{figures}\n\n```text\n{told}```").expect("the results can be written");
}
