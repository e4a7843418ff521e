//! The independent verifier, `tools/verify/verify.py`, as an auditor runs it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Where the verifier is.
pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/verify")
}

/// A Python that has what the verifier needs: the project's own, the user's, or the system's.
pub(super) fn python() -> Command {
    let own = folder().join("../../.guildhall/venv/bin/python3");
    let mut candidates = [own, "python3".into(), "/usr/bin/python3".into()].into_iter();
    let has_package = |python: &PathBuf| {
        Command::new(python).args(["-c", "import cryptography.hazmat"]).output().is_ok_and(|it| it.status.success())
    };
    let Some(python) = candidates.find(has_package) else {
        panic!("no Python has the package `cryptography`: run `scripts/ensure-tools --verifier`");
    };
    let mut command = Command::new(python);
    command.arg("-B").current_dir(folder());
    command
}

/// Runs the verifier once.
pub(super) fn verify(arguments: &[&str]) -> Output {
    python().arg("verify.py").args(arguments).output().expect("Python runs")
}

/// Runs the verifier on many bundles in one process, and gives each one's exit code. `given` are the options of all.
pub(super) fn verify_all(bundles: &[&Path], given: &[&str]) -> Vec<i32> {
    const ALL: &str = "
import contextlib, io, sys, verify
for bundle in sys.argv[1].splitlines():
    with contextlib.redirect_stdout(io.StringIO()):
        code = verify.main(['bundle', bundle, *sys.argv[2:]])
    print(code)
";
    let paths: Vec<&str> = bundles.iter().map(|path| path.to_str().expect("a path is text")).collect();
    let output = python().args(["-c", ALL, &paths.join("\n")]).args(given).output().expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).expect("numbers");
    said.lines().map(|line| line.parse().expect("a number")).collect()
}
