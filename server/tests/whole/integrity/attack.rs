//! A thousand attacks on one history, each of them seen.

use std::{
    env,
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use guildhall_aggregates::TenantId;
use guildhall_integrity::{AuditOptions, BundleRequest, sign_now, verify, write_bundle};
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    damage,
    forgery::{self, Proofs},
    history::{History, OPERATOR, SLUGS, STRANGER, keys, tenants},
    verifier,
};
use crate::dice::Dice;

/// Attacks in an ordinary run of the tests, and where there is time for all of them.
const SHORT: usize = 150;
const LONG: usize = 1_000;

/// What the auditor's own program is given at the end, in one go.
struct Bundles {
    folder: TempDir,
    bundles: Vec<Bundle>,
}

struct Bundle {
    attack: String,
    tenant: TenantId,
    file: PathBuf,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attack_on_history_goes_unseen() {
    let long = env::var_os("GUILDHALL_TORTURE").is_some_and(|set| set == "1");
    let seed = match env::var("GUILDHALL_SEED") {
        Ok(seed) => seed.parse().expect("GUILDHALL_SEED is a number"),
        Err(_) if long => Uuid::now_v7().as_u64_pair().1,
        Err(_) => 5,
    };
    println!("GUILDHALL_SEED={seed}");
    let mut dice = Dice::new(seed);
    let history = History::record(&mut dice).await;
    assert_eq!(history.audit().await, Ok(()), "before any attack");
    let rows = damage::count_rows(&history.attacker).await;
    let recorded = history.store.read_after(0, 10_000).await.expect("history can be read");
    let mut bundles = Bundles::new();
    let mut unseen = Vec::new();
    let mut attacks = 0;
    while attacks < if long { LONG } else { SHORT } {
        let name = if dice.below(2) == 0 {
            let damage = damage::any(&mut dice, &rows);
            history
                .attacker
                .batch_execute(&damage.sql)
                .await
                .unwrap_or_else(|error| panic!("{}: {error}", damage.name));
            damage.name
        } else {
            let (forgery, proofs) = (forgery::any(&mut dice, &recorded), *dice.pick(&Proofs::ALL));
            forgery.apply(&history.attacker).await;
            history.settle(proofs).await;
            let name = format!("{}; checkpoints: {proofs:?}", forgery.name);
            if proofs == Proofs::SignedAnew {
                bundles.add(&history, forgery.tenant, &name).await;
            }
            name
        };
        if history.is_changed().await {
            attacks += 1;
            match history.audit().await {
                Ok(()) => unseen.push(name),
                Err(found) => println!("{name}\n    {found}"),
            }
        }
        history.restore().await;
    }
    assert_eq!(history.audit().await, Ok(()), "after all attacks, when everything is as it was");
    unseen.extend(bundles.believed(&history));
    let checked = bundles.bundles.len();
    assert!(unseen.is_empty(), "{} of {attacks} attacks were not seen: {unseen:#?}", unseen.len());
    came_to(&format!(
        "{attacks} attacks, seed {seed}: all seen; verify.py saw the {checked} of a signing operator, too"
    ));
}

impl History {
    /// What `guildhall audit verify` finds, given what the auditor kept.
    async fn audit(&self) -> Result<(), String> {
        let kept = self.kept.iter().map(|(_, note)| note.clone()).collect();
        let options = AuditOptions { tenant: None, kept };
        let report = verify(&self.store, &keys(OPERATOR), &options, |_, _| ()).await;
        match report.map_err(|error| format!("error: {error}"))?.first_difference {
            Some(finding) => Err(finding.to_string()),
            None => Ok(()),
        }
    }

    /// What becomes of tiles and checkpoints after a forgery.
    async fn settle(&self, proofs: Proofs) {
        let keys = match proofs {
            Proofs::Kept => return,
            Proofs::Removed => None,
            Proofs::TilesAnew | Proofs::SignedAnew => Some(keys(OPERATOR)),
            Proofs::SignedByAnother => Some(keys(STRANGER)),
        };
        self.attacker
            .batch_execute("TRUNCATE es.log_tile, es.log_tail, es.sealed, es.checkpoint")
            .await
            .expect("a superuser can");
        let Some(keys) = keys else { return };
        for tenant in tenants() {
            sign_now(&self.store, tenant, &keys).await.expect("a forged history can be signed");
        }
        if proofs == Proofs::TilesAnew {
            let unsay = "TRUNCATE es.checkpoint; INSERT INTO es.checkpoint SELECT * FROM aside.checkpoint";
            self.attacker.batch_execute(unsay).await.expect("a superuser can");
        }
    }
}

impl Bundles {
    fn new() -> Self {
        Self { folder: TempDir::new().expect("a folder for bundles"), bundles: Vec::new() }
    }

    /// A fresh bundle of the association whose history was forged.
    async fn add(&mut self, history: &History, tenant: TenantId, attack: &str) {
        let slug = SLUGS[tenants().iter().position(|other| *other == tenant).expect("one of them")].to_owned();
        let path = self.folder.path().join(self.bundles.len().to_string());
        let mut file = BufWriter::new(File::create(&path).expect("a bundle can be written"));
        let request = BundleRequest { tenant, slug, from: None, to: None, consistent_with: None };
        let written = write_bundle(&history.store, &request, &mut file).await;
        if let Err(error) = written {
            panic!("{attack}: {error}");
        }
        self.bundles.push(Bundle { attack: attack.to_owned(), tenant, file: path });
    }

    /// Those that the independent verifier did not find wrong, given the checkpoints that the auditor kept.
    fn believed(&self, history: &History) -> Vec<String> {
        let key = keys(OPERATOR).verifiers()[0].clone();
        let mut believed = Vec::new();
        for tenant in tenants() {
            let kept = self.folder.path().join(format!("{tenant}.checkpoints"));
            let notes = history.kept.iter().filter(|(of, _)| *of == tenant).map(|(_, note)| &**note);
            fs::write(&kept, notes.collect::<String>()).expect("checkpoints can be kept");
            let of_tenant: Vec<&Bundle> = self.bundles.iter().filter(|bundle| bundle.tenant == tenant).collect();
            let files: Vec<&Path> = of_tenant.iter().map(|bundle| &*bundle.file).collect();
            let codes = verifier::verify_all(&files, &["--key", &key, "--checkpoint", kept.to_str().expect("text")]);
            assert_eq!(codes.len(), files.len());
            let not_found = of_tenant.iter().zip(codes).filter(|(_, code)| *code != 1);
            believed.extend(not_found.map(|(bundle, code)| format!("verify.py ended with {code}: {}", bundle.attack)));
        }
        believed
    }
}

/// Says what the long form came to, where `make torture` collects it.
fn came_to(figures: &str) {
    let Some(results) = env::var_os("GUILDHALL_TORTURE_RESULTS") else { return };
    let mut results = File::options().append(true).create(true).open(results).expect("the results can be written");
    writeln!(results, "| history altered in the database | {figures} |").expect("the results can be written");
}
