//! What stays of runs: `gc`, `archive`.

use std::io::Write;
use std::path::Path;

use super::Failure;
use crate::archive::{Archived, archive};
use crate::gc::{self, Unused};
use crate::progress::counted;

/// Shows what no table uses, and removes it if asked to.
pub(super) fn collect_garbage(runs: &Path, remove: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let unused = if remove { gc::remove(runs)? } else { gc::unused(runs)? };
    for Unused { stage, status, bytes } in &unused {
        let status = status.map_or_else(|| "no manifest".to_owned(), |status| format!("{status:?}").to_lowercase());
        writeln!(out, "{stage}  {status}, {}", megabytes(*bytes))?;
    }
    let (stages, total) = (counted(unused.len(), "stage"), megabytes(unused.iter().map(|stage| stage.bytes).sum()));
    if remove {
        return Ok(writeln!(out, "removed {stages}, {total}")?);
    }
    Ok(writeln!(out, "{stages} that no table uses, {total}; `--remove` removes them")?)
}

/// Copies what is worth keeping beside the code, and says how much that is.
pub(super) fn keep(runs: &Path, to: &Path, exhibits: usize, out: &mut dyn Write) -> Result<(), Failure> {
    let Archived { tables, stages, bytes, left, replaced } = archive(runs, to, exhibits)?;
    let (tables, stages) = (counted(tables, "table"), counted(stages, "stage"));
    let (size, left) = (megabytes(bytes), counted(left, "large output"));
    writeln!(out, "{}: {tables}, {stages}, {size}; {left} left out", to.display())?;
    for (table, command) in replaced {
        writeln!(out, "{} held other numbers before, of `{command}`; their stages are still there", table.display())?;
    }
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
