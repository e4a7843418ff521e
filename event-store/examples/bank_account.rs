//! A `cqrs-es` application whose history is Guildhall's. Its aggregate, its query and its services know nothing of that:
//! [`framework`] is all there is to change.
//!
//! ```text
//! DATABASE_URL=postgresql:///guildhall KEY_ENCRYPTION_KEY=… cargo run --package guildhall-event-store --example bank_account
//! ```
//!
//! The database is one that `guildhall migrate` has been run on; `guildhall config new` prints a key.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use cqrs_es::{Aggregate, CqrsFramework, DomainEvent, EventEnvelope, Query, event_sink::EventSink};
use guildhall_aggregates::{TenantId, tenant_of_slug};
use guildhall_event_store::{Clock, EventStore, KeyEncryptionKey, StoreOptions, cqrs::CqrsStore};
use serde::{Deserialize, Serialize};

/// Somebody's money.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct BankAccount {
    pub(crate) opened: bool,
    pub(crate) cents: i64,
    pub(crate) bookings: usize,
}

/// What can be asked of an account.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BankCommand {
    Open,
    Deposit { cents: i64 },
    Withdraw { cents: i64 },
}

/// What happened to an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum BankEvent {
    Opened,
    Deposited { cents: i64 },
    Withdrawn { cents: i64, fee_cents: i64 },
}

impl DomainEvent for BankEvent {
    fn event_type(&self) -> String {
        match self {
            Self::Opened => "Opened",
            Self::Deposited { .. } => "Deposited",
            Self::Withdrawn { .. } => "Withdrawn",
        }
        .to_owned()
    }

    /// Withdrawals have had fees since version 2.1.
    fn event_version(&self) -> String {
        if matches!(self, Self::Withdrawn { .. }) { "2.1".to_owned() } else { "1.0".to_owned() }
    }
}

/// Why an account does not do as asked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BankError {
    #[error("the account is not open")]
    NotOpen,
    #[error("there is not enough on the account")]
    NotEnough,
}

/// What the bank takes for a withdrawal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fees {
    pub(crate) withdrawal_cents: i64,
}

impl Aggregate for BankAccount {
    const TYPE: &'static str = "BankAccount";
    type Command = BankCommand;
    type Event = BankEvent;
    type Error = BankError;
    type Services = Fees;

    async fn handle(&mut self, command: BankCommand, fees: &Fees, sink: &EventSink<Self>) -> Result<(), BankError> {
        match command {
            BankCommand::Open if self.opened => {}
            BankCommand::Open => sink.write(BankEvent::Opened, self).await,
            _ if !self.opened => return Err(BankError::NotOpen),
            BankCommand::Deposit { cents } => sink.write(BankEvent::Deposited { cents }, self).await,
            BankCommand::Withdraw { cents } => {
                let fee_cents = fees.withdrawal_cents;
                if self.cents < cents + fee_cents {
                    return Err(BankError::NotEnough);
                }
                sink.write(BankEvent::Withdrawn { cents, fee_cents }, self).await;
            }
        }
        Ok(())
    }

    fn apply(&mut self, event: BankEvent) {
        self.bookings += 1;
        match event {
            BankEvent::Opened => self.opened = true,
            BankEvent::Deposited { cents } => self.cents += cents,
            BankEvent::Withdrawn { cents, fee_cents } => self.cents -= cents + fee_cents,
        }
    }
}

/// A line for each event, as a bank would print them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Statement {
    lines: Arc<Mutex<Vec<String>>>,
}

impl Statement {
    /// What was printed so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Query<BankAccount> for Statement {
    async fn dispatch(&self, account: &str, events: &[EventEnvelope<BankAccount>]) {
        let lines = events.iter().map(|event| format!("{account} {}: {:?}", event.sequence, event.payload));
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).extend(lines);
    }
}

/// The application: on another event store, only the first argument would differ.
pub(crate) fn framework(history: CqrsStore, statement: Statement) -> CqrsFramework<BankAccount, CqrsStore> {
    CqrsFramework::new(history, vec![Box::new(statement)], Fees { withdrawal_cents: 25 })
}

/// A short life of an account.
pub(crate) async fn story(store: &EventStore, tenant: TenantId) -> Result<Statement, Box<dyn Error>> {
    let statement = Statement::default();
    let bank = framework(CqrsStore::new(store.clone(), tenant), statement.clone());
    bank.execute("ada", BankCommand::Open).await?;
    // The same command under the same name takes effect once, however often it is sent.
    let named = HashMap::from([("idempotency_key".to_owned(), "cheque 17".to_owned())]);
    for _ in 0..2 {
        bank.execute_with_metadata("ada", BankCommand::Deposit { cents: 10_000 }, named.clone()).await?;
    }
    bank.execute("ada", BankCommand::Withdraw { cents: 4_000 }).await?;
    let refused = bank.execute("ada", BankCommand::Withdraw { cents: 9_000 }).await;
    assert!(refused.is_err(), "there is not enough on the account");
    Ok(statement)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let key = KeyEncryptionKey::parse(&std::env::var("KEY_ENCRYPTION_KEY")?)?;
    let options = StoreOptions::new(std::env::var("DATABASE_URL")?, key);
    let store = EventStore::open(options, Clock::system()).await?;
    let statement = story(&store, tenant_of_slug("bank")).await?;
    statement.lines().iter().for_each(|line| println!("{line}"));
    store.shutdown().await;
    Ok(())
}
