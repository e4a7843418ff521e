//! Three brokers that stand in for each other.

use std::thread;

use anyhow::{Context as _, Result, anyhow};
use tempfile::TempDir;

use super::{Kafka, KafkaOptions, Node, cluster_id, free_ports};

/// Small heaps, since there are three of them.
const SMALL: [&str; 4] = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xms128m", "-Xmx256m"];

/// Three nodes, each broker and controller, with three copies of everything and two of them in sync before anything is
/// acknowledged: one may be killed, paused or away at any time, and nothing stops.
#[derive(Debug)]
pub struct KafkaCluster {
    nodes: Vec<Kafka>,
    /// Deleted after the nodes have let go of it.
    _home: TempDir,
}

impl KafkaCluster {
    /// Starts all three, on a directory that is deleted in the end, and waits until they answer.
    pub fn temporary() -> Result<Self> {
        let home = tempfile::Builder::new().prefix("guildhall-kafka-").tempdir().context("making a directory")?;
        let ports: [u16; 6] = free_ports()?;
        let (brokers, controllers) = ports.split_at(3);
        let cluster = cluster_id();
        let starting: Vec<_> = (1..)
            .zip(brokers)
            .map(|(id, &broker)| {
                let options = KafkaOptions { data_dir: home.path().join(format!("node-{id}")), settings: Vec::new() };
                let node =
                    Node { id, broker, controllers: controllers.to_vec(), cluster: cluster.clone(), java: &SMALL };
                // Together: none is ready before a second one has voted for it.
                thread::spawn(move || Kafka::launch(options, node, None))
            })
            .collect();
        let started = starting.into_iter().map(|node| node.join().map_err(|_| anyhow!("a starting node panicked"))?);
        Ok(Self { nodes: started.collect::<Result<_>>()?, _home: home })
    }

    /// Where clients find all of them: the value of `bootstrap.servers`.
    pub fn brokers(&self) -> String {
        self.nodes.iter().map(Kafka::brokers).collect::<Vec<_>>().join(",")
    }

    /// One of them, by its id in Kafka: 1 to 3.
    ///
    /// # Panics
    /// There is no such node.
    pub fn node(&mut self, id: usize) -> &mut Kafka {
        &mut self.nodes[id - 1]
    }
}
