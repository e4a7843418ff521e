//! The `guildhall` binary: reads what was typed and runs it.

use std::process::ExitCode;

use clap::Parser;
use guildhall_server::{cli::Cli, run};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("guildhall: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run::run(cli)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("guildhall: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A thread for each core; but one thread where there are two cores, so that Postgres has the other one and nobody waits for
/// a second thread to wake up. `TOKIO_WORKER_THREADS` says otherwise.
fn runtime() -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    let few_cores = std::thread::available_parallelism().is_ok_and(|cores| cores.get() <= 2);
    if few_cores && std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        builder.worker_threads(1);
    }
    builder.enable_all().build()
}
