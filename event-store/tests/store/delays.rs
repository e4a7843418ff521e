//! Promise 2, slowly: between every two statements of the functions that append, time passes.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use guildhall_event_store::{EventStore, Receipt};
use guildhall_sandbox::testing::TestDatabase;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::{
    faults::append_once,
    order::tail,
    support::{another_node, assert_each_once, came_to, open_store, stream, tenant, torture, unit},
};

const NODES: u128 = 6;

/// An assertion waits like any statement, and unlike `PERFORM` it changes neither `FOUND` nor the row count.
const DELAY: &str = " ASSERT pg_catalog.pg_sleep(pg_catalog.random() * 0.004) IS NOT NULL;";

/// Puts a delay between every two statements of every function in schema `es` but the triggers that refuse changes, as
/// they stand in this database. Returns how many there are now.
async fn slow_down(client: &Client) -> usize {
    let functions = client
        .query(
            "SELECT prosrc, pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
             WHERE pronamespace = 'es'::regnamespace AND lanname = 'plpgsql' AND prorettype <> 'trigger'::regtype",
            &[],
        )
        .await
        .expect("the catalogue can be read");
    let mut delays = 0;
    for function in functions {
        let (body, definition): (&str, &str) = (function.get(0), function.get(1));
        let (slow, count) = with_delays(body, DELAY);
        client.batch_execute(&definition.replace(body, &slow)).await.expect("it is still a function");
        delays += count;
    }
    delays
}

/// A PL/pgSQL body with something put before its first statement and behind every other. Knows what it must: that a
/// semicolon in a string, a name, a comment, a parenthesis or a declaration ends no statement.
fn with_delays(body: &str, delay: &str) -> (String, usize) {
    let (mut slow, mut count) = (String::new(), 0);
    let (mut depth, mut in_code) = (0_usize, false);
    let mut rest = body;
    while let Some(first) = rest.chars().next() {
        let (token, behind) = rest.split_at(token_length(rest));
        slow.push_str(token);
        rest = behind;
        let ends = match first {
            '(' => {
                depth += 1;
                false
            }
            ')' => {
                depth = depth.saturating_sub(1);
                false
            }
            ';' => depth == 0 && in_code && !rest.trim().is_empty(),
            _ if token.eq_ignore_ascii_case("declare") => {
                in_code = false;
                false
            }
            _ if token.eq_ignore_ascii_case("begin") => {
                in_code = true;
                true
            }
            _ => false,
        };
        if ends {
            slow.push_str(delay);
            count += 1;
        }
    }
    (slow, count)
}

/// How long the word, string, comment or single character is that a text begins with.
fn token_length(text: &str) -> usize {
    let until = |start: usize, end: &str| text[start..].find(end).map_or(text.len(), |at| start + at + end.len());
    let word = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    match text.as_bytes() {
        [b'-', b'-', ..] => until(2, "\n"),
        [b'/', b'*', ..] => until(2, "*/"),
        [b'\'', ..] => until(1, "'"),
        [b'"', ..] => until(1, "\""),
        [b'$', ..] => match text[1..].find('$').map(|end| &text[..end + 2]) {
            Some(quote) if quote[1..quote.len() - 1].chars().all(|c| c.is_alphabetic() || c == '_') => {
                until(quote.len(), quote)
            }
            _ => 1,
        },
        _ if word > 0 => word,
        _ => text.chars().next().map_or(0, char::len_utf8),
    }
}

#[test]
fn a_delay_goes_behind_every_statement_and_nowhere_else() {
    let body = "DECLARE a int := 1; b text;
        BEGIN -- not; here
            PERFORM f(';', $$;$$, \"; \"); /* nor; here */
            IF a = $1 THEN BEGIN a := 2; END; END IF;
            FOR b IN (SELECT 'x''; y') LOOP NULL; END LOOP;
        END;
        ";
    let (slow, count) = with_delays(body, "!");
    assert_eq!(count, 8);
    assert_eq!(slow.replace('!', ""), body);
    for place in ["BEGIN! --", "\");! /*", "BEGIN! a := 2;! END;! END IF;!", "NULL;! END LOOP;!"] {
        assert!(slow.contains(place), "{place} in {slow}");
    }
}

/// Appends to streams of its own, one unit after another, until told to stop.
async fn append_until(node: EventStore, number: u128, over: Arc<AtomicBool>) -> Vec<Receipt> {
    let streams = [stream(), stream()];
    let (mut versions, mut given) = ([0, 0], Vec::new());
    while !over.load(Ordering::Relaxed) {
        let (at, events) = (given.len() % 2, 1 + given.len() % 3);
        let receipt = append_once(&node, unit(tenant(number % 3), &streams[at], versions[at], events)).await;
        versions[at] += events as u64;
        assert_eq!(receipt.version, versions[at]);
        given.push(receipt);
    }
    given
}

/// Follows one association as its feeds do, until the end is known, and returns the positions it saw. What appears behind
/// it, it never sees.
async fn follow(store: EventStore, number: u128, over: Arc<AtomicBool>) -> Vec<u64> {
    let (mut seen, mut position) = (Vec::new(), 0);
    loop {
        let done = over.load(Ordering::Relaxed);
        let page = store.read_tenant_after(tenant(number), position, 100).await.expect("history is there");
        if let Some(last) = page.last() {
            position = last.position;
        } else if done {
            return seen;
        }
        seen.extend(page.iter().map(|event| event.position));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_delays_between_all_statements_six_nodes_leave_no_gap_and_a_tailing_reader_sees_everything_in_order() {
    let (events, lanes) = if torture() { (100_000, 60) } else { (3_000, 12) };
    let (database, store) = open_store().await;
    let delays = slow_down(&database.connect().await).await;
    assert!(delays > 5, "{delays} delays are no torture");
    let (over, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let mut writers = JoinSet::new();
    for _ in 0..NODES {
        let node = another_node(database.url()).await;
        for number in 0..lanes {
            writers.spawn(append_until(node.clone(), number, Arc::clone(&over)));
        }
    }
    let mut feeds = JoinSet::new();
    feeds.spawn(follow(store.clone(), 1, Arc::clone(&ended)));
    let seen = tail(&store, events).await;
    assert!(seen.iter().copied().eq(1..=seen.len() as u64), "the reader saw every position once, in order");
    over.store(true, Ordering::Relaxed);
    let given = writers.join_all().await.concat();
    ended.store(true, Ordering::Relaxed);
    let fed: HashSet<u64> = feeds.join_all().await.concat().into_iter().collect();
    assert_each_once(&store, &given).await;
    assert_eq!(missing(&database, &fed).await, 0, "nothing appeared behind the feed");
    let stored = store.head().await.expect("history is there");
    let figures = format!("{stored} events by {NODES} nodes, {delays} delays in the functions: 0 gaps, 0 reorders");
    came_to("delays between every two statements", &figures);
}

/// How many events of the followed association its feed did not see.
async fn missing(database: &TestDatabase, fed: &HashSet<u64>) -> usize {
    let rows = database.connect().await;
    let rows = rows.query("SELECT position FROM es.event WHERE tenant_id = $1", &[&tenant(1).uuid()]).await;
    let stored = rows.expect("history can be read").into_iter().map(|row| row.get::<_, i64>(0));
    stored.filter(|position| !fed.contains(&u64::try_from(*position).expect("positions are positive"))).count()
}
