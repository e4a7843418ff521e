//! What a request is called: its own id, and the id of everything it belongs to.

use axum::http::{HeaderMap, HeaderName};
use uuid::Uuid;

/// The header a request's id is sent and answered in.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header that joins several requests of one undertaking.
pub const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
/// The W3C trace context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A request's names. All are UUIDs, so a header can bring nothing into the logs but an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// This request: `X-Request-Id` where that is a UUID, else a new one. Sent back with the answer.
    pub id: Uuid,
    /// What it belongs to: `X-Correlation-Id` where that is a UUID, else the trace, else the request itself.
    pub correlation_id: Uuid,
    /// W3C trace context, where it is well formed.
    pub traceparent: Option<String>,
}

tokio::task_local! {
    static CURRENT: Request;
}

/// The request this task answers. None outside of one.
pub fn current() -> Option<Request> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Runs a future as a part of a request: problems it makes name the request.
pub async fn scope<F: Future>(request: Request, future: F) -> F::Output {
    CURRENT.scope(request, future).await
}

/// Does something as a part of a request, as [`scope`] does.
pub fn scope_sync<R>(request: Request, work: impl FnOnce() -> R) -> R {
    CURRENT.sync_scope(request, work)
}

impl Request {
    /// The names a request's headers give it.
    pub fn of(headers: &HeaderMap) -> Self {
        let uuid = |name: &HeaderName| headers.get(name)?.to_str().ok()?.parse::<Uuid>().ok();
        let id = uuid(&REQUEST_ID).unwrap_or_else(Uuid::now_v7);
        let trace = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()).and_then(Trace::parse);
        let correlation_id = uuid(&CORRELATION_ID).or(trace.as_ref().map(|trace| trace.id)).unwrap_or(id);
        Self { id, correlation_id, traceparent: trace.map(|trace| trace.header) }
    }

    /// The names of something that starts here, such as an import.
    pub fn new() -> Self {
        Self::of(&HeaderMap::new())
    }
}

impl Default for Request {
    fn default() -> Self {
        Self::new()
    }
}

struct Trace {
    id: Uuid,
    header: String,
}

impl Trace {
    /// Version 00 of W3C Trace Context: `00-<32 hex>-<16 hex>-<2 hex>`, neither id all zeros.
    fn parse(header: &str) -> Option<Self> {
        let parts: Vec<_> = header.split('-').collect();
        let [version, trace, span, flags] = parts.as_slice() else { return None };
        let hex = |text: &str, len| {
            text.len() == len && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let nothing = |text: &str| text.bytes().all(|b| b == b'0');
        let well_formed = *version == "00" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
        if !well_formed || nothing(trace) || nothing(span) {
            return None;
        }
        Some(Self { id: Uuid::try_parse(trace).ok()?, header: header.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn with(headers: &[(HeaderName, &'static str)]) -> Request {
        let pairs = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Request::of(&pairs.collect())
    }

    const ONE: &str = "00000000-0000-0000-0000-000000000001";
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_request_keeps_the_id_it_comes_with() {
        assert_eq!(with(&[(REQUEST_ID, ONE)]).id.to_string(), ONE);
    }

    #[test]
    fn an_id_that_is_no_uuid_is_replaced() {
        let request = with(&[(REQUEST_ID, "ada@example.org")]);
        assert_eq!(request.id.get_version_num(), 7);
        assert_eq!(request.correlation_id, request.id);
    }

    #[test]
    fn requests_of_one_trace_belong_together() {
        let request = with(&[(TRACEPARENT, TRACE)]);
        assert_eq!(request.correlation_id.simple().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(request.traceparent.as_deref(), Some(TRACE));
        assert_eq!(with(&[(TRACEPARENT, TRACE), (CORRELATION_ID, ONE)]).correlation_id.to_string(), ONE);
    }

    #[test]
    fn a_broken_trace_is_dropped() {
        for broken in ["", "00-x-y-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"] {
            assert!(Trace::parse(broken).is_none(), "{broken}");
        }
    }
}
