//! A report in headless Chromium (`CHROMIUM`, or `chromium` of the path): everything on it loads and works.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn chromium(page: &Path, options: &[&str]) -> Output {
    let program = std::env::var_os("CHROMIUM").unwrap_or_else(|| "chromium".into());
    let mut command = Command::new(&program);
    // Root has no sandbox; there is nothing on the page but our own.
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--mute-audio"]);
    command.args(["--autoplay-policy=no-user-gesture-required", "--enable-logging=stderr"]);
    command.args(options).arg(format!("file://{}", page.display()));
    command.output().unwrap_or_else(|error| panic!("{}: {error}; Debian's package is `chromium`", program.display()))
}

/// The page with a script that uses it before all others, beside it.
fn with_script(html: &str, script: &str, dir: &Path) -> PathBuf {
    let path = dir.join("probed.html");
    fs::write(&path, html.replacen("</head>", &format!("<script>\n{script}</script>\n</head>"), 1)).unwrap();
    path
}

/// What the script wrote down.
fn answer(output: &Output) -> Value {
    let dom = String::from_utf8_lossy(&output.stdout);
    let found = dom.split_once("<pre id=\"probe\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let found = found.unwrap_or_else(|| panic!("no answer\n{}", String::from_utf8_lossy(&output.stderr)));
    serde_json::from_str(&found.0.replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&")).unwrap()
}

#[test]
fn a_report_loads_plays_sorts_and_filters() {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report.html");
    for args in [
        vec!["run", "vc", "ablation", "--scale", "smoke", "--seeds", "2"],
        vec!["report", "--html", report.to_str().unwrap()],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_speecht5")).args(args).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let html = fs::read_to_string(&report).unwrap();
    assert!(!html.contains("http://") && !html.contains("https://"), "the page asks for nothing from elsewhere");

    let probed = with_script(&html, include_str!("chromium/probe.js"), dir.path());
    let output = chromium(&probed, &["--dump-dom", "--timeout=60000", "--virtual-time-budget=30000"]);
    let found = answer(&output);
    assert_eq!(found["errors"], serde_json::json!([]), "{found}");
    let number = |key: &str| found[key].as_u64().unwrap_or_else(|| panic!("{key}: {found}"));
    assert!(number("images") >= 3 && number("broken") == 0, "{found}");
    assert!(number("sounds") >= 3 && number("playable") == number("sounds"), "{found}");
    assert!(number("charts") >= 10, "{found}");
    assert_eq!(found["sorted"], "ascending then descending", "{found}");
    assert_eq!(found["filtered"], serde_json::json!(["w/o text PT"]), "{found}");
    assert_eq!(found["unnamed"], serde_json::json!([]), "controls and pictures without a name: {found}");
    let console = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = console.lines().filter(|line| line.contains("CONSOLE") && line.contains("rror")).collect();
    assert!(errors.is_empty(), "{errors:?}");

    // On a phone nothing but tables is wider than the page.
    let output =
        chromium(&probed, &["--dump-dom", "--timeout=60000", "--virtual-time-budget=30000", "--window-size=390,844"]);
    let dom = String::from_utf8_lossy(&output.stdout);
    assert!(dom.contains("\"overflows\":false"), "the page is wider than a phone");
}

#[test]
fn a_page_under_way_comes_again_as_it_was_left() {
    let dir = tempfile::tempdir().unwrap();
    let mut watch = Command::new(env!("CARGO_BIN_EXE_speecht5"));
    watch.args(["watch", "vc", "--scale", "smoke"]).current_dir(dir.path()).stdout(Stdio::piped());
    let mut watch = watch.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(watch.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let host = line.strip_prefix("http://").and_then(|rest| rest.split_once('/')).unwrap().0;
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    watch.kill().unwrap();
    watch.wait().unwrap();

    let (_, html) = page.split_once("\r\n\r\n").unwrap();
    let probed = with_script(html, include_str!("chromium/reader.js"), dir.path());
    let found = answer(&chromium(&probed, &["--dump-dom", "--timeout=60000", "--virtual-time-budget=30000"]));
    let expected = serde_json::json!({
        "typed": "undisturbed", "filter": "NO pre", "filtered": ["no pre-training (ours)"],
        "sorted": "descending",
        "unfolded": true, "focused": true,
    });
    assert_eq!(found, expected);
}
