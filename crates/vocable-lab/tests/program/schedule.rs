//! Several stages at a time, single stages, and plans as scripts.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Coffee;

/// Two seeds of sixty slow steps each, for which nothing needs the other.
const TWO: [&str; 6] = ["run", "warm", "grind.steps=60", "grind.milliseconds=20", "--seeds", "2"];

#[test]
fn jobs_work_side_by_side_and_come_to_the_same() {
    let (one, two) = (Coffee::new(), Coffee::new());
    let time = |coffee: &Coffee, jobs: &str| {
        let begun = Instant::now();
        coffee.run(&[&TWO[..], &["--jobs", jobs]].concat()).ends(0).says("10 stages: 0 done before, 10 to run");
        begun.elapsed().as_secs_f64()
    };
    let (alone, together) = (time(&one, "1"), time(&two, "2"));
    // Its two grinds sleep for 1.2 s each.
    assert!(alone > 2.4 && together < 0.8 * alone, "{alone} s one by one, {together} s two at a time");
    assert_eq!(one.record("warm-smoke.json")["rows"], two.record("warm-smoke.json")["rows"]);
}

#[test]
fn a_failure_among_jobs_costs_only_what_needs_it() {
    let coffee = Coffee::new();
    let run = coffee.run(&["run", "cups", "--jobs", "3"]).ends(1);
    let failed: Vec<&str> = run.err.lines().filter(|line| line.starts_with("failed: ")).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    let record = coffee.record("cups-smoke.json");
    let filled = (0..4).map(|row| record["rows"][row]["cells"][0]["value"].is_f64());
    assert!(filled.eq([true, true, false, true]));
}

#[cfg(unix)]
#[test]
fn an_interrupt_stops_all_jobs_where_they_are() {
    let coffee = Coffee::new();
    let child = coffee.start_slow_with(&["--seeds", "2", "--jobs", "2"]);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    super::Run::of(child.wait_with_output().unwrap()).ends(130).says("the same command continues");
    coffee.run(&[&TWO[..], &["--jobs", "2"]].concat()).ends(0);
    let grinds = coffee.stages("grind");
    assert_eq!(grinds.len(), 2);
    for grind in grinds {
        // Saved at the very step: no step is there twice.
        assert_eq!(fs::read_to_string(grind.join("metrics.jsonl")).unwrap().lines().count(), 60);
    }
}

#[test]
fn a_run_goes_on_when_nobody_listens_any_more() {
    for options in [&[][..], &["--jobs", "2"], &["--progress", "json"]] {
        let coffee = Coffee::new();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child =
            coffee.command(&[&["run", "warm", "--seeds", "2"], options].concat()).stderr(writer).spawn().unwrap();
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > Duration::from_secs(60) {
                child.kill().unwrap();
                panic!("{options:?}: it does not end");
            }
            sleep(Duration::from_millis(20));
        }
        super::Run::of(child.wait_with_output().unwrap()).ends(0).says("Coffees that can be drunk");
    }
}

#[test]
fn one_stage_of_a_plan_can_be_run() {
    let coffee = Coffee::new();
    coffee.run(&["run", "warm", "--stage", "brew-0"]).ends(2);
    assert!(!coffee.dir.path().join("runs").exists(), "a mistake leaves nothing");
    let plan = coffee.run(&["plan", "warm"]).ends(0).out;
    let name = |kind: &str| plan.split_whitespace().find(|word| word.starts_with(kind)).unwrap().to_owned();
    let run = coffee.run(&["run", "warm", "--stage", &name("brew-")]).ends(0).says("2 stages: 0 done before");
    assert!(run.out.is_empty(), "no table is printed: {}", run.out);
    assert!(coffee.stages("taste").is_empty() && coffee.stages("brew").len() == 1);
    // The table that it is for has no number yet; what it has done is the table's all the same.
    assert_eq!(coffee.record("warm-smoke.json")["command"], "coffee run warm");
    coffee.run(&["gc", "--remove"]).ends(0).says("removed 0 stages");
    coffee.run(&["run", "warm", "--stage", "brew-0"]).ends(2).says("unknown stage `brew-0`; valid: grind-");
}

#[test]
fn a_script_runs_the_plan() {
    let coffee = Coffee::new();
    let script = coffee.run(&["plan", "warm", "--export", "shell", "grind.steps=10"]).ends(0).out;
    assert_eq!(script.lines().filter(|line| line.contains("--stage ")).count(), 5, "{script}");
    assert!(script.ends_with("coffee run warm grind.steps=10\n"), "{script}");
    // As somebody would run it who has the program in the path.
    fs::write(coffee.dir.path().join("all.sh"), &script).unwrap();
    let program = coffee.command(&[]).get_program().to_owned();
    let path = std::path::Path::new(&program).parent().unwrap().to_owned();
    let shell = Command::new("/bin/sh").arg("all.sh").current_dir(&coffee.dir).env("PATH", path).output().unwrap();
    assert!(shell.status.success(), "{}", String::from_utf8_lossy(&shell.stderr));
    assert!(coffee.record("warm-smoke.json")["rows"][1]["cells"][0]["value"].is_f64());
    let script = coffee.run(&["plan", "warm", "--export=shell", "grind.steps=10"]).ends(0).out;
    assert_eq!(script, "#!/bin/sh\nset -eu\ncoffee run warm grind.steps=10\n", "what is done is left out");
}

