//! `POST /v1/commands/{CommandName}`: one command, one receipt.

use axum::{body::Body, http::HeaderMap, response::Response};
use guildhall_web::{
    Caller, Problem, Role, body_bytes,
    etag::{self, IfMatch},
    json,
    problem::kind,
    request,
};

use crate::{
    CommandApi, Expected,
    receipt::respond,
    registry::{Call, CommandType, Sender},
};

const MAX_KEY_CHARS: usize = 128;

/// Executes one command.
pub(crate) async fn single(
    command: &'static CommandType,
    api: CommandApi,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.require(&[Role::Api])?;
    json::require_media_type(&headers, "application/json")?;
    let key = idempotency_key(&headers)?;
    let expected = etag::if_match(&headers)?.map(|expected| match expected {
        IfMatch::Exists => Expected::Exists,
        IfMatch::Version(version) => Expected::Version(version),
    });
    let body = body_bytes(body, api.options.body_bytes).await?;
    let request = command.parse(&body)?;
    let sender = Sender::of(&caller, request::current().unwrap_or_default());
    let mut call = Call::new(&api.executor, &sender, command.name, key, &body);
    call.expected = expected;
    request.execute(call).await.map(|receipt| respond(&receipt))
}

fn idempotency_key(headers: &HeaderMap) -> Result<&str, Problem> {
    let value = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).unwrap_or_default();
    checked_key(value).ok_or_else(|| {
        let detail = "Send `Idempotency-Key` with 1 to 128 visible characters, a new one for each new request.";
        Problem::new(kind::INVALID_HEADER, detail)
    })
}

/// A key of 1 to 128 visible ASCII characters.
pub(crate) fn checked_key(key: &str) -> Option<&str> {
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    ((1..=MAX_KEY_CHARS).contains(&key.len()) && visible).then_some(key)
}
