//! Builds and finds the real alknetd and alknetctl.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The daemon.
    pub alknetd: PathBuf,
    /// The client.
    pub alknetctl: PathBuf,
}

/// Builds both programs, once per process, in the profile of the running program, and says where they are.
///
/// # Panics
/// When they do not build.
pub fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let folder = profile_folder();
        let is_release = folder.ends_with("release");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "alknetd", "--package", "alknetctl", "--bins"]);
        // What cargo says about the running test is a change of the environment to build scripts, and they build anew.
        for (name, _) in std::env::vars_os() {
            let is_about_the_test = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_EXE_"];
            if is_about_the_test.iter().any(|begin| name.to_string_lossy().starts_with(begin)) {
                build.env_remove(name);
            }
        }
        if is_release {
            build.arg("--release");
        }
        build.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
        build.arg("--target-dir").arg(folder.parent().expect("a profile's folder is in the target folder"));
        let status = build.status().expect("cargo can be started");
        assert!(status.success(), "alknetd and alknetctl do not build: {status}");
        Programs { alknetd: folder.join("alknetd"), alknetctl: folder.join("alknetctl") }
    })
}

/// `target/debug` or `target/release`: the folder above the running test, or the one of the running program.
fn profile_folder() -> PathBuf {
    let program = std::env::current_exe().expect("the running program has a path");
    let folder = program.parent().expect("a program is in a folder");
    if folder.ends_with("deps") { folder.parent().expect("deps is in a folder").to_owned() } else { folder.to_owned() }
}