#[cfg(unix)]
#[test]
fn a_script_goes_on_where_a_stage_fails_and_stops_where_it_is_interrupted() {
    use std::os::unix::fs::PermissionsExt;
    let coffee = Coffee::new();
    let script = coffee.run(&["plan", "cups", "--export", "shell"]).ends(0).out;
    fs::write(coffee.dir.path().join("all.sh"), &script).unwrap();
    let program = coffee.command(&[]).get_program().to_owned();
    let programs = std::path::Path::new(&program).parent().unwrap().display().to_string();
    let run = |path: &str| {
        let mut shell = Command::new("/bin/sh");
        shell.arg("all.sh").current_dir(&coffee.dir).env("PATH", format!("{path}:/usr/bin:/bin"));
        super::Run::of(shell.output().unwrap())
    };
    let ended = run(&programs).ends(1);
    // The cold coffee is brewed in vain by its own line and by the last command, and nobody tries to taste it before that.
    assert_eq!(ended.err.matches("of 20 °C brews nothing").count() / 2, 2, "{}", ended.err);
    let values = |row: usize| coffee.record("cups-smoke.json")["rows"][row]["cells"][0]["value"].is_f64();
    assert_eq!([0, 1, 2, 3].map(values), [true, true, false, true]);

    // A stand-in for the program that is interrupted at its second stage.
    let stand_in = "#!/bin/sh\necho \"$*\" >> calls\n[ $(wc -l < calls) -lt 2 ] || exit 130\n";
    fs::write(coffee.dir.path().join("coffee"), stand_in).unwrap();
    fs::set_permissions(coffee.dir.path().join("coffee"), fs::Permissions::from_mode(0o755)).unwrap();
    run(&coffee.dir.path().display().to_string()).ends(130);
    assert_eq!(fs::read_to_string(coffee.dir.path().join("calls")).unwrap().lines().count(), 2);
}

/// Slurm is not here: a stand-in for `sbatch` writes down what it is given and runs it.
#[cfg(unix)]
#[test]
fn jobs_of_a_cluster_wait_for_what_they_need() {
    use std::os::unix::fs::PermissionsExt;
    let coffee = Coffee::new();
    // What a shell would make something else of.
    let beans = r#"it's $HOME "\$HOME" `id` \"#;
    let script = coffee.run(&["plan", "warm", "--export", "slurm", "--beans", beans]).ends(0).out;
    assert!(!script.contains("--time"), "SBATCH_TIMELIMIT is what counts: {script}");
    let sbatch = coffee.dir.path().join("sbatch");
    let stand_in = "#!/bin/sh\nprintf '%s\\n' \"$*\" >> jobs\nfor last; do :; done\nsh -c \"${last#--wrap=}\" >> out 2>&1\nwc -l < jobs\n";
    fs::write(&sbatch, stand_in).unwrap();
    fs::set_permissions(&sbatch, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(coffee.dir.path().join("submit.sh"), &script).unwrap();
    let program = coffee.command(&[]).get_program().to_owned();
    let programs = std::path::Path::new(&program).parent().unwrap().display().to_string();
    let path = format!("{}:{programs}:/usr/bin:/bin", coffee.dir.path().display());
    let read = Command::new("bash").args(["-n", "submit.sh"]).current_dir(&coffee.dir).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let shell = Command::new("sh").arg("submit.sh").current_dir(&coffee.dir).env("PATH", path).output().unwrap();
    assert!(shell.status.success(), "{}", String::from_utf8_lossy(&shell.stderr));
    let jobs = fs::read_to_string(coffee.dir.path().join("jobs")).unwrap();
    let jobs: Vec<&str> = jobs.lines().collect();
    assert_eq!(jobs.len(), 6, "{jobs:?}");
    assert!(jobs[0].contains("--job-name=grind-") && !jobs[0].contains("--dependency"), "{jobs:?}");
    assert!(jobs[1].contains("--job-name=brew-") && jobs[1].contains("--dependency=afterok:1 "), "{jobs:?}");
    assert!(jobs[5].contains("--dependency=afterok:1:2:3:4:5 "), "{jobs:?}");
    let config = fs::read_to_string(coffee.only_stage("grind").join("config.toml")).unwrap();
    assert_eq!(config.parse::<toml::Table>().unwrap()["config"][0]["beans"].as_str(), Some(beans), "{config}");
    assert!(coffee.record("warm-smoke.json")["rows"][1]["cells"][0]["value"].is_f64());
}
