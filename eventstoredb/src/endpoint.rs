//! The door: a port, encryption, and an orderly end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use guildhall_event_store::EventStore;
use guildhall_web::TokenKeys;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tower::service_fn;

use crate::{calls::Calls, connections, limits::Limits};

/// A client that says nothing for so long is asked whether it is still there, and has as long to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Room for a token and what proxies add.
const HEADER_BYTES: u32 = 16 * 1024;

/// Where to listen, and how much to take on.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address and port. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Certificate and key. Without them the token travels as it is, and clients that keep passwords to themselves on
    /// such a connection cannot use it.
    pub tls: Option<Tls>,
    /// How much is too much.
    pub limits: Limits,
}

/// What the endpoint shows of itself to be trusted.
#[derive(Clone)]
pub struct Tls {
    /// The certificate and those between it and one that clients know, as PEM.
    pub certificate: Vec<u8>,
    /// The certificate's private key, as PEM.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(…)")
    }
}

/// Why there is no endpoint, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Nobody can listen there.
    #[error("{address} cannot be listened on: {reason}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        reason: std::io::Error,
    },
    /// Certificate and key are none, or do not belong together.
    #[error("the TLS certificate and its key cannot be used: {0}")]
    Tls(String),
    /// Serving ended.
    #[error("the endpoint ended: {0}")]
    Ended(#[from] tonic::transport::Error),
}

/// An endpoint that listens. Clients that connect are answered once it serves.
pub struct Endpoint {
    server: Server,
    listener: TcpListener,
    address: SocketAddr,
    store: EventStore,
    keys: TokenKeys,
    limits: Limits,
}

impl Endpoint {
    /// Listens.
    ///
    /// # Errors
    /// The address is taken, or certificate and key cannot be used.
    pub async fn bind(options: Options, store: EventStore, keys: TokenKeys) -> Result<Self, EndpointError> {
        let mut server = Server::builder()
            .max_concurrent_streams(options.limits.calls_per_connection)
            .http2_keepalive_interval(Some(KEEP_ALIVE))
            .http2_keepalive_timeout(Some(KEEP_ALIVE))
            .http2_max_header_list_size(HEADER_BYTES);
        if let Some(tls) = &options.tls {
            let identity = Identity::from_pem(&tls.certificate, &tls.key);
            server = server
                .tls_config(ServerTlsConfig::new().identity(identity).timeout(HANDSHAKE))
                .map_err(|error| EndpointError::Tls(said(&error)))?;
        }
        let failed = |reason| EndpointError::Listen { address: options.listen, reason };
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { server, listener, address, store, keys, limits: options.limits })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers calls until it is told to stop. Reads that are open then end with an error that asks clients to connect
    /// again; those that do not take even that are cut off after a while.
    pub async fn serve(self, stop: CancellationToken) -> Result<(), EndpointError> {
        let calls = Calls::new(self.store, self.keys, self.limits, stop.clone());
        let service = service_fn(move |request| Arc::clone(&calls).answer(request));
        let incoming = connections::incoming(self.listener, self.limits.connections);
        let serving = self.server.serve_with_incoming_shutdown(service, incoming, stop.clone().cancelled_owned());
        let farewell = async {
            stop.cancelled().await;
            tokio::time::sleep(self.limits.farewell).await;
        };
        tokio::select! {
            ended = serving => Ok(ended?),
            () = farewell => Ok(()),
        }
    }
}

/// An error with what caused it.
fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
