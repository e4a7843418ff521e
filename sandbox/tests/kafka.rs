//! The private Kafka: it starts, takes connections, and survives a kill and a stop at the same address.

use std::fs;
use std::net::TcpStream;

use guildhall_sandbox::kafka::{Kafka, KafkaCluster, KafkaOptions};
use guildhall_sandbox::testing;
use tempfile::TempDir;

#[test]
fn it_comes_back_at_the_same_address_on_the_same_data() {
    if testing::kafka_brokers().is_none() {
        return;
    }
    let home = TempDir::new().expect("a directory");
    let options = KafkaOptions { data_dir: home.path().join("kafka"), settings: vec![] };
    let mut kafka = Kafka::start(options.clone()).expect("it starts");
    let (brokers, cluster) = (kafka.brokers(), cluster_id(&kafka));
    kafka.kill().expect("it dies");
    assert!(TcpStream::connect(&brokers).is_err());
    kafka.restart().expect("it starts again after a crash");
    TcpStream::connect(&brokers).expect("it is there again");
    kafka.stop().expect("it stops");
    assert!(TcpStream::connect(&brokers).is_err());
    drop(kafka);

    let kafka = Kafka::start(options).expect("it starts on what is there, at other ports");
    TcpStream::connect(kafka.brokers()).expect("it is there again");
    assert_eq!(cluster_id(&kafka), cluster);
}

#[test]
fn three_nodes_are_one_cluster_and_one_of_them_comes_back_after_a_kill() {
    if testing::kafka_brokers().is_none() {
        return;
    }
    let mut cluster = KafkaCluster::temporary().expect("three nodes start");
    let brokers = cluster.brokers();
    let addresses: Vec<_> = brokers.split(',').collect();
    assert_eq!(addresses.len(), 3);
    let id = cluster_id(cluster.node(1));
    assert!((2..=3).all(|node| cluster_id(cluster.node(node)) == id));
    cluster.node(2).kill().expect("it dies");
    assert!(TcpStream::connect(addresses[1]).is_err());
    cluster.node(2).restart().expect("the other two let it in again");
    cluster.node(3).pause().expect("it stands still");
    cluster.node(3).resume().expect("it goes on");
    for address in addresses {
        TcpStream::connect(address).expect("all three are there");
    }
}

fn cluster_id(kafka: &Kafka) -> String {
    let properties = fs::read_to_string(kafka.data_dir().join("data/meta.properties")).expect("it is formatted");
    properties.lines().find(|line| line.starts_with("cluster.id=")).expect("an id").to_owned()
}
