//! Compiles the two C programs of `tunsock demo` against the system's own headers and libraries. The command carries them
//! inside itself.

use std::path::PathBuf;
use std::process::exit;

fn main() {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for name in ["server", "client"] {
        let source = format!("demo/{name}.c");
        println!("cargo:rerun-if-changed={source}");
        let mut command = cc::Build::new().warnings(true).get_compiler().to_command();
        command
            .args(["-std=gnu11", "-Werror", "-o"])
            .arg(out.join(name))
            .arg(&source);
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(status) => {
                eprintln!("{command:?}: {status}");
                exit(1);
            }
            Err(error) => {
                eprintln!(
                    "a C compiler is needed (Debian: apt install gcc libc6-dev): {command:?}: {error}"
                );
                exit(1);
            }
        }
    }
}
