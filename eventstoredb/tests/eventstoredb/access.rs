//! Who is let in, to what, and how.

use std::time::Duration;

use guildhall_eventstoredb::{
    Endpoint, EndpointError, Options, Tls,
    wire::{features::SupportedMethods, gossip::ClusterInfo, read::Place},
};
use guildhall_web::Role;
use tonic::{
    Code,
    transport::{Certificate, Channel, ClientTlsConfig},
};

use crate::world::{Client, NURSES, World, member, of_all, small_pages, told};

const FEATURES: &str = "/event_store.client.server_features.ServerFeatures/GetSupportedMethods";
const GOSSIP: &str = "/event_store.client.gossip.Gossip/Read";

#[tokio::test]
async fn only_an_auditor_is_let_in() {
    let world = World::new().await;
    world.record(NURSES, &member(1), &["A"]).await;
    let refusal =
        async |authorization: Option<String>| world.client(authorization).await.refusal(of_all(Place::Start(()))).await;
    assert_eq!(refusal(None).await, Code::Unauthenticated);
    assert_eq!(refusal(Some("Bearer not-a-token".into())).await, Code::Unauthenticated);
    assert_eq!(refusal(Some("Basic bm8gY29sb24=".into())).await, Code::Unauthenticated);
    for role in [Role::Api, Role::Analyst] {
        let token = world.token(NURSES, role);
        assert_eq!(refusal(Some(format!("Bearer {token}"))).await, Code::PermissionDenied);
    }
    assert_eq!(told(&world.auditor(NURSES).await.read(of_all(Place::Start(()))).await), ["A"]);
}

#[tokio::test]
async fn a_client_learns_what_is_there_before_it_shows_a_token() {
    let world = World::new().await;
    let stranger = world.client(None).await;
    let features: SupportedMethods = stranger.ask(FEATURES).await.unwrap();
    assert_eq!(features.methods[0].service, "event_store.client.streams.streams");
    assert_eq!(features.methods[0].method, "read");
    let cluster: ClusterInfo = stranger.ask(GOSSIP).await.unwrap();
    let [node] = &cluster.members[..] else { panic!("one node") };
    let end_point = node.end_point.as_ref().unwrap();
    assert_eq!((end_point.host.as_str(), end_point.port), ("127.0.0.1", u32::from(world.address.port())));
    assert!(node.is_alive);
}

#[tokio::test]
async fn whatever_changes_anything_is_refused() {
    let world = World::new().await;
    let client = world.auditor(NURSES).await;
    let code = async |path| client.ask::<()>(path).await.unwrap_err().code();
    for path in ["Append", "BatchAppend", "Delete", "Tombstone"] {
        let path = format!("/event_store.client.streams.Streams/{path}");
        assert_eq!(code(path.leak()).await, Code::PermissionDenied);
    }
    assert_eq!(code("/event_store.client.users.Users/Create").await, Code::Unimplemented);
    assert_eq!(
        code("/event_store.client.persistent_subscriptions.PersistentSubscriptions/Read").await,
        Code::Unimplemented
    );
}

#[tokio::test]
async fn a_connection_may_be_encrypted() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let tls = Tls { certificate: certificate.clone().into(), key: key.into() };
    let world = World::with(small_pages(), Some(tls)).await;
    world.record(NURSES, &member(1), &["A"]).await;
    let trusting = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(certificate)).domain_name("localhost");
    let channel = Channel::from_shared(format!("https://{}", world.address)).unwrap();
    let channel = channel.tls_config(trusting).unwrap().connect().await.unwrap();
    let authorization = Some(format!("Bearer {}", world.token(NURSES, Role::Auditor)));
    let client = Client { channel, authorization };
    assert_eq!(told(&client.read(of_all(Place::Start(()))).await), ["A"]);
    let plain = Channel::from_shared(format!("http://{}", world.address)).unwrap().timeout(Duration::from_secs(10));
    let channel = plain.connect_lazy();
    assert!(Client { channel, ..client }.open(of_all(Place::Start(()))).await.is_err());
}

#[tokio::test]
async fn a_certificate_that_is_none_stops_the_start() {
    let world = World::new().await;
    let tls = Some(Tls { certificate: "none".into(), key: "none".into() });
    let options = Options { listen: ([127, 0, 0, 1], 0).into(), tls, limits: small_pages() };
    let bound = Endpoint::bind(options, world.store.clone(), world.keys.clone()).await;
    assert!(matches!(bound.err(), Some(EndpointError::Tls(_))));
    let taken = Options { listen: world.address, tls: None, limits: small_pages() };
    let bound = Endpoint::bind(taken, world.store.clone(), world.keys.clone()).await;
    assert!(matches!(bound.err(), Some(EndpointError::Listen { .. })));
}
