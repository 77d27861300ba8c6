//! The report of a run under way, served to this machine's browsers.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use crate::config::Config;
use crate::error::{ConfigError, Error};
use crate::html;
use crate::jobs::{Job, Jobs};
use crate::manifest::{Manifest, Status};
use crate::plan::{Plan, stage_dir};
use crate::progress::{about, counted};
use crate::record::Record;
use crate::runner::Outcome;
use crate::stage_run::METRICS;
use crate::table::{Table, Trial};

/// The longest request that is read, in bytes.
const REQUEST: u64 = 16 << 10;
/// How long a browser may take to ask, or to take a part of an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of a file's end is looked at for its last line.
const LAST: u64 = 64 << 10;

/// Serves the page of these tables, whose numbers are called `name` if they are, on a port of the loopback interface (0 takes any)
/// until the process ends, and says its address on `out`.
///
/// The page loads itself again when something has happened under `runs`. Only this machine reaches it, and only by the
/// names of the loopback interface, so that no page from elsewhere reads it through a browser here.
///
/// # Errors
/// [`ConfigError`] if the port is taken, and whatever `out` refuses.
pub fn watch<C: Config>(
    jobs: &Jobs<'_, C>,
    runs: &Path,
    name: Option<&str>,
    port: u16,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let taken = |error: io::Error| ConfigError::Other(format!("cannot listen on port {port} of 127.0.0.1: {error}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(taken)?;
    let port = listener.local_addr().map_err(taken)?.port();
    writeln!(out, "http://127.0.0.1:{port}/ shows the run; Ctrl-C ends").and_then(|()| out.flush()).map_err(taken)?;
    // Tables stay on this thread; each connection has one of its own, so that one which asks nothing keeps nobody waiting.
    let (ask, asked) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let ask = ask.clone();
            // A browser that goes away takes only its own answer with it.
            thread::spawn(move || drop(serve(stream, &ask)));
        }
    });
    for Question { request, reply } in asked {
        // Who asked may be gone.
        let _ = reply.send(answer(&request, port, jobs, runs, name));
    }
    Ok(())
}

/// Status, kind and content.
type Answer = (&'static str, &'static str, String);

/// What a connection asks the thread that has the tables.
struct Question {
    request: Vec<String>,
    reply: mpsc::Sender<Answer>,
}

/// Reads a request, has it answered and writes the answer.
fn serve(mut stream: TcpStream, ask: &mpsc::Sender<Question>) -> io::Result<()> {
    let (reply, replied) = mpsc::channel();
    ask.send(Question { request: request(&stream, PATIENCE)?, reply }).map_err(io::Error::other)?;
    let (status, kind, body) = replied.recv().map_err(io::Error::other)?;
    let length = body.len();
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {length}\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}"
        )
        .as_bytes(),
    )
}

/// The lines of a request's head, all of which must be there in time.
fn request(stream: &TcpStream, patience: Duration) -> io::Result<Vec<String>> {
    let lines = BufReader::new(Until { stream, end: Instant::now() + patience }.take(REQUEST)).lines();
    lines.take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty()) || line.is_err()).collect()
}

/// A stream that is read until then and no longer, however it comes.
struct Until<'s> {
    stream: &'s TcpStream,
    end: Instant,
}

impl Read for Until<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(bytes)
    }
}

/// The answer to a request.
fn answer<C: Config>(request: &[String], port: u16, jobs: &Jobs<'_, C>, runs: &Path, name: Option<&str>) -> Answer {
    let host = request.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim())
    });
    if !host.is_some_and(|host| is_ours(host, port)) {
        return ("403 Forbidden", "text/plain", format!("this page is http://127.0.0.1:{port}/\n"));
    }
    // As a page, which comes again when what is wrong has been put right.
    let wrong = |error: Error| ("500 Internal Server Error", "text/html", html::live_error(&error));
    match request.first().map_or("", String::as_str).split(' ').collect::<Vec<_>>()[..] {
        ["GET", "/", _] => page(jobs, runs, name).map_or_else(wrong, |page| ("200 OK", "text/html", page)),
        ["GET", "/state", _] => ("200 OK", "text/plain", state(&jobs.plan(), runs)),
        ["GET", ..] => ("404 Not Found", "text/plain", "there is / alone\n".to_owned()),
        _ => ("405 Method Not Allowed", "text/plain", "GET / shows the run\n".to_owned()),
    }
}

