//! What goes wrong, when, and for how long: decided by dice, written down, and mended again.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use guildhall_sandbox::postgres::Postgres;
use tokio::runtime::Handle;
use tokio_postgres::NoTls;

use super::fleet::{Fleet, Role, free, taken};
use crate::dice::Dice;

/// Past the relay's lease, and past the time after which a projector's group gives its partitions to others.
const PAST_THE_LEASE: Duration = Duration::from_secs(14);

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    KillServe,
    KillRelay,
    KillProjector,
    KillProcess,
    KillBroker,
    PauseBroker,
    StopPostgres,
    PauseRelay,
    PauseProjector,
    Storm,
    CutConnections,
}

const FAULTS: [Fault; 11] = [
    Fault::KillServe,
    Fault::KillRelay,
    Fault::KillProjector,
    Fault::KillProcess,
    Fault::KillBroker,
    Fault::PauseBroker,
    Fault::StopPostgres,
    Fault::PauseRelay,
    Fault::PauseProjector,
    Fault::Storm,
    Fault::CutConnections,
];

/// What mends a fault.
enum Repair {
    Relaunch(usize),
    Resume(usize),
    Dismiss(usize),
    /// One more projector comes and goes.
    Storm(u64),
    Broker(usize),
}

/// Does one thing after another to a fleet.
pub(super) struct Saboteur {
    dice: Dice,
    began: Instant,
    database_url: String,
    runtime: Handle,
    repairs: Vec<(Instant, Repair)>,
    at_work: Vec<JoinHandle<()>>,
    /// What kinds are still to come before any comes again, so that a short run has them all.
    bag: Vec<Fault>,
    /// What was done, and when.
    pub(super) record: Vec<String>,
}

impl Saboteur {
    pub(super) fn new(seed: u64, database_url: &str) -> Self {
        Self {
            dice: Dice::new(seed),
            began: Instant::now(),
            database_url: database_url.to_owned(),
            runtime: Handle::current(),
            repairs: Vec::new(),
            at_work: Vec::new(),
            bag: Vec::new(),
            record: Vec::new(),
        }
    }

    /// Breaks something every few seconds for so long, then mends everything. Blocks.
    pub(super) fn run(&mut self, fleet: &mut Fleet, how_long: Duration) {
        let end = Instant::now() + how_long;
        let mut next = Instant::now();
        while Instant::now() < end {
            self.mend_what_is_due(fleet);
            for name in fleet.revive() {
                self.note(&format!("{name} had ended by itself and is started again"));
            }
            if Instant::now() >= next {
                self.break_something(fleet);
                next = Instant::now() + Duration::from_millis(1_000 + self.dice.below(4_000));
            }
            thread::sleep(Duration::from_millis(50));
        }
        self.mend_everything(fleet);
    }

    fn note(&mut self, what: &str) {
        self.record.push(format!("{:8.2} s  {what}", self.began.elapsed().as_secs_f64()));
    }

    fn later(&mut self, after: Duration, repair: Repair) {
        self.repairs.push((Instant::now() + after, repair));
    }

    fn a_moment(&mut self) -> Duration {
        Duration::from_millis(100 + self.dice.below(3_000))
    }

    fn break_something(&mut self, fleet: &mut Fleet) {
        if self.bag.is_empty() {
            self.bag = FAULTS.to_vec();
        }
        let place = self.dice.index(self.bag.len());
        let fault = self.bag.swap_remove(place);
        match fault {
            Fault::KillServe => self.kill(fleet, Role::Serve),
            Fault::KillRelay => self.kill(fleet, Role::Relay),
            Fault::KillProjector => self.kill(fleet, Role::Project),
            Fault::KillProcess => self.kill(fleet, Role::Process),
            Fault::KillBroker | Fault::PauseBroker => self.break_broker(fleet, fault),
            Fault::StopPostgres => self.stop_postgres(fleet),
            Fault::PauseRelay => {
                if let Some(place) = fleet.lease_holder() {
                    self.pause(fleet, place);
                }
            }
            Fault::PauseProjector => {
                let awake = fleet.awake(Role::Project);
                if awake.len() > 1 {
                    let place = *self.dice.pick(&awake);
                    self.pause(fleet, place);
                }
            }
            Fault::Storm => {
                let comers = 1 + self.dice.below(3);
                self.storm(fleet, comers);
            }
            Fault::CutConnections => self.cut_connections(),
        }
    }

    fn kill(&mut self, fleet: &mut Fleet, role: Role) {
        let awake = fleet.awake(role);
        if awake.is_empty() {
            return;
        }
        let place = *self.dice.pick(&awake);
        self.note(&format!("kill -9 {}", fleet.name(place)));
        fleet.kill(place);
        let after = self.a_moment();
        self.later(after, Repair::Relaunch(place));
    }

