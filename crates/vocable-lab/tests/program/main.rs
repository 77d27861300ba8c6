//! The example program as a user runs it: whole processes, killed, interrupted, in competition and with mistakes.

mod live;
mod provenance;
mod schedule;
mod seeds;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Sixty slow steps, a checkpoint every ten: enough time to be stopped in the middle.
const SLOW: [&str; 4] = ["run", "warm", "grind.steps=60", "grind.milliseconds=20"];

/// The example program in a directory of its own.
struct Coffee {
    dir: TempDir,
}

impl Coffee {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn command(&self, args: &[&str]) -> Command {
        // Cargo builds examples with the tests, beside the directory of the test programs.
        let program = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples/coffee");
        assert!(program.exists(), "build it first: cargo build -p vocable-lab --example coffee");
        let mut command = Command::new(program);
        command.current_dir(&self.dir).args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command(args).output().unwrap())
    }

    /// Starts the slow run and waits until its first checkpoint is there.
    fn start_slow(&self) -> Child {
        self.start_slow_with(&[])
    }

    fn start_slow_with(&self, options: &[&str]) -> Child {
        let child = self.command(&[&SLOW, options].concat()).spawn().unwrap();
        let begun = Instant::now();
        while !self.stages("grind").iter().any(|dir| dir.join("checkpoints/step.json").exists()) {
            assert!(begun.elapsed() < Duration::from_secs(30), "no checkpoint appeared");
            sleep(Duration::from_millis(5));
        }
        child
    }

    fn stages(&self, kind: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path().join("runs/stages")).into_iter().flatten();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(kind)).collect()
    }

    fn only_stage(&self, kind: &str) -> PathBuf {
        let [dir] = self.stages(kind).try_into().expect("one stage of this kind");
        dir
    }

    fn record(&self, name: &str) -> Value {
        json(&self.dir.path().join("runs/tables").join(name))
    }
}

struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn says(self, words: &str) -> Self {
        assert!(self.out.contains(words) || self.err.contains(words), "{words}?\n{}\n{}", self.out, self.err);
        self
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// After which step each run of the grinding stage started.
fn starts(grind: &Path) -> Vec<u64> {
    let log = fs::read_to_string(grind.join("log.txt")).unwrap();
    log.lines().filter_map(|line| line.split("starting after step ").nth(1)).map(|n| n.parse().unwrap()).collect()
}

#[test]
fn a_killed_run_continues_and_ends_like_one_that_was_not() {
    let (killed, whole) = (Coffee::new(), Coffee::new());
    let mut child = killed.start_slow();
    child.kill().unwrap();
    child.wait().unwrap();
    let grind = killed.only_stage("grind");
    let before = json(&grind.join("manifest.json"));
    assert_eq!(before["status"], "running");
    assert!(!grind.join("outputs/powder.json").exists());
    killed.run(&["plan", "warm", SLOW[2], SLOW[3]]).ends(0).says("partial");
    let half = grind.join("outputs/.powder.json.1.partial");
    fs::write(&half, "5").unwrap();

    killed.run(&SLOW).ends(0).says("continues");
    whole.run(&SLOW).ends(0);
    assert!(!half.exists(), "what was half written is removed");
    let resumed = starts(&grind);
    assert_eq!((resumed.len(), resumed[0]), (2, 0));
    assert!(resumed[1] >= 10 && resumed[1] < 60, "it resumed after step {}", resumed[1]);
    let after = json(&grind.join("manifest.json"));
    assert_eq!((after["status"].as_str(), after["runs"].as_u64()), (Some("done"), Some(2)));
    assert_eq!(after["started"], before["started"]);
    // The killed run's work counts: 60 steps of 20 ms, of which at most the ten since the checkpoint were repeated.
    assert!(after["wall_seconds"].as_f64().unwrap() >= 1.0, "{}", after["wall_seconds"]);
    for file in ["metrics.jsonl", "outputs/powder.json", "config.toml"] {
        let twin = whole.only_stage("grind").join(file);
        assert_eq!(fs::read_to_string(grind.join(file)).unwrap(), fs::read_to_string(twin).unwrap(), "{file}");
    }
    assert_eq!(killed.record("warm-smoke.json")["rows"], whole.record("warm-smoke.json")["rows"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_says_how_to_continue_and_leaves_a_table_with_empty_cells() {
    let coffee = Coffee::new();
    let child = coffee.start_slow();
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let again = "the same command continues: coffee run warm grind.steps=60 grind.milliseconds=20";
    Run::of(child.wait_with_output().unwrap()).ends(130).says(again);
    let grind = coffee.only_stage("grind");
    assert_eq!(json(&grind.join("manifest.json"))["status"], "interrupted");
    let cell = coffee.record("warm-smoke.json")["rows"][0]["cells"][0].clone();
    assert_eq!((&cell["column"], &cell["value"], &cell["n"]), (&"strength".into(), &Value::Null, &Value::Null));

    coffee.run(&SLOW).ends(0);
    // Interrupted work is saved at the very step, so nothing is repeated.
    let steps = fs::read_to_string(grind.join("metrics.jsonl")).unwrap().lines().count();
    assert_eq!((starts(&grind).len(), steps), (2, 60));
    assert_eq!(coffee.record("warm-smoke.json")["rows"][0]["cells"][0]["n"], 12);
}

#[test]
fn a_second_run_reuses_everything_and_a_change_repeats_only_what_depends_on_it() {
    let coffee = Coffee::new();
    coffee.run(&["run", "warm"]).ends(0).says("5 stages: 0 done before, 5 to run");
    let first = coffee.record("warm-smoke.json");
    coffee.run(&["run", "warm"]).ends(0).says("5 stages: 5 done before, 0 to run");
    assert_eq!(coffee.record("warm-smoke.json"), first);
    coffee.run(&["plan", "warm"]).ends(0).says("5 stages: 5 done");
    // The same powder, other cups: another table of the same name, which is said.
    let replaced = "The file held other numbers before";
    coffee
        .run(&["run", "warm", "brew.temperature=80"])
        .ends(0)
        .says("5 stages: 1 done before, 4 to run")
        .says(replaced);
    let again = coffee.run(&["run", "warm", "brew.temperature=80"]).ends(0).says("5 stages: 5 done before, 0 to run");
    assert!(!again.out.contains(replaced), "{}", again.out);
    assert!(!coffee.run(&["run", "warm", "--name", "mild", "brew.temperature=70"]).ends(0).out.contains(replaced));
    coffee.run(&["run", "warm", "--seed", "2"]).ends(0).says("5 stages: 0 done before, 5 to run");
    assert_eq!(coffee.record("warm-smoke.json")["rows"][0]["cells"][0]["seeds"], serde_json::json!([2]));
    // The other table's first row is the same coffee.
    coffee.run(&["run", "cups"]).ends(1).says("11 stages: 3 done before, 8 to run");
}

#[test]
fn rows_and_columns_can_be_run_one_by_one() {
    let coffee = Coffee::new();
    // Of the coarse coffee's strength nothing else is needed, the failing row among it.
    let coarse = ["run", "cups", "--row", "coarse", "--column", "strength"];
    coffee.run(&coarse).ends(0).says("3 stages: 0 done before, 3 to run");
    let record = coffee.record("cups-smoke.json");
    let value = |row: usize, column: usize| record["rows"][row]["cells"][column]["value"].as_f64();
    let filled = (0..4).flat_map(|row| [value(row, 0).is_some(), value(row, 1).is_some()]);
    assert!(filled.eq([false, false, false, false, false, false, true, false]));
    // The record keeps what ran before.
    coffee.run(&["run", "cups", "--row", "Coffee", "--row", "w/o milk"]).ends(0).says("6 stages: 0 done before");
    assert!(coffee.record("cups-smoke.json")["rows"][3]["cells"][0]["value"].is_f64());
}

#[test]
fn a_failing_stage_costs_only_the_cells_that_need_it() {
    let coffee = Coffee::new();
    let run = coffee.run(&["run", "cups"]).ends(1);
    let failed: Vec<&str> = run.err.lines().filter(|line| line.starts_with("failed: ")).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].ends_with(": water of 20 °C brews nothing"), "{failed:?}");
    let record = coffee.record("cups-smoke.json");
    let value = |row: usize, column: usize| record["rows"][row]["cells"][column]["value"].as_f64();
    let filled: Vec<bool> = (0..4).flat_map(|row| [value(row, 0).is_some(), value(row, 1).is_some()]).collect();
    assert_eq!(filled, [true, true, true, false, false, true, true, true]);
    let reason = record["rows"][2]["cells"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("brew-") && reason.ends_with("failed: water of 20 °C brews nothing"), "{reason}");
    assert_eq!(record["rows"][1]["cells"][1]["reason"], "no milk, no foam");
    // A failed stage is tried again; the others are not.
    coffee.run(&["run", "cups"]).ends(1).says("9 done before, 2 to run");
}

#[test]
fn progress_is_shown_as_asked_for() {
    let run = |style: &str| Coffee::new().run(&["run", "warm", "--progress", style]).ends(0).err;
    assert_eq!(run("none"), "");
    let lines = run("json");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["stages"], &lines[0]["reused"]), (&5.into(), &0.into()));
    let of = |line: &&Value, key: &str| line[key].as_str().is_some_and(|stage| stage.starts_with("grind-"));
    let grind: Vec<&Value> = lines.iter().filter(|line| of(line, "stage")).collect();
    assert!(grind[0]["status"].as_str().unwrap().starts_with("begins"), "{grind:?}");
    let last = grind[grind.len() - 2];
    assert_eq!((&last["done"], &last["total"], &last["message"]), (&20.into(), &20.into(), &"sum 210".into()));
    assert_eq!(last["left"], 0.0);
    let plain = run("plain");
    assert!(plain.contains("] grind-") && plain.contains(": 20/20 steps ("), "{plain}");
    Coffee::new().run(&["run", "warm", "--progress", "loud"]).ends(2).says("[possible values: tui, plain, json, none]");
}

