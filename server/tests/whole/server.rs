//! The binary as a child process, as an installation would run it.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use guildhall_aggregates::tenant_of_slug;
use guildhall_event_store::{Clock, KeyEncryptionKey};
use guildhall_server::config::Config;
use guildhall_web::{Role, TokenKeys, TokenRequest};
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

/// The longest anything may take before a test gives up on it.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// A configuration in a folder of its own, and whatever runs with it.
pub(crate) struct Server {
    home: TempDir,
    config: Config,
    child: Option<Child>,
    address: String,
    trusted: Option<PathBuf>,
}

impl Server {
    /// A configuration for a database; nothing runs yet.
    pub(crate) fn configured(database_url: &str, brokers: Option<(&str, &str)>) -> Self {
        Self::with(database_url, brokers, |_| ())
    }

    /// The same, with something set otherwise.
    pub(crate) fn with(database_url: &str, brokers: Option<(&str, &str)>, set: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        database_url.clone_into(&mut config.database.url);
        config.http.listen = ([127, 0, 0, 1], 0).into();
        config.http.operations_listen = Some(config.http.listen);
        config.auth.token_secret = KeyEncryptionKey::generate().encoded();
        config.vault.key_encryption_key = KeyEncryptionKey::generate().encoded();
        config.integrity.signing_key = KeyEncryptionKey::generate().encoded();
        config.log.filter = "warn".into();
        if let Some((brokers, prefix)) = brokers {
            config.transport = guildhall_server::config::Transport::Kafka;
            brokers.clone_into(&mut config.kafka.brokers);
            prefix.clone_into(&mut config.kafka.topic_prefix);
            config.kafka.partitions = 2;
        }
        set(&mut config);
        let home = TempDir::new().expect("a folder for the configuration");
        Self::at_home(home, config)
    }

    fn at_home(home: TempDir, config: Config) -> Self {
        let text = toml::to_string(&config).expect("a configuration is TOML");
        std::fs::write(home.path().join("guildhall.toml"), text).expect("the configuration is written");
        Self { home, config, child: None, address: String::new(), trusted: None }
    }

    /// Another process of the same installation; it does not run yet.
    pub(crate) fn beside(&self) -> Self {
        Self::at_home(TempDir::new().expect("a folder for the configuration"), self.config.clone())
    }

    /// The same installation with another generation of topics.
    pub(crate) fn beside_with_topics(&self, prefix: &str) -> Self {
        let mut config = self.config.clone();
        prefix.clone_into(&mut config.kafka.topic_prefix);
        Self::at_home(TempDir::new().expect("a folder for the configuration"), config)
    }

