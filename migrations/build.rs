//! Tells cargo that a new file in a migrations folder changes this crate: the files that are embedded already
//! are tracked by `include_str!`, a folder that gains one is not.

fn main() {
    println!("cargo:rerun-if-changed=es");
    println!("cargo:rerun-if-changed=read");
}
