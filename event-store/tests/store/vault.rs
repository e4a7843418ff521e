//! Promise 6: a person can be forgotten.

use futures::future::join_all;
use guildhall_aggregates::{
    Clear, Personal, SubjectId,
    personal::{EmailAddress, Opened, PersonName, PhoneNumber},
};
use guildhall_event_store::{Clock, EventStore, KeyEncryptionKey, StoreError, StoreOptions, Vault, VaultError};
use uuid::Uuid;

use crate::support::{another_node, event, open_store, receipts, stream, tenant, unit};

fn subject() -> SubjectId {
    SubjectId::new(Uuid::now_v7())
}

fn email(text: &str) -> Clear<EmailAddress> {
    Clear(EmailAddress(text.to_owned()))
}

async fn seal(vault: &Vault, subject: SubjectId, text: &str) -> Personal<EmailAddress> {
    vault.seal(tenant(1), subject, Uuid::now_v7(), &email(text)).await.expect("it can be sealed")
}

fn is_known(opened: &Opened<EmailAddress>, text: &str) -> bool {
    matches!(opened, Opened::Known(address) if address.0 == text)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sealed_opens_on_every_node_and_is_not_in_the_token() {
    let (database, store) = open_store().await;
    let sealed = seal(store.vault(), subject(), "ada@example.org").await;
    assert!(!sealed.token().contains("ada@example.org"));
    let other = another_node(database.url()).await;
    for node in [&store, &other] {
        let opened = node.vault().open(tenant(1), &sealed).await.expect("it opens");
        assert!(is_known(&opened, "ada@example.org"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_data_of_one_person_is_equal_and_of_two_persons_is_not() {
    let (_database, store) = open_store().await;
    let (ada, grace) = (subject(), subject());
    let first = seal(store.vault(), ada, "a@example.org").await;
    assert_eq!(first, seal(store.vault(), ada, "a@example.org").await);
    assert_ne!(first.token(), seal(store.vault(), ada, "a@example.org").await.token());
    assert_ne!(first, seal(store.vault(), ada, "b@example.org").await);
    assert_ne!(first.parts().digest, seal(store.vault(), grace, "a@example.org").await.parts().digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_person_is_unreadable_everywhere_and_stays_so() {
    let (database, store) = open_store().await;
    let (ada, grace) = (subject(), subject());
    let sealed = seal(store.vault(), ada, "ada@example.org").await;
    let kept = seal(store.vault(), grace, "grace@example.org").await;
    assert!(store.vault().forget(tenant(1), ada).await.expect("it is forgotten"));
    assert!(!store.vault().forget(tenant(1), ada).await.expect("it was forgotten"), "twice is once");
    let fresh = another_node(database.url()).await;
    for node in [&store, &fresh] {
        let vault = node.vault();
        assert!(matches!(vault.open(tenant(1), &sealed).await, Ok(Opened::Forgotten)));
        let again = vault.seal(tenant(1), ada, Uuid::now_v7(), &email("ada@example.org")).await;
        assert!(matches!(again, Err(VaultError::SubjectForgotten)));
        assert!(is_known(&vault.open(tenant(1), &kept).await.expect("it opens"), "grace@example.org"));
    }
    let client = database.connect().await;
    let revive =
        "UPDATE vault.data_key SET wrapped_key = sha256('x'), forgotten_at = NULL WHERE forgotten_at IS NOT NULL";
    assert!(client.batch_execute(revive).await.is_err(), "the database refuses to bring a key back");
    assert!(client.batch_execute("DELETE FROM vault.data_key").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_forgotten_before_anything_was_known_never_gets_a_key() {
    let (_database, store) = open_store().await;
    let ada = subject();
    assert!(store.vault().forget(tenant(1), ada).await.expect("it is noted"));
    let sealed = store.vault().seal(tenant(1), ada, Uuid::now_v7(), &email("ada@example.org")).await;
    assert!(matches!(sealed, Err(VaultError::SubjectForgotten)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_changed_or_moved_does_not_open() {
    let (_database, store) = open_store().await;
    let vault = store.vault();
    let (ada, grace) = (subject(), subject());
    let sealed = seal(vault, ada, "ada@example.org").await;
    seal(vault, grace, "grace@example.org").await;
    let mut ciphertext = sealed.parts();
    *ciphertext.ciphertext.last_mut().expect("it has bytes") ^= 1;
    let mut digest = sealed.parts();
    digest.digest[0] ^= 1;
    let mut command = sealed.parts();
    command.sealed_by = Uuid::now_v7();
    let mut person = sealed.parts();
    person.subject = grace;
    let mut short = sealed.parts();
    short.ciphertext.truncate(5);
    for parts in [ciphertext, digest, command, person, short] {
        let opened = vault.open(tenant(1), &Personal::<EmailAddress>::from_parts(&parts)).await;
        assert!(matches!(opened, Err(VaultError::Tampered)), "{opened:?}");
    }
    let as_phone = Personal::<PhoneNumber>::from_parts(&sealed.parts());
    assert!(matches!(vault.open(tenant(1), &as_phone).await, Err(VaultError::Tampered)));
    assert!(matches!(vault.open(tenant(2), &sealed).await, Err(VaultError::UnknownSubject)), "there is a wall");
    vault.seal(tenant(2), ada, Uuid::now_v7(), &email("x@example.org")).await.expect("it can be sealed");
    assert!(matches!(vault.open(tenant(2), &sealed).await, Err(VaultError::Tampered)), "also with a key there");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_seals_for_one_person_on_two_nodes_use_one_key() {
    let (database, store) = open_store().await;
    let other = another_node(database.url()).await;
    let subjects: Vec<_> = (0..20).map(|_| subject()).collect();
    let seals = subjects
        .iter()
        .flat_map(|subject| [&store, &other, &store].map(|node| seal(node.vault(), *subject, "same@example.org")));
    let sealed = join_all(seals).await;
    for one in sealed.chunks(3) {
        assert!(one[0] == one[1] && one[1] == one[2]);
        let opened = store.vault().open(tenant(1), &one[1]).await.expect("it opens");
        assert!(is_known(&opened, "same@example.org"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_opens_what_is_in_its_events_without_asking_again() {
    let (_database, store) = open_store().await;
    let (ada, grace) = (subject(), subject());
    let name = |display: &str| Clear(PersonName { display: display.to_owned(), first: None, middle: None, last: None });
    let mut unit = unit(tenant(1), &stream(), 0, 0);
    let mut tokens = Vec::new();
    for (subject, display) in [(ada, "Ada"), (grace, "Grace")] {
        let sealed =
            store.vault().seal(tenant(1), subject, Uuid::now_v7(), &name(display)).await.expect("it is sealed");
        unit.commands[0].events.push(event(&serde_json::to_string(&[&sealed]).expect("a token is text")));
        tokens.push(sealed);
    }
    // Text that looks like a token costs nothing.
    unit.commands[0].events.push(event("\"gp1.AAAAAAAAAAAAAAAAAAAAAA.\""));
    receipts(store.append(unit).await);
    store.vault().forget(tenant(1), grace).await.expect("it is forgotten");
    let batch = store.batch_after(0, 100).await.expect("history is there");
    assert_eq!(batch.events.len(), 3);
    assert!(matches!(batch.open(tenant(1), &tokens[0]), Ok(Opened::Known(name)) if name.display == "Ada"));
    assert!(matches!(batch.open(tenant(1), &tokens[1]), Ok(Opened::Forgotten)));
    let elsewhere = seal(store.vault(), subject(), "x@example.org").await;
    assert!(matches!(batch.open(tenant(1), &elsewhere), Err(VaultError::UnknownSubject)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_does_not_open_with_another_key_than_it_was_begun_with() {
    let (database, store) = open_store().await;
    seal(store.vault(), subject(), "ada@example.org").await;
    let options = StoreOptions::new(database.url(), KeyEncryptionKey::generate());
    let refused = EventStore::open(options, Clock::system()).await.err();
    assert!(matches!(refused, Some(StoreError::WrongKey { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keyed_hashes_are_the_same_on_every_node_and_differ_between_associations_and_kinds() {
    let (database, store) = open_store().await;
    let (ours, other) = (store.vault(), another_node(database.url()).await);
    assert_eq!(ours.claim_hmac(tenant(1), "email", "a"), other.vault().claim_hmac(tenant(1), "email", "a"));
    assert_ne!(ours.claim_hmac(tenant(1), "email", "a"), ours.claim_hmac(tenant(2), "email", "a"));
    assert_ne!(ours.claim_hmac(tenant(1), "email", "a"), ours.claim_hmac(tenant(1), "emai", "la"));
    assert_ne!(ours.request_hash(tenant(1), b"a"), ours.request_hash(tenant(1), b"b"));
}
