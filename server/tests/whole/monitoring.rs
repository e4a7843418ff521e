//! What `deploy/` offers for watching an installation fits what the program says of itself.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use promql_parser::{
    parser::{Expr, VectorSelector},
    util::{ExprVisitor, walk_expr},
};
use serde::Deserialize;
use serde_json::Value;

/// Metrics that are somebody else's: Prometheus' own, and those of webhooks.
const OF_OTHERS: [&str; 1] = ["up"];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the server is a folder of the workspace")
}

fn text(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[derive(Debug, Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    alert: String,
    expr: String,
    labels: Labels,
    annotations: Annotations,
}

#[derive(Debug, Deserialize)]
struct Labels {
    severity: String,
}

#[derive(Debug, Deserialize)]
struct Annotations {
    summary: String,
    runbook_url: String,
}

fn alerts() -> Vec<Rule> {
    let rules: Rules = serde_saphyr::from_str(&text("deploy/prometheus/alerts.yml")).expect("the rules are YAML");
    let alerts: Vec<_> = rules.groups.into_iter().flat_map(|group| group.rules).collect();
    assert!(alerts.len() > 10, "{} alerts", alerts.len());
    alerts
}

/// Every query of the dashboard, with Grafana's own interval filled in.
fn queries() -> Vec<String> {
    fn collect(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                into.extend(
                    fields.get("expr").and_then(Value::as_str).map(|expr| expr.replace("$__rate_interval", "5m")),
                );
                fields.values().for_each(|field| collect(field, into));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
            _ => {}
        }
    }
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana/guildhall.json")).expect("it is JSON");
    let variables = dashboard["templating"]["list"].as_array().expect("it has variables");
    assert!(variables.iter().any(|variable| variable["name"] == "datasource" && variable["query"] == "prometheus"));
    let mut queries = Vec::new();
    collect(&dashboard["panels"], &mut queries);
    assert!(queries.len() > 20, "{} queries", queries.len());
    queries
}

/// The metrics an expression asks for.
struct Asked(BTreeSet<String>);

impl ExprVisitor for Asked {
    type Error = String;
    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, String> {
        let selector: Option<&VectorSelector> = match expr {
            Expr::VectorSelector(selector) => Some(selector),
            Expr::MatrixSelector(matrix) => Some(&matrix.vs),
            _ => None,
        };
        self.0.extend(selector.and_then(|selector| selector.name.clone()));
        Ok(true)
    }
}

fn metrics_in(query: &str) -> BTreeSet<String> {
    let parsed = promql_parser::parser::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    let mut asked = Asked(BTreeSet::new());
    walk_expr(&mut asked, &parsed).unwrap_or_else(|error| panic!("{query}: {error}"));
    assert!(!asked.0.is_empty(), "{query} asks for nothing");
    asked.0
}

/// The names in the sources of all rooms, as Prometheus will know them.
fn emitted() -> BTreeSet<String> {
    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut files = Vec::new();
    for room in fs::read_dir(repository()).expect("the repository can be read") {
        let source = room.expect("an entry can be read").path().join("src");
        if source.is_dir() {
            sources(&source, &mut files);
        }
    }
    let mut names = BTreeSet::new();
    for file in files {
        let code = fs::read_to_string(file).expect("a source is text");
        for (kind, endings) in
            [("counter!(", &[""][..]), ("gauge!(", &[""]), ("histogram!(", &["", "_bucket", "_sum", "_count"])]
        {
            for call in code.split(kind).skip(1) {
                if let Some(name) = call.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                    names.extend(endings.iter().map(|ending| format!("{name}{ending}")));
                }
            }
        }
    }
    assert!(names.len() > 40, "{names:?}");
    names
}

#[test]
fn every_metric_that_is_watched_is_one_that_the_program_has() {
    let known = emitted();
    let watched: Vec<_> = alerts().into_iter().map(|alert| alert.expr).chain(queries()).collect();
    let unknown: BTreeSet<String> = watched
        .iter()
        .flat_map(|query| metrics_in(query))
        .filter(|metric| !known.contains(metric) && !OF_OTHERS.contains(&metric.as_str()))
        .collect();
    assert!(unknown.is_empty(), "nobody says {unknown:?}");
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let folder = repository().join("docs/runbooks");
    let mut pages: BTreeSet<String> = fs::read_dir(&folder)
        .expect("there are runbooks")
        .map(|entry| entry.expect("an entry can be read").file_name().to_string_lossy().into_owned())
        .collect();
    for Rule { alert, labels, annotations, .. } in alerts() {
        assert!(["critical", "warning"].contains(&&*labels.severity), "{alert}: {}", labels.severity);
        assert!(!annotations.summary.is_empty(), "{alert} says nothing");
        let url = &annotations.runbook_url;
        let page = url.strip_prefix("docs/runbooks/").unwrap_or_else(|| panic!("{alert}: {url} is no runbook"));
        assert!(pages.remove(page), "{alert}: {url} is not there, or another alert's");
        let page = text(url);
        assert!(page.contains(&format!("**Alert** `{alert}`")), "{url} is about another alert than {alert}");
        for part in ["**What users notice.**", "**What to look at.**", "**What to do.**"] {
            assert!(page.contains(part), "{url} lacks {part}");
        }
    }
    assert!(pages.is_empty(), "no alert leads to {pages:?}");
}

/// The commands of the runbooks that are ours: everything typed after `guildhall` in a block.
#[test]
fn every_command_of_a_runbook_is_one_that_the_program_has() {
    let mut commands = BTreeSet::new();
    for alert in alerts() {
        for line in text(&alert.annotations.runbook_url).lines().filter_map(|line| line.strip_prefix("guildhall ")) {
            let words: Vec<_> =
                line.split_whitespace().take_while(|word| word.chars().all(char::is_lowercase)).collect();
            commands.insert(words.join(" "));
        }
    }
    assert!(commands.len() > 3, "{commands:?}");
    for command in commands {
        let arguments = command.split(' ').chain(["--help"]);
        let help = std::process::Command::new(crate::server::binary()).args(arguments).output().expect("it runs");
        assert!(help.status.success(), "guildhall {command}: {}", String::from_utf8_lossy(&help.stderr));
    }
}