    fn pause(&mut self, fleet: &mut Fleet, place: usize) {
        self.note(&format!("SIGSTOP {} for {} s", fleet.name(place), PAST_THE_LEASE.as_secs()));
        fleet.pause(place);
        self.later(PAST_THE_LEASE, Repair::Resume(place));
    }

    fn storm(&mut self, fleet: &mut Fleet, comers: u64) {
        let place = fleet.enlist(Role::Project);
        self.note(&format!("{} comes for a moment, {} more after it", fleet.name(place), comers - 1));
        let after = self.a_moment();
        self.later(after, Repair::Dismiss(place));
        if comers > 1 {
            self.later(after / 2, Repair::Storm(comers - 1));
        }
    }

    /// One broker at a time: with two away, what is not in sync is not acknowledged, and nothing would go on.
    fn break_broker(&mut self, fleet: &mut Fleet, fault: Fault) {
        let waits = self.repairs.iter().any(|(_, repair)| matches!(repair, Repair::Broker(_)));
        let kafka = Arc::clone(&fleet.kafka);
        let Some(mut kafka) = free(&kafka).filter(|_| !waits) else { return };
        let id = 1 + self.dice.index(3);
        if fault == Fault::KillBroker {
            self.note(&format!("kill -9 of broker {id}"));
            kafka.node(id).kill().expect("a broker can be killed");
        } else {
            self.note(&format!("SIGSTOP of broker {id}"));
            kafka.node(id).pause().expect("a broker can be stopped");
        }
        let after = self.a_moment() * 2;
        self.later(after, Repair::Broker(id));
    }

    fn stop_postgres(&mut self, fleet: &Fleet) {
        let Some(postgres) = free(&fleet.postgres) else { return };
        drop(postgres);
        self.note("immediate stop of Postgres");
        let (postgres, away) = (Arc::clone(&fleet.postgres), Duration::from_millis(self.dice.below(2_000)));
        self.at_work.push(thread::spawn(move || {
            let mut postgres = taken(&postgres);
            postgres.stop_immediately().expect("Postgres can be stopped");
            thread::sleep(away);
            start_again(&mut postgres);
        }));
    }

    fn cut_connections(&mut self) {
        let url = self.database_url.clone();
        let (dice, share) = (&mut self.dice, 2);
        let cut = self.runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
            let mut driver = tokio::task::JoinSet::new();
            driver.spawn(connection);
            let all = "SELECT pid FROM pg_stat_activity
                       WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY pid";
            let all = client.query(all, &[]).await?.iter().map(|row| row.get(0)).collect::<Vec<i32>>();
            let chosen: Vec<_> = all.into_iter().filter(|_| dice.below(share) == 0).collect();
            client.execute("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid", &[&chosen]).await?;
            Ok::<_, tokio_postgres::Error>(chosen.len())
        });
        // Postgres may be away at this very moment.
        if let Ok(cut) = cut {
            self.note(&format!("{cut} connections to Postgres cut"));
        }
    }

    fn mend_what_is_due(&mut self, fleet: &mut Fleet) {
        let now = Instant::now();
        let (due, rest) = std::mem::take(&mut self.repairs).into_iter().partition(|(at, _)| *at <= now);
        self.repairs = rest;
        let due: Vec<(Instant, Repair)> = due;
        for (_, repair) in due {
            self.mend(fleet, repair);
        }
    }

    fn mend(&mut self, fleet: &mut Fleet, repair: Repair) {
        match repair {
            Repair::Relaunch(place) => fleet.relaunch(place),
            Repair::Resume(place) => fleet.resume(place),
            // Some say that they leave, others are gone.
            Repair::Dismiss(place) if self.dice.below(2) == 0 => fleet.ask_to_end(place),
            Repair::Dismiss(place) => fleet.kill(place),
            Repair::Storm(comers) => self.storm(fleet, comers),
            Repair::Broker(id) => {
                let kafka = Arc::clone(&fleet.kafka);
                self.at_work.push(thread::spawn(move || {
                    let mut kafka = taken(&kafka);
                    let node = kafka.node(id);
                    if node.is_running() {
                        node.resume().expect("a broker can go on");
                    } else {
                        node.restart().expect("a broker comes back");
                    }
                }));
            }
        }
    }

    /// Everything that is broken is mended, and whoever came for a moment is gone.
    fn mend_everything(&mut self, fleet: &mut Fleet) {
        while let Some((_, repair)) = self.repairs.pop() {
            if !matches!(repair, Repair::Storm(_)) {
                self.mend(fleet, repair);
            }
        }
        for work in self.at_work.drain(..) {
            work.join().expect("mending does not panic");
        }
        fleet.all_up();
        self.note("nothing more is broken");
    }
}

fn start_again(postgres: &mut Postgres) {
    postgres.restart().expect("Postgres comes back");
}
