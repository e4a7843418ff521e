//! What signs messages, as the Standard Webhooks specification says.

use std::fmt;

use aws_lc_rs::{hmac, rand};
use base64::{Engine, engine::general_purpose::STANDARD};

const PREFIX: &str = "whsec_";
/// How many bytes a new secret has; the specification wants 24 to 64.
const BYTES: usize = 32;

/// A secret that an endpoint's owner shares with us.
#[derive(Clone)]
pub(crate) struct Secret(Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// A new random one.
    pub(crate) fn generate() -> Self {
        let mut bytes = vec![0; BYTES];
        rand::fill(&mut bytes).expect("the system has randomness");
        Self(bytes)
    }

    /// The one that these bytes are.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Its bytes, to be sealed.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// How its owner is told it, once: `whsec_` and base64.
    pub(crate) fn encoded(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// `v1,` and the base64 of an HMAC-SHA-256 over id, time and body, with full stops between.
    pub(crate) fn sign(&self, message_id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.0));
        context.update(format!("{message_id}.{timestamp}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // The specification's own example.
        let secret = Secret::of(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        let body = br#"{"test": 2432232314}"#;
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_told_in_base64_and_never_printed() {
        let secret = Secret::generate();
        let encoded = secret.encoded();
        let decoded = STANDARD.decode(encoded.strip_prefix("whsec_").unwrap()).unwrap();
        assert_eq!((decoded.len(), &*decoded), (BYTES, secret.bytes()));
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}
