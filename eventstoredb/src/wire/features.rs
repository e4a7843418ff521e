//! `ServerFeatures`: what a server can do.

/// All of it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SupportedMethods {
    /// The methods that are answered.
    #[prost(message, repeated, tag = "1")]
    pub methods: Vec<SupportedMethod>,
    /// The server version clients should behave for.
    #[prost(string, tag = "2")]
    pub server_version: String,
}

/// One method that is answered.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SupportedMethod {
    /// Its name in lower case.
    #[prost(string, tag = "1")]
    pub method: String,
    /// The service it belongs to, in lower case.
    #[prost(string, tag = "2")]
    pub service: String,
}