#[test]
fn two_processes_do_not_run_the_same_stage() {
    let coffee = Coffee::new();
    let first = coffee.start_slow();
    let holder = format!("is being run by another process (process {} since ", first.id());
    coffee.run(&SLOW).ends(1).says(&holder);
    Run::of(first.wait_with_output().unwrap()).ends(0);
    assert_eq!(starts(&coffee.only_stage("grind")), [0]);
}

#[cfg(target_os = "linux")]
#[test]
fn there_are_as_many_threads_as_asked_for() {
    let count = |threads: &str| {
        let coffee = Coffee::new();
        let mut child = coffee.start_slow_with(&["--threads", threads]);
        let count = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap().count();
        child.kill().unwrap();
        child.wait().unwrap();
        count
    };
    assert_eq!(count("5"), count("2") + 3);
}

#[test]
fn mistakes_in_the_command_end_with_2_and_say_what_to_do() {
    let coffee = Coffee::new();
    let cases: [(&[&str], &str); 15] = [
        (
            &["run", "warm", "grind.stpes=3"],
            "error: unknown key `grind.stpes`; the nearest valid key is `grind.steps`\n",
        ),
        (&["run", "warm", "beans=x"], "error: unknown key `beans`; the nearest valid key is `grind.beans`\n"),
        (&["run", "warm", "grind.steps=few"], "error: `grind.steps`: invalid type: string \"few\", expected u64\n"),
        (&["run", "warm", "grind=none"], "error: `grind` is not optional, so it cannot be none\n"),
        (&["run", "warm", "=3"], "error: `=3` is not an override; write KEY=VALUE, for example `seed=7`\n"),
        (
            &["run", "warm", "brew.milk=none", "brew.milk.share=0.1"],
            "error: cannot set `brew.milk.share`: `brew.milk` is none",
        ),
        (
            &["run", "warm", "brew.temperature=99"],
            "error: row \"hotter\" of table `warm` is invalid\n  because `brew.temperature` = 102 is out of range: must be from 0 to 100 °C\n",
        ),
        (&["run", "wram"], "error: unknown table `wram`; valid: cups, warm\n"),
        (&["plan", "warm", "--row", "colder"], "error: unknown row `colder`; valid: Coffee, hotter\n"),
        (&["run"], "error: say which table: cups, warm\n"),
        (&["run", "warm", "--threads", "0"], "invalid value '0' for '--threads <N>'"),
        (&["run", "warm", "--name", "a/b"], "letters, digits, spaces, `-`, `_` and `.` make a name"),
        (&["run", "warm", "--scale", "huge"], "unknown scale `huge`; valid: smoke, mini, base"),
        (&["run", "warm", "--patch", "missing.toml"], "error: patch file missing.toml: No such file"),
        (&["report"], "error: nothing has run yet under runs/tables; `coffee run TABLE` does it\n"),
    ];
    for (args, message) in cases {
        let run = coffee.run(args).ends(2);
        assert!(run.err.contains(message), "{args:?} said: {}", run.err);
    }
    assert!(!coffee.dir.path().join("runs").exists(), "a mistake leaves nothing behind");
}

#[test]
fn settings_come_from_patches_options_and_overrides_in_this_order() {
    let coffee = Coffee::new();
    let patch = "[grind]\nsteps = 30\nbeans = \"robusta\"\n[brew]\nmilk = \"none\"\n";
    fs::write(coffee.dir.path().join("patch.toml"), patch).unwrap();
    let args = ["run", "warm", "--dry-run", "--patch", "patch.toml", "--beans", "7", "grind.steps=40"];
    let expected = "\
# warm, scale smoke: Coffee

seed = 1

[grind]
beans = \"7\"
steps = 40
milliseconds = 5

[brew]
temperature = 93.0
milk = \"none\"
";
    let run = coffee.run(&args).ends(0).says("5 stages: 0 done");
    assert!(run.out.starts_with(expected), "{}", run.out);
    assert!(!coffee.dir.path().join("runs").exists(), "a dry run leaves nothing behind");
    let run = coffee.run(&["show", "cups", "brew.milk=none"]).ends(0);
    assert!(
        run.out.contains("w/o milk\n  the base as it is\n\nw/o heat\n  brew.temperature: 93.0 → 20.0\n"),
        "{}",
        run.out
    );
    coffee.run(&["list"]).ends(0).says("warm  Coffees that can be drunk (2 rows, 1 column)\n");
}

