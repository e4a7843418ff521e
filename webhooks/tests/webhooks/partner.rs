//! A partner: a real HTTP server that notes what it gets, and answers as it is told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use aws_lc_rs::hmac;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinSet,
};

use crate::world::LONG;

/// How the partner answers one message.
pub(crate) enum Answer {
    Status(u16),
    With(u16, &'static str, String),
    /// Not before this says so, and then with success.
    When(Arc<Notify>),
}

/// One message as it came.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) id: String,
    timestamp: String,
    pub(crate) signatures: Vec<String>,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn position(&self) -> u64 {
        self.json()["data"]["position"].as_str().unwrap().parse().unwrap()
    }

    /// Whether one of the signatures was made with this secret.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let signed = [format!("{}.{}.", self.id, self.timestamp).as_bytes(), &*self.body].concat();
        let valid = |signature: &String| {
            let tag = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
            hmac::verify(&key, &signed, &tag).is_ok()
        };
        self.signatures.iter().any(valid)
    }
}

#[derive(Default)]
struct Notes {
    got: Mutex<Vec<Got>>,
    answers: Mutex<VecDeque<Answer>>,
    arrived: watch::Sender<usize>,
}

pub(crate) struct Partner {
    pub(crate) url: String,
    notes: Arc<Notes>,
    _server: JoinSet<()>,
}

impl Partner {
    pub(crate) async fn open() -> Self {
        let notes = Arc::new(Notes::default());
        let router = Router::new().route("/hook", post(take)).with_state(Arc::clone(&notes));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, notes, _server: server }
    }

    /// How it answers what comes next; after that, with success.
    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.notes.answers.lock().unwrap().extend(answers);
    }

    /// What came so far.
    pub(crate) fn got(&self) -> Vec<Got> {
        self.notes.got.lock().unwrap().clone()
    }

    /// What came, once it is so many.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Got> {
        let mut arrived = self.notes.arrived.subscribe();
        let waited = tokio::time::timeout(LONG, arrived.wait_for(|arrived| *arrived >= count)).await;
        waited.unwrap_or_else(|_| panic!("only {} of {count} messages came", self.got().len())).unwrap();
        self.got()
    }
}

async fn take(State(notes): State<Arc<Notes>>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/json");
    let signatures = header("webhook-signature").split(' ').map(str::to_owned).collect();
    let got = Got { id: header("webhook-id"), timestamp: header("webhook-timestamp"), signatures, body };
    notes.got.lock().unwrap().push(got);
    notes.arrived.send_modify(|arrived| *arrived += 1);
    let answer = notes.answers.lock().unwrap().pop_front();
    let status = |status| StatusCode::from_u16(status).unwrap();
    match answer {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(Answer::Status(code)) => status(code).into_response(),
        Some(Answer::With(code, name, value)) => (status(code), [(name, value)]).into_response(),
        Some(Answer::When(told)) => {
            told.notified().await;
            StatusCode::NO_CONTENT.into_response()
        }
    }
}
