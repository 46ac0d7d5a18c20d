//! Indexes a folder: one task a file, on however many worker processes are running.
//!
//! ```sh
//! cargo run --release --example index_files -- worker &     # as many as you like, on any machine that sees the files
//! cargo run --release --example index_files -- index FOLDER
//! ```
//!
//! `TASKQ__BROKER__URL` says where the tasks are kept (sqlite://taskq.db if unset). The totals agree with
//! `find FOLDER -type f`, `sha256sum` and `LC_ALL=C wc` (GNU coreutils 9.1) on the same folder.

use std::{
    io::{BufReader, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use taskq::{config::Config, prelude::*};

#[derive(Serialize, Deserialize)]
struct FileIndex {
    bytes: u64,
    sha256: String,
    lines: u64,
    words: u64,
}

/// Reads one file and counts. A plain function: it runs on a thread, where reading may block.
#[task(queue = "files")]
fn index_file(path: PathBuf) -> std::io::Result<FileIndex> {
    let mut file = BufReader::new(std::fs::File::open(path)?);
    let (mut hasher, mut index) = (Sha256::new(), FileIndex { bytes: 0, sha256: String::new(), lines: 0, words: 0 });
    let (mut buffer, mut in_word) = ([0; 64 * 1024], false);
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        index.bytes += count as u64;
        for byte in &buffer[..count] {
            index.lines += u64::from(*byte == b'\n');
            // As wc in the C locale: a word begins with its first printable character.
            let begins = !in_word && byte.is_ascii_graphic();
            index.words += u64::from(begins);
            in_word = (in_word || begins) && !matches!(byte, b' ' | b'\t'..=b'\r');
        }
    }
    index.sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(index)
}

#[tokio::main]
async fn main() -> ExitCode {
    match std::env::args().collect::<Vec<_>>().as_slice() {
        [_, mode, folder] if mode == "index" => match index(Path::new(folder)).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        },
        // `worker`, `check`, `enqueue`, `--help`
        _ => taskq::app().main().await,
    }
}

async fn index(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let client = taskq::connect(&Config::load(None)?.broker_url).await?.client();
    let mut paths = files_in(&folder.canonicalize()?)?;
    // By bytes, as `LC_ALL=C sort` does.
    paths.sort_by(|first, second| first.as_os_str().cmp(second.as_os_str()));
    let handles = client.enqueue_all(paths.iter().cloned().map(index_file::with)).await?;
    let bar = ProgressBar::new(handles.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} files, {per_sec}, {eta} left")?);
    let (mut total, mut all) = (FileIndex { bytes: 0, sha256: String::new(), lines: 0, words: 0 }, Sha256::new());
    for (path, handle) in paths.iter().zip(&handles) {
        let index = handle.wait(Duration::from_secs(600)).await?;
        all.update(format!("{}  {}\n", index.sha256, path.display()));
        total.bytes += index.bytes;
        total.lines += index.lines;
        total.words += index.words;
        bar.inc(1);
    }
    bar.finish_and_clear();
    // The checksum of the list of checksums: `find .. | sort | xargs sha256sum | sha256sum` prints the same.
    let sha256: String = all.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    println!(
        "files {}\nbytes {}\nlines {}\nwords {}\nsha256 {sha256}",
        paths.len(),
        total.bytes,
        total.lines,
        total.words
    );
    Ok(())
}

fn files_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()? {
            kind if kind.is_dir() => files.extend(files_in(&entry.path())?),
            kind if kind.is_file() => files.push(entry.path()),
            _ => {} // find -type f leaves out links, too
        }
    }
    Ok(files)
}