#[test]
fn reports_show_paper_and_ours_and_do_not_change_by_themselves() {
    let coffee = Coffee::new();
    coffee.run(&["report", "cups"]).ends(0).says("undrinkable").says("Not run yet.");
    coffee.run(&["run", "cups"]).ends(1);
    coffee.run(&["run", "cups", "--name", "robusta", "--beans", "robusta"]).ends(1);
    coffee.run(&["report", "cups", "--markdown", "a.md"]).ends(0);
    coffee.run(&["report", "--markdown", "b.md"]).ends(0);
    let read = |name| fs::read_to_string(coffee.dir.path().join(name)).unwrap();
    let markdown = read("a.md");
    assert_eq!(markdown, read("b.md"));
    let table = "\
## cups: What each part of a coffee contributes (scale smoke)

|  | strength, mg ↑ paper | strength, mg ↑ ours | foam, cm ↑ ours |
| --- | ---: | ---: | ---: |
| Coffee | 160.0 | 168.0 [167.8, 168.2] | 2.50 |
| w/o milk | 200.0 | 210.0 [209.8, 210.2]* | —¹ |
| w/o heat | undrinkable | —² | 2.50 |
| coarse (ours) | — | 44.0 [43.8, 44.2]* | 2.50 |
| tea | 47.0 | — (external) | — (external) |

- ¹ no milk, no foam
";
    assert!(markdown.starts_with(table), "{markdown}");
    for line in [
        "- paper: as printed in A. Barista 2022, table 6; ours: measured here. (ours): a row that the paper does not have. \
         (external): work of others, which nothing here can run.",
        " *: differs from Coffee (paired bootstrap over what the brackets are over, of the seeds that both have, p < 0.05; \
         not corrected for the number of rows and columns).",
        "- Beans: arabica, invented.\n- N: strength 12; foam 3.\n- Seeds: 1.\n- Command: `coffee run cups`\n",
        "## cups: What each part of a coffee contributes (scale smoke, robusta)\n",
        "- Beans: robusta, invented.\n",
        " for 9 stages, on ",
    ] {
        assert!(markdown.contains(line), "{line}?\n{markdown}");
    }
    coffee.run(&["report", "cups", "--html", "a.html"]).ends(0).says("a.html");
    let page = read("a.html");
    for part in [
        "<b>168.0</b> <small>",
        "<b>210.0</b> <small>[209.8, 210.2]</small>",
        "<td data-value=\"\">—¹</td>",
        "<li>¹ no milk, no foam</li>",
        "<button type=\"button\" data-sort aria-label=\"paper, strength\">paper</button>",
        "<th scope=\"row\">w/o milk</th>\n<td>strength</td>\n<td>210.0</td>\n<td>1: 210.0</td>\n<td>12</td>\n\
         <td></td>\n<td>[209.8, 210.2]</td>\n<td>6</td>\n",
        "<th scope=\"row\">tea <small>(external)</small></th>",
        "<summary>Curves of grind</summary>",
        "aria-label=\"grind: sum\"",
        "<dt>w/o heat</dt>\n<dd><code>brew.temperature: 93.0 → 20.0</code></dd>",
        "<pre tabindex=\"0\">at 93 °C, &lt;strong&gt;\n</pre><figcaption>brew: aroma</figcaption>",
        "<li>Command: <code>coffee run cups</code></li>",
    ] {
        assert!(page.contains(part), "{part}?\n{page}");
    }
    // Sections, tables and lists are told from each other by their names.
    let names: Vec<&str> =
        page.split("role=\"region\" aria-label=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), 4, "{names:?}");
    assert!(page.contains("<td>&lt; 0.001</td>"), "a p-value below a thousandth");
    coffee.run(&["report", "cups", "--html", "a.html", "--exhibits", "0"]).ends(0);
    assert!(!read("a.html").contains("<pre"), "no exhibits were asked for");
    for nameless in [["--html", "."], ["--html", "/"], ["--markdown", ".."]] {
        coffee.run(&[&["report", "cups"][..], &nameless].concat()).ends(1).says("it is a folder");
    }
    // What a row changes is what it changed when it was measured.
    coffee.run(&["run", "cups", "--name", "cold", "brew.temperature=20"]).ends(1);
    coffee.run(&["report", "cups", "--name", "cold", "--html", "a.html"]).ends(0);
    let changed =
        "<dt>w/o heat</dt>\n<dd>the base as it is</dd>\n<dt>coarse</dt>\n<dd><code>grind.steps: 20 → 10</code></dd>";
    assert!(read("a.html").contains(changed), "{}", read("a.html"));
    let only = coffee.run(&["report", "cups", "--name", "robusta"]).ends(0);
    assert!(!only.out.contains("arabica"), "{}", only.out);
}
