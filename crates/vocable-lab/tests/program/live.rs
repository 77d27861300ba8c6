//! A run under way, watched over the loopback interface.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::{Coffee, Run};

struct Watch {
    process: Child,
    port: u16,
}

impl Watch {
    fn start(coffee: &Coffee, args: &[&str]) -> Self {
        let mut process = coffee.command(args).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let port = line.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.split_once('/'));
        Self { process, port: port.unwrap_or_else(|| panic!("{line}")).0.parse().unwrap() }
    }

    fn ask(&self, request: &str, host: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "{request} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str) -> String {
        let answer = self.ask(&format!("GET {path}"), &format!("127.0.0.1:{}", self.port));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        body.to_owned()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_run_is_watched_from_before_its_beginning_to_its_end() {
    let coffee = Coffee::new();
    let watch = Watch::start(&coffee, &["watch", "warm", "grind.steps=60", "grind.milliseconds=20"]);
    let (page, before) = (watch.get("/"), watch.get("/state"));
    assert!(page.contains(&format!("data-state=\"{before}\"")), "a page says what it is of: {page}");
    assert!(page.contains("0 of ") && page.contains("to do, about") && page.contains("Not run yet"), "{page}");

    let child = coffee.start_slow();
    let (page, during) = (watch.get("/"), watch.get("/state"));
    assert_ne!(before, during);
    assert!(page.contains("at work") && page.contains("<progress max=\"60\""), "{page}");
    assert!(page.contains("Curves of grind"), "a curve that grows is shown");
    Run::of(child.wait_with_output().unwrap()).ends(0);

    assert_ne!(during, watch.get("/state"));
    let page = watch.get("/");
    assert!(!page.contains("at work") && !page.contains("has not run") && !page.contains("Not run yet"), "{page}");
}

#[test]
fn a_page_that_cannot_be_made_says_why_and_comes_again() {
    let coffee = Coffee::new();
    coffee.run(&["run", "warm"]).ends(0);
    // All that `run` takes.
    let watch = Watch::start(
        &coffee,
        &["watch", "warm", "--name", "dark", "--jobs", "2", "--threads", "1", "--progress", "json"],
    );
    assert!(watch.get("/").contains("Coffees that can be drunk (scale smoke, dark)</h2>"));
    let manifest = coffee.only_stage("grind").join("manifest.json");
    let whole = fs::read(&manifest).unwrap();
    fs::write(&manifest, "{").unwrap();
    let answer = watch.ask("GET /", &format!("127.0.0.1:{}", watch.port));
    assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("Content-Type: text/html"), "{answer}");
    for part in ["manifest.json is damaged", "data-state=\"error\"", "role=\"status\"", "location.reload()"] {
        assert!(answer.contains(part), "{part}? {answer}");
    }
    fs::write(&manifest, whole).unwrap();
    assert!(watch.get("/").contains("5 of 5 stages done"));
}

#[test]
fn who_connects_and_asks_nothing_keeps_nobody_waiting() {
    let coffee = Coffee::new();
    let watch = Watch::start(&coffee, &["watch", "warm"]);
    let idle: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(("127.0.0.1", watch.port)).unwrap()).collect();
    let begun = Instant::now();
    watch.get("/");
    // It is given ten seconds.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    drop(idle);
}

#[test]
fn only_this_machine_reads_the_page() {
    let coffee = Coffee::new();
    let watch = Watch::start(&coffee, &["watch", "cups", "warm"]);
    let local = format!("localhost:{}", watch.port);
    assert!(watch.ask("GET /", &local).starts_with("HTTP/1.1 200"));
    // A page from elsewhere whose name was pointed to this machine.
    for host in ["evil.example", "127.0.0.1:1", ""] {
        assert!(watch.ask("GET /", host).starts_with("HTTP/1.1 403"), "{host}");
    }
    assert!(watch.ask("POST /", &local).starts_with("HTTP/1.1 405"));
    for path in ["/runs", "/../../etc/passwd", "//"] {
        assert!(watch.ask(&format!("GET {path}"), &local).starts_with("HTTP/1.1 404"), "{path}");
    }
    let listeners = Command::new("cat").args(["/proc/net/tcp", "/proc/net/tcp6"]).output().unwrap().stdout;
    let port = format!(":{:04X} ", watch.port);
    let listening: Vec<String> = String::from_utf8_lossy(&listeners)
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1).map(|local| format!("{local} ")))
        .filter(|local| local.ends_with(&port))
        .collect();
    assert!(!listening.is_empty() && listening.iter().all(|local| local.starts_with("0100007F:")), "{listening:?}");

    let taken = watch.port.to_string();
    coffee.run(&["watch", "warm", "--port", &taken]).ends(2).says(&format!("cannot listen on port {taken}"));
}
