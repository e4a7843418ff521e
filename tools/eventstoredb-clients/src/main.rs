//! Reads a demo's history with EventStoreDB's official client for Rust, and says what it found.
//!
//! Needs EVENTSTOREDB (host and port), EVENTSTOREDB_CA (the certificate to trust), TOKEN (an auditor's) and
//! OTHERS_STREAM (a stream of another association); `make eventstoredb-clients` gives them.

use std::{env, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use eventstore::{
    Client, ClientSettings, Error, Position, ReadAllOptions, ReadEvent, ReadStream, ReadStreamOptions, ResolvedEvent,
    StreamPosition, SubscribeToAllOptions, SubscribeToStreamOptions, Subscription, SubscriptionEvent,
    SubscriptionFilter,
};
use tokio::time::timeout;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);
const EVERYTHING: usize = 1_000_000;

#[tokio::main]
async fn main() -> Result<()> {
    let token = variable("TOKEN")?;
    let client = connected("auditor", &token, false)?;

    let forwards = all(&client, ReadAllOptions::default().forwards().position(StreamPosition::Start)).await?;
    let mut backwards = all(&client, ReadAllOptions::default().backwards().position(StreamPosition::End)).await?;
    backwards.reverse();
    ensure!(forwards.len() > 10, "a demo has a history");
    ensure!(forwards == backwards, "backwards is forwards in reverse");
    ensure!(forwards.windows(2).all(|pair| pair[0].position < pair[1].position), "positions rise");
    println!("  $all: {} events, the same forwards and backwards", forwards.len());

    one_stream(&client, &forwards).await?;
    places(&client, &forwards).await?;
    subscriptions(&client, &forwards).await?;
    walls(&client).await?;
    refusals(&token, &client).await?;

    let discovering = connected("auditor", &token, true)?;
    ensure!(all(&discovering, ReadAllOptions::default()).await? == forwards, "by discovery, too");
    println!("  a client that discovers its node finds this one");
    Ok(())
}

/// A stream by itself is what `$all` holds of it.
async fn one_stream(client: &Client, everything: &[Seen]) -> Result<()> {
    let name = &everything.last().context("there are events")?.stream;
    let in_all: Vec<_> = everything.iter().filter(|event| event.stream == *name).cloned().collect();
    let options = ReadStreamOptions::default().max_count(EVERYTHING);
    let mut reading = client.read_stream(name.as_str(), &options.clone().forwards()).await?;
    let (mut found, mut end) = (Vec::new(), None);
    while let Some(read) = reading.next_read_event().await? {
        match read {
            ReadEvent::Event(event) => found.push(Seen::of(&event)),
            ReadEvent::LastStreamPosition(revision) => end = Some(revision),
            _ => {}
        }
    }
    ensure!(found == in_all, "the stream is what $all holds of it");
    ensure!(found.iter().zip(0..).all(|(event, at)| event.revision == at), "revisions count from 0");
    ensure!(end == found.last().map(|event| event.revision), "the client learns where the stream ends");
    let backwards = options.backwards().position(StreamPosition::End).max_count(1);
    let last = events(client.read_stream(name.as_str(), &backwards).await?).await?;
    ensure!(last == found[found.len() - 1..], "the last event is the first one backwards");

    let event = &found[0];
    let metadata: serde_json::Value = serde_json::from_slice(&event.metadata)?;
    ensure!(event.is_json && serde_json::from_slice::<serde_json::Value>(&event.data)?.is_object(), "data is JSON");
    ensure!(metadata["$correlationId"].is_string() && metadata["$causationId"].is_string(), "metadata is there");
    println!("  {name}: {} events", found.len());
    Ok(())
}

/// Reads begin at a position, backwards before it.
async fn places(client: &Client, everything: &[Seen]) -> Result<()> {
    let middle = everything.len() / 2;
    let at = StreamPosition::Position(everything[middle].position);
    let forwards = all(client, ReadAllOptions::default().forwards().position(at.clone())).await?;
    ensure!(forwards == everything[middle..], "forwards from a position");
    let mut backwards = all(client, ReadAllOptions::default().backwards().position(at)).await?;
    backwards.reverse();
    ensure!(backwards == everything[..middle], "backwards from a position");
    println!("  $all from the middle: {} events forwards, {} backwards", forwards.len(), backwards.len());
    Ok(())
}

