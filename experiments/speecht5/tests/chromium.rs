//! A report in headless Chromium (`CHROMIUM`, or `chromium` of the path): everything on it loads and works.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

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

    // The page with a script that uses it and writes down what happened.
    let probed = dir.path().join("probed.html");
    let probe = format!("<script>\n{}</script>\n</head>", include_str!("chromium/probe.js"));
    fs::write(&probed, html.replacen("</head>", &probe, 1)).unwrap();
    let output = chromium(&probed, &["--dump-dom", "--timeout=60000", "--virtual-time-budget=30000"]);
    let dom = String::from_utf8_lossy(&output.stdout);
    let found = dom.split_once("<pre id=\"probe\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let found = found.unwrap_or_else(|| panic!("no answer\n{}", String::from_utf8_lossy(&output.stderr)));
    let found: Value =
        serde_json::from_str(&found.0.replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&")).unwrap();
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
