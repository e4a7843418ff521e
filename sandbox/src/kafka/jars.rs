//! Kafka's jars, fetched by Maven once per checkout.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Names a folder that holds the jars already, for machines without a network or without Maven.
const GIVEN: &str = "GUILDHALL_KAFKA_LIBS";

/// Says which jars: their versions stand here and nowhere else.
const POM: &str = include_str!("../../../tools/kafka/pom.xml");

/// The folder that holds the jars; fetches them first when it is not there or holds those of another version. Nothing
/// is written outside the checkout, and an interrupted fetch is begun anew.
pub fn ensure() -> Result<PathBuf> {
    if let Some(given) = env::var_os(GIVEN).map(PathBuf::from) {
        if !holds_kafka(&given) {
            bail!("{GIVEN} names {}, which holds no kafka_*.jar", given.display());
        }
        return given.canonicalize().with_context(|| format!("finding {}", given.display()));
    }
    let home = checkout()?.join(".guildhall/kafka");
    fs::create_dir_all(&home).with_context(|| format!("making {}", home.display()))?;
    // Several test processes may come here at once: the first one fetches.
    let lock = home.join("jars.lock");
    let lock = File::create(&lock).with_context(|| format!("opening {}", lock.display()))?;
    lock.lock().context("waiting for another process that fetches Kafka's jars")?;
    let jars = home.join("libs");
    if !is_current(&jars) {
        fetch(&home, &jars)?;
    }
    Ok(jars)
}

/// The folder of the checkout that this program was built in; the current one when it has been moved elsewhere.
fn checkout() -> Result<PathBuf> {
    match Path::new(env!("CARGO_MANIFEST_DIR")).parent() {
        Some(checkout) if checkout.is_dir() => Ok(checkout.to_owned()),
        _ => env::current_dir().context("finding the current directory"),
    }
}

/// The project file that fetched the jars is kept beside them, and written last.
fn is_current(jars: &Path) -> bool {
    fs::read_to_string(jars.join("pom.xml")).is_ok_and(|fetched| fetched == POM)
}

fn fetch(home: &Path, jars: &Path) -> Result<()> {
    let project = home.join("project");
    let unfinished = project.join("libs");
    let repository = project.join("repository");
    clear(&project)?;
    fs::create_dir_all(&project).with_context(|| format!("making {}", project.display()))?;
    fs::write(project.join("pom.xml"), POM).context("writing pom.xml")?;
    let mut maven = Command::new("mvn");
    maven.env("MAVEN_OPTS", "-XX:-UsePerfData");
    maven.args(["--quiet", "--batch-mode", "-Dstyle.color=never", "package"]).current_dir(&project);
    maven.arg(format!("-Dmaven.repo.local={}", repository.display()));
    maven.arg(format!("-DoutputDirectory={}", unfinished.display()));
    let Ok(answer) = maven.output() else {
        bail!("no Maven found: install it, on Debian with `apt-get install maven`, or name the jars' folder in {GIVEN}")
    };
    if !answer.status.success() || !holds_kafka(&unfinished) {
        let said = String::from_utf8_lossy(&answer.stdout);
        let first: Vec<&str> = said.lines().take(12).collect();
        bail!(
            "Maven could not fetch Kafka's jars ({}); it needs the network once, or {GIVEN} naming a folder that has \
             them; it says:\n  {}",
            answer.status,
            first.join("\n  ")
        );
    }
    fs::copy(project.join("pom.xml"), unfinished.join("pom.xml")).context("noting which jars these are")?;
    clear(jars)?;
    fs::rename(&unfinished, jars).with_context(|| format!("finishing {}", jars.display()))?;
    clear(&project)
}

fn clear(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("removing {}", directory.display()))?;
    }
    Ok(())
}

fn holds_kafka(folder: &Path) -> bool {
    let Ok(mut entries) = fs::read_dir(folder) else { return false };
    entries.any(|entry| {
        entry.is_ok_and(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().starts_with("kafka_") && name.to_string_lossy().ends_with(".jar")
        })
    })
}