/// Whether a request's host is this port of the loopback interface by one of its names; browsers leave out the port of HTTP.
fn is_ours(host: &str, port: u16) -> bool {
    let host =
        if port == 80 { host.strip_suffix(":80").or(Some(host)) } else { host.strip_suffix(&format!(":{port}")) };
    host.is_some_and(|host| ["127.0.0.1", "localhost"].contains(&host))
}

/// What changes when something has happened: when the files of stages were written and how long they are.
fn state(plan: &Plan, runs: &Path) -> String {
    let mut state = String::new();
    for stage in plan.stages() {
        for name in [Manifest::FILE, METRICS] {
            if let Ok(about) = fs::metadata(stage_dir(runs, stage).join(name)) {
                let written = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                let _ = write!(state, "{}-{} ", written.unwrap_or_default().as_millis(), about.len());
            }
        }
    }
    state
}

fn page<C: Config>(jobs: &Jobs<'_, C>, runs: &Path, name: Option<&str>) -> Result<String, Error> {
    // First, for it says what state the page is of: what happens from now on is news.
    let progress = progress(&jobs.plan(), runs)?;
    let mut records: Vec<(&Table<C>, Record)> = Vec::new();
    let mut inputs = HashMap::new();
    for Job { table, trials, .. } in &jobs.0 {
        let mut record = Record::collect(table, trials, runs, &Outcome::default(), "", name)?;
        // What there is to see of an empty cell is behind the stages that it is to have.
        for (at, row) in record.rows.iter_mut().enumerate() {
            for (column, cell) in row.cells.iter_mut().enumerate().filter(|(_, cell)| cell.value.is_none()) {
                let goals = trials.iter().filter_map(|trial| trial.cells[at][column].as_ref().ok());
                cell.stages = goals.map(|stage| stage.name()).collect();
            }
        }
        for stage in Plan::new(trials.iter().flat_map(Trial::goals)).stages() {
            let reads = stage.inputs().iter().map(|(name, input)| ((*name).to_owned(), input.name()));
            inputs.insert(stage.name(), reads.collect::<BTreeMap<_, _>>());
        }
        records.push((table, record));
    }
    html::live_page(&records, runs, &inputs, &progress)
}

/// How far each stage is, those at work first, and the state that this was read in.
fn progress(plan: &Plan, runs: &Path) -> Result<String, Error> {
    let state = state(plan, runs);
    let (mut open, mut rest, mut done) = (String::new(), String::new(), 0);
    for stage in plan.stages() {
        let dir = stage_dir(runs, stage);
        let Some(manifest) = Manifest::read(&dir)? else {
            let _ = writeln!(rest, "<li>{}: to do, {}</li>", stage.name(), about(stage.cost().seconds));
            continue;
        };
        let word = match manifest.status {
            Status::Done => {
                done += 1;
                continue;
            }
            Status::Running => "at work, or killed",
            Status::Interrupted => "interrupted",
            Status::Failed => "failed",
        };
        let steps = match (last_step(&dir.join(METRICS)), stage.cost().steps) {
            (Some(step), 1..) => format!(
                ", {step} of {total} <progress max=\"{total}\" value=\"{step}\" aria-label=\"{name}\"></progress>",
                total = stage.cost().steps,
                name = stage.name()
            ),
            _ => String::new(),
        };
        let _ = writeln!(open, "<li><b>{}</b>: {word}{steps}{}</li>", stage.name(), error(&manifest));
    }
    Ok(format!(
        "<section aria-labelledby=\"progress\" data-state=\"{state}\">\n<h2 id=\"progress\">{done} of {} done</h2>\n\
         <p role=\"status\"></p>\n<ul>\n{open}</ul>\n\
         <details>\n<summary>To do</summary>\n<ul>\n{rest}</ul>\n</details>\n</section>\n",
        counted(plan.stages().len(), "stage")
    ))
}

