//! Lines in and out.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use guildhall_web::{Problem, from_json, problem::kind};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::LineOutcome;
use crate::{
    Expected,
    receipt::{ReceiptBody, status_of},
    single::checked_key,
};

/// One command of a bulk request.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkLine {
    /// The command's name.
    #[schema(example = "RegisterForEvent")]
    command: String,
    /// A new one for each new request: 1 to 128 visible characters.
    #[schema(min_length = 1, max_length = 128)]
    idempotency_key: String,
    /// The version the stream must be at.
    if_match: Option<u64>,
    /// The command's own body, as its own path takes it.
    #[schema(value_type = Object)]
    body: Box<RawValue>,
}

/// What became of one line.
#[derive(Serialize, ToSchema)]
pub struct BulkOutcome<'a> {
    /// Which line, counting from 1.
    line: u64,
    /// Its key, where it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<&'a str>,
    /// The status the command would have had on its own.
    status: u16,
    /// Its receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ReceiptBody<'_>>)]
    receipt: Option<ReceiptBody<'a>>,
    /// Why there is no receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<guildhall_web::problem::ProblemBody<'_>>)]
    problem: Option<guildhall_web::problem::ProblemBody<'a>>,
}

impl LineOutcome {
    /// Writes the outcome as a line of JSON.
    pub fn write_line(&self, lines: &mut Vec<u8>) {
        let (status, receipt, problem) = match &self.outcome {
            Ok(receipt) => (status_of(receipt), Some(receipt.into()), None),
            Err(problem) => (problem.kind().status, None, Some(problem.body())),
        };
        let outcome = BulkOutcome {
            line: self.line,
            idempotency_key: self.idempotency_key.as_deref(),
            status: status.as_u16(),
            receipt,
            problem,
        };
        serde_json::to_writer(&mut *lines, &outcome).expect("ids, words and numbers can be written as JSON");
        lines.push(b'\n');
    }
}

/// A line that was read.
pub(super) struct Parsed {
    pub(super) command: String,
    pub(super) idempotency_key: String,
    pub(super) expected: Option<Expected>,
    pub(super) body: Box<RawValue>,
}

impl Parsed {
    pub(super) fn read(line: &[u8]) -> Result<Self, Problem> {
        let BulkLine { command, idempotency_key, if_match, body } = from_json(line)?;
        if checked_key(&idempotency_key).is_none() {
            return Err(Problem::new(kind::INVALID_BODY, "The line's key is none.")
                .at("/idempotency_key", "must be 1 to 128 visible characters"));
        }
        Ok(Self { command, idempotency_key, expected: if_match.map(Expected::Version), body })
    }
}

/// Cuts a body into lines of at most `longest` bytes. A longer line is a problem in its place; when the body
/// breaks off, so do the lines.
pub fn lines<E>(
    body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    longest: usize,
) -> impl Stream<Item = Result<Bytes, Problem>> {
    let cutter = Cutter { buffer: BytesMut::new(), searched: 0, longest, skipping: false, ended: false };
    stream::unfold((body, cutter), |(mut body, mut cutter)| async move {
        loop {
            if let Some(line) = cutter.next() {
                return Some((line, (body, cutter)));
            }
            if cutter.ended {
                return None;
            }
            match body.next().await {
                Some(Ok(bytes)) => cutter.buffer.extend_from_slice(&bytes),
                Some(Err(_)) | None => cutter.ended = true,
            }
        }
    })
}

struct Cutter {
    buffer: BytesMut,
    /// So many bytes of the buffer are known to hold no end of a line.
    searched: usize,
    longest: usize,
    /// The rest of a line that was too long is dropped as it comes.
    skipping: bool,
    ended: bool,
}

impl Cutter {
    /// The next whole line, or the last one at the end.
    fn next(&mut self) -> Option<Result<Bytes, Problem>> {
        loop {
            let end = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
            let Some(end) = end.map(|at| self.searched + at) else { return self.unfinished() };
            let line = self.buffer.split_to(end + 1).freeze().slice(..end);
            self.searched = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            return Some(if line.len() > self.longest { Err(self.too_long()) } else { Ok(line) });
        }
    }

    fn unfinished(&mut self) -> Option<Result<Bytes, Problem>> {
        self.searched = self.buffer.len();
        if self.skipping || self.buffer.len() > self.longest {
            self.buffer.clear();
            self.searched = 0;
            return (!std::mem::replace(&mut self.skipping, true)).then(|| Err(self.too_long()));
        }
        if !self.ended || self.buffer.is_empty() {
            return None;
        }
        self.searched = 0;
        Some(Ok(self.buffer.split().freeze()))
    }

    fn too_long(&self) -> Problem {
        Problem::new(kind::TOO_LARGE, format!("A line may have at most {} bytes.", self.longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(chunks: &[&'static str], longest: usize) -> Vec<Result<String, &'static str>> {
        let body = stream::iter(chunks.iter().map(|chunk| Ok::<_, ()>(Bytes::from_static(chunk.as_bytes()))));
        let text = |line: Bytes| String::from_utf8_lossy(&line).into_owned();
        let read = lines(body, longest).map(|line| line.map(text).map_err(|problem| problem.kind().word));
        futures::executor::block_on(read.collect())
    }

    #[test]
    fn lines_are_cut_wherever_the_chunks_end() {
        let expected: Vec<_> = ["one", "two", "", "three"].map(|line| Ok(line.to_owned())).into();
        assert_eq!(cut(&["one\ntwo\n\nthree"], 10), expected);
        assert_eq!(cut(&["o", "ne\nt", "wo", "\n\n", "three\n"], 10), expected);
    }

    #[test]
    fn a_line_that_is_too_long_is_a_problem_in_its_place() {
        let expected = vec![Ok("a".into()), Err("too-large"), Ok("b".into())];
        assert_eq!(cut(&["a\ntoo long\nb\n"], 3), expected);
        assert_eq!(cut(&["a\ntoo ", "long", "er\nb"], 3), expected);
    }

    #[test]
    fn a_long_line_without_an_end_is_one_problem() {
        assert_eq!(cut(&["too ", "long", "er"], 3), vec![Err("too-large")]);
    }
}
