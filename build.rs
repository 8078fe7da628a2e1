//! What the linker is told.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The unwinder comes into the program: as a library of its own it takes a tenth of the time of a `trigger`, most of it
    // for questions to the processor that it does not need.
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu") {
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}
