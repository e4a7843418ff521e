//! A wire between the store and Postgres that fails at the byte it is told to.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    task::JoinSet,
};
use tokio_postgres::{Config, config::Host};

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the store to Postgres.
    Request,
    /// From Postgres to the store.
    Reply,
}

/// What the store sees of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// The connection is closed in order (FIN).
    Closed,
    /// The connection is torn down (RST).
    Reset,
    /// Nothing at all: the connection stays open and carries nothing any more, either way.
    Stalled,
}

/// A failure that happens once, on the connection that carries the byte.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) way: Way,
    /// How many bytes still pass that way.
    pub(crate) after: u64,
    pub(crate) how: How,
}

pub(crate) struct Proxy {
    /// How to reach the database through the wire.
    pub(crate) url: String,
    wire: Arc<Wire>,
    _connections: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn before(database_url: &str) -> Self {
        let config: Config = database_url.parse().expect("a test database has a URL");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let user = config.get_user().expect("with a user");
        let url = format!("host=127.0.0.1 port={port} user={user} dbname={}", config.get_dbname().expect("and a name"));
        let wire = Arc::new(Wire::default());
        let mut accepting = JoinSet::new();
        let shared = Arc::clone(&wire);
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(connect(client, config.clone(), Arc::clone(&shared)));
            }
        });
        Self { url, wire, _connections: accepting }
    }

    /// Lets this failure happen; an earlier one that has not happened is forgotten.
    pub(crate) fn arm(&self, fault: Fault) {
        *self.wire.armed.lock().expect("no wire panics") = Some(fault);
    }

    /// Lets nothing happen any more.
    pub(crate) fn disarm(&self) {
        *self.wire.armed.lock().expect("no wire panics") = None;
    }

    /// Whether the failure has not happened yet.
    pub(crate) fn is_armed(&self) -> bool {
        self.wire.armed.lock().expect("no wire panics").is_some()
    }

    /// How many bytes have come that way so far, over all connections.
    pub(crate) fn carried(&self, way: Way) -> u64 {
        self.wire.carried[way as usize].load(Ordering::SeqCst)
    }
}

#[derive(Default)]
struct Wire {
    armed: Mutex<Option<Fault>>,
    carried: [AtomicU64; 2],
}

impl Wire {
    /// How many bytes of a chunk pass, and what happens behind them.
    fn admit(&self, way: Way, length: usize) -> (usize, Option<How>) {
        self.carried[way as usize].fetch_add(length as u64, Ordering::SeqCst);
        let mut armed = self.armed.lock().expect("no wire panics");
        let Some(fault) = armed.as_mut().filter(|fault| fault.way == way) else { return (length, None) };
        let passes = length.min(usize::try_from(fault.after).unwrap_or(usize::MAX));
        fault.after -= passes as u64;
        let happens = fault.after == 0;
        (passes, happens.then(|| armed.take()).flatten().map(|fault| fault.how))
    }

    /// Carries bytes one way until that ends by itself or by a failure.
    async fn carry(&self, way: Way, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> How {
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let Ok(length @ 1..) = from.read(&mut chunk).await else { return How::Closed };
            let (passes, fault) = self.admit(way, length);
            if to.write_all(&chunk[..passes]).await.is_err() {
                return How::Closed;
            }
            if let Some(how) = fault {
                return how;
            }
        }
    }
}

async fn connect(client: TcpStream, config: Config, wire: Arc<Wire>) {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match &config.get_hosts()[0] {
        Host::Tcp(host) => {
            let Ok(server) = TcpStream::connect((host.as_str(), port)).await else { return };
            join(client, server, &wire).await;
        }
        Host::Unix(directory) => {
            let Ok(server) = UnixStream::connect(directory.join(format!(".s.PGSQL.{port}"))).await else { return };
            join(client, server, &wire).await;
        }
    }
}

async fn join(mut client: TcpStream, server: impl AsyncRead + AsyncWrite, wire: &Wire) {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = tokio::io::split(server);
    let end = tokio::select! {
        end = wire.carry(Way::Request, from_client, to_server) => end,
        end = wire.carry(Way::Reply, from_server, to_client) => end,
    };
    match end {
        How::Closed => (),
        How::Reset => client.set_zero_linger().expect("the socket is open"),
        How::Stalled => std::future::pending().await,
    }
}
