//! Many commands in one request: NDJSON, with an outcome for each line.

use anyhow::Context as _;
use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Connection, Target, post};

/// Lines are sent in pieces of about this size.
const CHUNK_BYTES: usize = 64 * 1024;

/// One command as a line, under a new key.
pub fn line(command: &str, body: &serde_json::Value) -> String {
    format!("{{\"command\":\"{command}\",\"idempotency_key\":\"{}\",\"body\":{body}}}\n", Uuid::now_v7())
}

/// Lines, ready to be sent.
pub fn chunks(lines: impl Iterator<Item = String>) -> Vec<Bytes> {
    let (mut chunks, mut chunk) = (Vec::new(), String::new());
    for line in lines {
        chunk.push_str(&line);
        if chunk.len() >= CHUNK_BYTES {
            chunks.push(Bytes::from(std::mem::take(&mut chunk)));
        }
    }
    chunks.push(Bytes::from(chunk));
    chunks
}

/// Sends them in one request, and says how many commands were recorded.
///
/// # Errors
/// Any of them was not.
pub async fn send(target: &Target, chunks: &[Bytes]) -> anyhow::Result<u64> {
    let mut connection = Connection::open(target).await?;
    let frames: Vec<_> = chunks.iter().cloned().map(|chunk| Ok(Frame::data(chunk))).collect();
    let request =
        post(target, "/v1/commands", "application/x-ndjson").body(StreamBody::new(stream::iter(frames)).boxed())?;
    let response = connection.sender.send_request(request).await.context("the server went away")?;
    let status = response.status();
    let mut body = response.into_body();
    let (mut said, mut recorded) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            said.extend_from_slice(&data);
            recorded += take_lines(&mut said)?;
        }
    }
    anyhow::ensure!(status.is_success() && said.is_empty(), "answered {status}: {}", String::from_utf8_lossy(&said));
    Ok(recorded)
}

#[derive(Deserialize)]
struct Outcome<'a> {
    status: u16,
    #[serde(borrow)]
    problem: Option<&'a RawValue>,
}

/// Takes the whole lines out and counts them.
fn take_lines(said: &mut Vec<u8>) -> anyhow::Result<u64> {
    let Some(end) = said.iter().rposition(|byte| *byte == b'\n') else { return Ok(0) };
    let lines: Vec<u8> = said.drain(..=end).collect();
    let mut recorded = 0;
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Outcome { status, problem } = serde_json::from_slice(line)?;
        anyhow::ensure!(problem.is_none(), "a line was answered {status}: {}", problem.map_or("", RawValue::get));
        recorded += 1;
    }
    Ok(recorded)
}