fn error(manifest: &Manifest) -> String {
    manifest.error.as_ref().map_or_else(String::new, |error| format!(": {}", html::escape(error)))
}

/// The step of the last whole line of a metrics file.
fn last_step(path: &Path) -> Option<u64> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LAST))).ok()?;
    let mut end = Vec::new();
    file.take(LAST).read_to_end(&mut end).ok()?;
    String::from_utf8_lossy(&end).lines().rev().find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        line["update"].as_u64().or_else(|| line["step"].as_u64())
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::sync::Arc;

    use super::*;
    use crate::stage::{Cost, Stage};

    #[test]
    fn the_last_step_is_that_of_the_last_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        assert_eq!(last_step(&path), None);
        fs::write(&path, "{\"update\": 1}\n{\"update\": 2}\n{\"upd").unwrap();
        assert_eq!(last_step(&path), Some(2));
        let long = format!("{}{{\"step\": 7}}\n", "{\"step\": 6, \"loss\": 1.0}\n".repeat(10_000));
        fs::write(&path, long).unwrap();
        assert_eq!(last_step(&path), Some(7));
    }

    #[test]
    fn only_names_of_the_loopback_interface_are_ours() {
        assert!(["127.0.0.1:8080", "localhost:8080"].iter().all(|host| is_ours(host, 8080)));
        assert!(
            !["localhost", "localhost:80", "evil:8080", "localhost:8080:8080"].iter().any(|host| is_ours(host, 8080))
        );
        assert!(["localhost", "localhost:80", "127.0.0.1"].iter().all(|host| is_ours(host, 80)));
        assert!(!["evil", "localhost:8080", ""].iter().any(|host| is_ours(host, 80)));
    }

    #[test]
    fn progress_tells_what_is_done_at_work_and_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let cost = Cost { steps: 10, ..Cost::default() };
        let first = Stage::new("first", 1, ()).run(|_| Ok(()));
        let second = Stage::new("second", 1, ()).cost(cost).input("x", &first).run(|run| {
            run.metrics(0)?.append(4, &serde_json::json!({ "loss": 1.0 }))?;
            anyhow::bail!("a < b")
        });
        let third = Stage::new("third", 1, ()).input("x", &second).run(|_| Ok(()));
        let plan = Plan::new([&third]);
        let before = state(&plan, dir.path());
        let provenance = crate::manifest::Provenance::of_this_process("test".into(), "1", crate::Build::default());
        let runner = crate::Runner::new(dir.path().to_owned(), provenance, Arc::default());
        runner.style(crate::progress::Style::None).run(&plan).unwrap();
        assert_ne!(before, state(&plan, dir.path()));
        let html = progress(&plan, dir.path()).unwrap();
        assert!(html.contains("1 of 3 stages done"), "{html}");
        assert!(html.contains("4 of 10") && html.contains(": failed") && html.contains("a &lt; b"), "{html}");
        assert!(html.contains(&format!("<li>{}: to do", third.name())), "{html}");
    }

    #[test]
    fn a_request_is_read_up_to_its_empty_line_and_no_further_than_its_bound() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: localhost:1\r\n\r\nbody").unwrap();
        let (server, _) = listener.accept().unwrap();
        assert_eq!(request(&server, PATIENCE).unwrap(), ["GET / HTTP/1.1", "Host: localhost:1"]);
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let writer = std::thread::spawn(move || client.write_all(&vec![b'x'; 1 << 20]));
        assert_eq!(request(&server, PATIENCE).unwrap()[0].len(), REQUEST as usize);
        drop(server);
        let _ = writer.join().unwrap();
    }

    #[test]
    fn a_request_that_comes_byte_by_byte_is_not_waited_for() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let writer = thread::spawn(move || {
            // For two seconds; each byte comes long before the patience is at its end.
            for _ in 0..100 {
                if client.write_all(b"x").is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
        let begun = Instant::now();
        request(&server, Duration::from_millis(300)).unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        drop(server);
        writer.join().unwrap();
    }
}
