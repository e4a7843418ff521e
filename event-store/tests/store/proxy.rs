//! A wire between the store and Postgres that can be cut at the worst moment.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    task::JoinSet,
};
use tokio_postgres::{Config, config::Host};

pub(crate) struct Proxy {
    /// How to reach the database through the wire.
    pub(crate) url: String,
    /// When set, the next answer of the server is thrown away and its connection cut; then it is unset.
    pub(crate) loses_next_answer: Arc<AtomicBool>,
    _wires: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn before(database_url: &str) -> Self {
        let config: Config = database_url.parse().expect("a test database has a URL");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let user = config.get_user().expect("with a user");
        let url = format!("host=127.0.0.1 port={port} user={user} dbname={}", config.get_dbname().expect("and a name"));
        let loses_next_answer = Arc::new(AtomicBool::new(false));
        let mut wires = JoinSet::new();
        let armed = Arc::clone(&loses_next_answer);
        wires.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(connect(client, config.clone(), Arc::clone(&armed)));
            }
        });
        Self { url, loses_next_answer, _wires: wires }
    }
}

async fn connect(client: TcpStream, config: Config, armed: Arc<AtomicBool>) {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match &config.get_hosts()[0] {
        Host::Tcp(host) => {
            let server = TcpStream::connect((host.as_str(), port)).await.expect("the server answers");
            carry(client, server, &armed).await;
        }
        Host::Unix(directory) => {
            let socket = directory.join(format!(".s.PGSQL.{port}"));
            carry(client, UnixStream::connect(socket).await.expect("the server answers"), &armed).await;
        }
    }
}

async fn carry(client: TcpStream, server: impl AsyncRead + AsyncWrite, armed: &AtomicBool) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let forth = tokio::io::copy(&mut from_client, &mut to_server);
    let back = async {
        let mut answer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from_server.read(&mut answer).await {
            if armed.swap(false, Ordering::SeqCst) || to_client.write_all(&answer[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! { _ = forth => (), () = back => () }
}
