//! Where libtunsock.so is.

use std::path::{Path, PathBuf};

use tunsock_config::LIBRARY_ENV;

use crate::refusal::Refusal;

/// The library's absolute path: named by TUNSOCK_LIBRARY, or beside the command, or in `../lib`.
pub(crate) fn find() -> Result<PathBuf, Refusal> {
    let path = match std::env::var_os(LIBRARY_ENV) {
        Some(named) => {
            let named = PathBuf::from(named);
            if !named.is_file() {
                return Err(Refusal::new(format!(
                    "{LIBRARY_ENV}: there is no file {}",
                    named.display()
                )));
            }
            named
        }
        None => installed()?,
    };
    let path = std::path::absolute(&path).unwrap_or(path);
    // ld.so(8): the items of LD_PRELOAD are separated by spaces or colons, and there is no way to quote them.
    if path
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .any(|b| b" :\t\n".contains(b))
    {
        return Err(Refusal::new(format!(
            "LD_PRELOAD cannot name {}: copy it to a path without spaces and colons and set {LIBRARY_ENV} to that",
            path.display()
        )));
    }
    Ok(path)
}

fn installed() -> Result<PathBuf, Refusal> {
    let exe = std::env::current_exe()
        .map_err(|error| Refusal::new(format!("cannot tell where this command is: {error}")))?;
    let beside = exe.parent().unwrap_or(Path::new("/"));
    let directories = [beside.to_owned(), beside.join("../lib")];
    let names = ["libtunsock.so", "libtunsock.so.0"];
    let candidates = directories
        .iter()
        .flat_map(|dir| names.iter().map(move |name| dir.join(name)));
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        Refusal::new(format!(
            "libtunsock.so is neither in {} nor in ../lib: build it with `cargo build --workspace`, or set {LIBRARY_ENV} \
             to its path",
            beside.display()
        ))
    })
}