async fn subscriptions(client: &Client, everything: &[Seen]) -> Result<()> {
    let whole = caught_up(client.subscribe_to_all(&SubscribeToAllOptions::default()).await).await?;
    ensure!(whole.events == everything, "a subscription catches up with everything");

    let filter = SubscriptionFilter::on_stream_name().add_prefix("member-").max(2);
    let options = SubscribeToAllOptions::default().filter(filter);
    let members = caught_up(client.subscribe_to_all(&options).await).await?;
    let expected: Vec<_> = everything.iter().filter(|event| event.stream.starts_with("member-")).cloned().collect();
    ensure!(members.events == expected, "a filter by prefix");
    ensure!(members.checkpoints.last() == everything.last().map(|event| &event.position), "the search went to the end");

    let filter = SubscriptionFilter::on_event_type().exclude_system_events();
    let options = SubscribeToAllOptions::default().filter(filter);
    let business = caught_up(client.subscribe_to_all(&options).await).await?;
    ensure!(business.events == everything, "there are no system events");

    let stream = members.events.first().context("there are members")?.stream.clone();
    let of_one = caught_up(
        client
            .subscribe_to_stream(stream, &SubscribeToStreamOptions::default().start_from(StreamPosition::Start))
            .await,
    )
    .await?;
    ensure!(of_one.events[0].revision == 0, "a stream is followed from its beginning");
    println!(
        "  subscriptions: {} events, {} of members with {} checkpoints",
        whole.events.len(),
        members.events.len(),
        members.checkpoints.len()
    );
    Ok(())
}

async fn walls(client: &Client) -> Result<()> {
    for stream in [variable("OTHERS_STREAM")?, "member-0198c0de-0000-7000-8000-0000000000ff".to_owned()] {
        let reading = client.read_stream(stream, &ReadStreamOptions::default()).await?;
        ensure!(matches!(events(reading).await, Err(Error::ResourceNotFound)), "it must not be found");
    }
    println!("  another association's stream is not found, as one that never was");
    Ok(())
}

async fn refusals(token: &str, client: &Client) -> Result<()> {
    let forged = format!("{}x{}", &token[..token.len() - 8], &token[token.len() - 7..]);
    for wrong in ["not-a-token", forged.as_str()] {
        let outcome = all(&connected("auditor", wrong, false)?, ReadAllOptions::default()).await;
        ensure!(matches!(outcome, Err(Error::AccessDenied)), "a wrong token is let in");
    }
    let event = eventstore::EventData::json("Forged", &serde_json::json!({}))?;
    match client.append_to_stream("member-x", &Default::default(), event).await {
        Err(Error::AccessDenied) => {}
        other => bail!("appending came to {other:?}"),
    }
    println!("  a wrong token and an append are refused");
    Ok(())
}

/// What a subscription gives until it has caught up.
#[derive(Default)]
struct CaughtUp {
    events: Vec<Seen>,
    checkpoints: Vec<Position>,
}

async fn caught_up(mut subscription: Subscription) -> Result<CaughtUp> {
    let mut found = CaughtUp::default();
    let first = timeout(PATIENCE, subscription.next_subscription_event()).await??;
    ensure!(matches!(first, SubscriptionEvent::Confirmed(_)), "the confirmation comes first");
    loop {
        match timeout(PATIENCE, subscription.next_subscription_event()).await?? {
            SubscriptionEvent::EventAppeared(event) => found.events.push(Seen::of(&event)),
            SubscriptionEvent::Checkpoint(position) => found.checkpoints.push(position),
            SubscriptionEvent::CaughtUp => return Ok(found),
            other => bail!("an unexpected {other:?}"),
        }
    }
}

async fn all(client: &Client, options: ReadAllOptions) -> eventstore::Result<Vec<Seen>> {
    events(client.read_all(&options.max_count(EVERYTHING)).await?).await
}

async fn events(mut reading: ReadStream) -> eventstore::Result<Vec<Seen>> {
    let mut all = Vec::new();
    while let Some(event) = reading.next().await? {
        all.push(Seen::of(&event));
    }
    Ok(all)
}

/// What is compared of an event.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    id: String,
    stream: String,
    revision: u64,
    position: Position,
    is_json: bool,
    data: Vec<u8>,
    metadata: Vec<u8>,
}

impl Seen {
    fn of(event: &ResolvedEvent) -> Self {
        let event = event.get_original_event();
        Self {
            id: event.id.to_string(),
            stream: event.stream_id.clone(),
            revision: event.revision,
            position: event.position,
            is_json: event.is_json,
            data: event.data.to_vec(),
            metadata: event.custom_metadata.to_vec(),
        }
    }
}

fn connected(user: &str, token: &str, discover: bool) -> Result<Client> {
    let (address, trusted) = (variable("EVENTSTOREDB")?, variable("EVENTSTOREDB_CA")?);
    let scheme = if discover { "esdb+discover" } else { "esdb" };
    let encryption = if trusted.is_empty() { "tls=false".to_owned() } else { format!("tlsCAFile={trusted}") };
    let settings: ClientSettings = format!("{scheme}://{user}:{token}@{address}?{encryption}").parse()?;
    Ok(Client::new(settings)?)
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("{name} is not set; run `make eventstoredb-clients`"))
}