    /// Starts a role that serves nothing, such as `relay`. What it logs is kept for [`Server::ended`].
    pub(crate) fn spawn(&mut self, arguments: &[&str]) {
        let log = std::fs::File::create(self.home.path().join("log")).expect("the log can be written");
        let child = self.command(arguments).stdout(Stdio::null()).stderr(log).spawn().expect("the binary starts");
        self.child = Some(child);
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).expect("the log can be read")
    }

    /// Waits until it has ended by itself, and gives whether it ended well and what it logged.
    pub(crate) async fn ended(&mut self) -> (bool, String) {
        let started = Instant::now();
        let status = loop {
            let child = self.child.as_mut().expect("it was started");
            match child.try_wait().expect("a child can be looked after") {
                Some(status) => break status,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
            assert!(started.elapsed() < DEADLINE, "it did not end within {DEADLINE:?}: {}", self.log());
        };
        (status.success(), self.log())
    }

    /// Starts roles, such as `all`, and waits until they serve.
    pub(crate) fn start(&mut self, roles: &str) {
        let mut child = self
            .command(&["--json", roles])
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the binary starts");
        let mut said = String::new();
        BufReader::new(child.stdout.take().expect("its output is ours"))
            .read_line(&mut said)
            .expect("it says something");
        let listening: Value = serde_json::from_str(&said).expect("it says where it listens");
        self.address = format!("http://{}", listening["listening"].as_str().expect("an address"));
        self.child = Some(child);
    }

    /// Lets it trust the certificates in this file, and no other, from its next start on.
    pub(crate) fn trust(&mut self, certificates: &Path) {
        self.trusted = Some(certificates.to_owned());
    }

    /// Where it serves.
    pub(crate) fn url(&self) -> &str {
        &self.address
    }

    /// The configuration's file.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.home.path().join("guildhall.toml")
    }

    /// The key that wraps the keys of personal data.
    pub(crate) fn key_encryption_key(&self) -> KeyEncryptionKey {
        KeyEncryptionKey::parse(&self.config.vault.key_encryption_key).expect("it was generated")
    }

    /// Ends it the hard way: no signal handler runs.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child ends");
        }
    }

    /// A subcommand with the same configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .arg("--config")
            .arg(self.config_file())
            .args(arguments)
            .env_remove("DATABASE_URL")
            .env_remove("KAFKA_BROKERS")
            .envs(self.trusted.as_ref().map(|file| ("SSL_CERT_FILE", file)));
        command
    }

    /// Runs a subcommand to its end, which must be a good one, and gives what it reported as JSON.
    pub(crate) fn report(&self, arguments: &[&str]) -> Value {
        let output = self.output(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?} failed: {said} {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{arguments:?} said {said}: {error}"))
    }

    /// Runs a subcommand to its end, with JSON for its report.
    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).arg("--json").output().expect("the binary runs")
    }

    /// A token for an association, with every scope.
    pub(crate) fn token(&self, association: &str) -> String {
        let keys = TokenKeys::parse(&self.config.auth.token_secret).expect("the secret holds");
        let request = TokenRequest {
            association: association.to_owned(),
            subject: "tester".to_owned(),
            roles: BTreeSet::from(Role::ALL),
            lifetime: TimeDelta::hours(1),
        };
        keys.issue(&request, Clock::system().now()).expect("the request holds")
    }

    /// The API as an association's client sees it.
    pub(crate) fn client(&self, association: &str) -> Client {
        self.client_at(&self.address, association)
    }

    /// The same at another node of the installation.
    pub(crate) fn client_at(&self, url: &str, association: &str) -> Client {
        Client { http: reqwest::Client::new(), url: url.to_owned(), token: self.token(association) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_guildhall"))
}

/// A client of one association.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    /// Sends a command under a key. Gives status and body; an error when no answer came.
    pub(crate) async fn send(&self, name: &str, key: &str, body: &Value) -> reqwest::Result<(u16, Value)> {
        let request = self.http.post(format!("{}/v1/commands/{name}", self.url)).bearer_auth(&self.token);
        let response = request.header("Idempotency-Key", key).json(body).send().await?;
        Ok((response.status().as_u16(), response.json().await?))
    }

    /// Reads. Gives status and body; an error when no answer came, or none in JSON.
    pub(crate) async fn read(&self, path: &str, headers: &[(&str, &str)]) -> reqwest::Result<(u16, Value)> {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.json().await?))
    }

    /// Where it sends to.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Sends a command that must be accepted, and gives its receipt.
    pub(crate) async fn accepted(&self, name: &str, body: Value) -> Value {
        let (status, answer) = self.send(name, &Uuid::now_v7().to_string(), &body).await.expect("an answer");
        assert!(status == 200 || status == 201, "{name} was answered {status}: {answer}");
        answer
    }

    /// Founds the association of a slug.
    pub(crate) async fn found(&self, slug: &str) -> Uuid {
        let body = serde_json::json!({ "name": slug, "slug": slug, "time_zone": "UTC", "currency": "USD" });
        self.accepted("FoundAssociation", body).await;
        tenant_of_slug(slug).uuid()
    }
}

/// Asks again and again until there is an answer, or the deadline has passed.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < DEADLINE, "{what} did not come about within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
