//! Where numbers come from, whether they are what they say, and what nobody needs.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Coffee;

#[test]
fn a_cell_is_traced_to_its_settings() {
    let coffee = Coffee::new();
    coffee
        .run(&["trace", "cups", "Coffee", "strength"])
        .ends(2)
        .says("no cell \"Coffee\", \"strength\" in runs/tables/cups-smoke.json")
        .says("names: none");
    coffee.run(&["run", "cups", "--row", "Coffee", "--column", "strength"]).ends(0);
    let trace = coffee.run(&["trace", "cups", "Coffee", "strength"]).ends(0).out;
    let stages: Vec<&str> = trace.lines().filter(|line| !line.starts_with("     ")).map(str::trim).collect();
    assert!(stages[0].starts_with("cups, Coffee, strength, scale smoke: 16"), "{trace}");
    let starts = ["taste-", "cup: brew-", "powder: grind-"];
    let found = |start: &&str| stages.iter().any(|stage| stage.starts_with(start));
    assert!(starts.iter().all(found), "{trace}");
    for words in ["command: coffee run cups --row Coffee", "beans = \"arabica\"", "outputs: powder.json", "identity: "]
    {
        assert!(trace.contains(words), "{words}?\n{trace}");
    }
    coffee.run(&["trace", "cups", "Coffee", "bitterness"]).ends(2).says("columns: strength, foam");
    let name = coffee.only_stage("brew").file_name().unwrap().to_string_lossy().into_owned();
    let of_stage = coffee.run(&["trace", &name]).ends(0).out;
    assert!(of_stage.starts_with(&name) && !of_stage.contains("taste-"), "{of_stage}");
    for no_stage in ["cups", &format!("runs/stages/{name}")] {
        coffee.run(&["trace", no_stage]).ends(2).says("or the name of a stage in runs/stages");
    }
    fs::remove_dir_all(coffee.only_stage("grind")).unwrap();
    coffee.run(&["trace", &name]).ends(1).says("has no manifest; run the table again");
    // Why a cell is empty is known.
    coffee.run(&["run", "cups", "--row", "w/o milk", "--column", "foam"]).ends(0);
    coffee.run(&["trace", "cups", "w/o milk", "foam"]).ends(0).says("scale smoke: no number (no milk, no foam)\n");
    // Other numbers of the table are told from these by their name alone.
    coffee.run(&["run", "warm", "--name", "robusta", "--beans", "robusta"]).ends(0);
    coffee.run(&["trace", "warm", "Coffee", "strength"]).ends(2).says("names: robusta");
    coffee.run(&["trace", "warm", "Coffee", "strength", "--name", "robusta"]).ends(0).says("beans = \"robusta\"");
}

#[test]
fn a_score_that_is_not_what_its_inputs_say_is_found() {
    let coffee = Coffee::new();
    coffee.run(&["verify", "warm"]).ends(1).says("has not run").says("0 of 2 stages match");
    coffee.run(&["run", "warm"]).ends(0);
    coffee.run(&["verify", "warm"]).ends(0).says("2 of 2 stages match");
    let scores = coffee.stages("taste")[0].join("outputs/scores.json");
    let text = fs::read_to_string(&scores).unwrap();
    fs::write(&scores, text.replacen("168", "169", 1).replacen("167.9", "169.9", 1)).unwrap();
    assert_ne!(fs::read_to_string(&scores).unwrap(), text, "the score was to be altered");
    let run = coffee.run(&["verify", "warm"]).ends(1).says("DIFFERS").says("1 of 2 stages match");
    assert!(run.out.contains("stored:   strength 169"), "{}", run.out);
    // The same value with another interval is another score.
    fs::write(&scores, text.replacen("\"interval\": [\n      1", "\"interval\": [\n      2", 1)).unwrap();
    assert_ne!(fs::read_to_string(&scores).unwrap(), text, "the interval was to be altered: {text}");
    let run = coffee.run(&["verify", "warm"]).ends(1).says("DIFFERS");
    let line = |start: &str| run.out.lines().find_map(|line| line.trim().strip_prefix(start)).unwrap().trim();
    assert_ne!(line("stored:"), line("computed:"));
    // Inputs that cannot be read are no match either.
    let brew = coffee.stages("brew")[0].clone();
    fs::write(brew.join("outputs/cup.json"), "tea").unwrap();
    coffee.run(&["verify", "warm"]).ends(1).says("cannot be computed again");
    // Where outputs were left out on purpose, nothing is wrong.
    fs::write(&scores, &text).unwrap();
    let manifest = brew.join("manifest.json");
    let whole = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, whole.replacen('{', "{\"left_out\": [\"cup.json\"],", 1)).unwrap();
    coffee.run(&["verify", "warm"]).ends(0).says("cannot be computed from an archive").says("1 of 2 stages match");
    let left = fs::read_dir(coffee.dir.path().join("runs")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut left: Vec<String> = left.map(|name| name.to_string_lossy().into_owned()).collect();
    left.sort();
    assert_eq!(left, ["lock", "stages", "tables"], "nothing is left of the second computation");
}

#[test]
fn a_table_that_is_not_what_its_scores_say_is_found() {
    let coffee = Coffee::new();
    coffee.run(&["run", "warm", "--seeds", "2"]).ends(0);
    coffee.run(&["run", "warm", "--name", "mild", "brew.temperature=70"]).ends(0);
    let verify = ["verify", "warm", "--seeds", "2"];
    coffee
        .run(&verify)
        .ends(0)
        .says("runs/tables/warm-smoke.json: 2 of 2 numbers match their scores")
        .says("runs/tables/warm-smoke-mild.json: 2 of 2 numbers match their scores");
    let path = coffee.dir.path().join("runs/tables/warm-smoke.json");
    let record = coffee.record("warm-smoke.json");
    let alter = |change: fn(&mut serde_json::Value)| {
        let mut altered = record.clone();
        change(&mut altered["rows"][1]["cells"][0]);
        assert_ne!(altered, record);
        fs::write(&path, altered.to_string()).unwrap();
    };
    let changes: [fn(&mut serde_json::Value); 4] = [
        |cell| cell["value"] = 12.5.into(),
        |cell| cell["values"][1] = 12.5.into(),
        |cell| cell["interval"][0] = 12.5.into(),
        |cell| cell["value"] = serde_json::Value::Null,
    ];
    for change in changes {
        alter(change);
        let run = coffee.run(&verify).ends(1).says("4 of 4 stages match").says("1 of 2 numbers match their scores");
        assert!(run.out.contains("  hotter, strength: DIFFERS\n    table:  "), "{}", run.out);
        coffee.run(&["verify", "warm", "--seeds", "2", "--row", "Coffee"]).ends(0).says("1 of 1 number match");
    }
    // Marks hang on this one.
    alter(|cell| cell["p"] = 0.001.into());
    coffee.run(&verify).ends(1).says(", with other counts, speakers or p");
}

#[test]
fn what_no_table_uses_is_shown_and_removed() {
    let coffee = Coffee::new();
    coffee.run(&["run", "warm", "--seed", "2"]).ends(0);
    coffee.run(&["run", "warm"]).ends(0);
    // The table is that of the last run now.
    let run = coffee.run(&["gc"]).ends(0).says("5 stages that no table uses").says("--remove");
    assert_eq!(run.out.lines().filter(|line| line.contains("  done, ")).count(), 5, "{}", run.out);
    coffee.run(&["gc", "--remove"]).ends(0).says("removed 5 stages");
    coffee.run(&["gc"]).ends(0).says("0 stages that no table uses");
    coffee.run(&["run", "warm"]).ends(0).says("5 stages: 5 done before");
    coffee.run(&["verify", "warm"]).ends(0).says("2 of 2 stages match");
    // Without a stage nobody knows what it was made from, which is used as well.
    for brew in coffee.stages("brew") {
        fs::remove_dir_all(brew).unwrap();
    }
    coffee.run(&["verify", "warm"]).ends(1).says("cannot be computed again: runs/stages/brew-").says("has no manifest");
    for command in [&["gc"][..], &["gc", "--remove"]] {
        coffee.run(command).ends(1).says("has no manifest; run the table again");
    }
    assert!(coffee.only_stage("grind").join("outputs/powder.json").exists());
    coffee.run(&["run", "warm"]).ends(0).says("5 stages: 3 done before, 2 to run");
    coffee.run(&["gc", "--remove"]).ends(0).says("removed 0 stages");
}

#[test]
fn what_was_done_for_a_cell_without_a_number_is_not_removed() {
    let coffee = Coffee::new();
    // A row that fails: what it was made of is done all the same.
    coffee.run(&["run", "cups", "--row", "w/o heat"]).ends(1);
    coffee.run(&["gc"]).ends(0).says("0 stages that no table uses");
    // An archive keeps what numbers come from, which this is not.
    coffee.run(&["archive", "--to", "kept"]).ends(0).says("1 table, ");
    let brews = |stages: &str| {
        let entries = fs::read_dir(coffee.dir.path().join(stages)).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("brew-")).count()
    };
    assert_eq!((brews("runs/stages"), brews("kept/stages")), (1, 0));
    coffee.run(&["gc", "--remove", "--runs", "kept"]).ends(0).says("removed 0 stages");
}

#[test]
fn nothing_is_removed_while_a_run_is_at_work() {
    let coffee = Coffee::new();
    let mut child = coffee.start_slow();
    coffee.run(&["gc", "--remove"]).ends(1).says("a run is at work under runs");
    child.kill().unwrap();
    child.wait().unwrap();
    // Nor what it had done when it was killed, though it could not say so any more.
    coffee.run(&["gc", "--remove"]).ends(0).says("removed 0 stages");
    assert!(coffee.only_stage("grind").join("checkpoints/step.json").exists());
}

#[test]
fn a_run_that_was_killed_takes_no_number_from_its_table() {
    let coffee = Coffee::new();
    coffee.run(&["run", "warm"]).ends(0);
    let before = coffee.record("warm-smoke.json");
    let mut child = coffee.start_slow();
    let begun = Instant::now();
    while coffee.stages("grind").len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(30), "no other stage was begun");
        sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let after = coffee.record("warm-smoke.json");
    assert_eq!((&before["rows"], &before["command"]), (&after["rows"], &after["command"]));
    // What either has done is kept: the numbers' five stages, and the one that was begun.
    coffee.run(&["gc", "--remove"]).ends(0).says("removed 0 stages");
    assert_eq!(coffee.stages("grind").len(), 2);
    coffee.run(&["verify", "warm"]).ends(0).says("2 of 2 stages match");
    // A copy of other runs in its place does not know of it.
    coffee.run(&["run", "warm", "--runs", "others"]).ends(0);
    coffee.run(&["archive", "--runs", "others", "--to", "runs"]).ends(0);
    coffee.run(&["gc"]).ends(0).says("0 stages that no table uses");
    // Until the table is another command's, which is said.
    coffee.run(&["run", "warm"]).ends(0).says("The file named 1 stage before that another command has begun.");
    coffee.run(&["gc"]).ends(0).says("1 stage that no table uses");
    // What has only begun elsewhere has nothing to put in its place.
    let numbers = coffee.record("warm-smoke.json");
    let plan = coffee.run(&["plan", "warm"]).ends(0).out;
    let grind = plan.split_whitespace().find(|word| word.starts_with("grind-")).unwrap();
    coffee.run(&["run", "warm", "--runs", "fresh", "--stage", grind]).ends(0);
    coffee.run(&["archive", "--runs", "fresh", "--to", "runs"]).ends(0).says("0 tables, 0 stages");
    assert_eq!(coffee.record("warm-smoke.json"), numbers);
}

#[test]
fn a_stage_that_an_archive_has_all_outputs_of_is_still_one_of_an_archive() {
    let coffee = Coffee::new();
    coffee.run(&["run", "warm", "grind.steps=400"]).ends(0);
    coffee.run(&["archive", "--to", "kept", "--exhibits", "0"]).ends(0).says(" MB; 0 large outputs left out");
    // Curves are thinned there, which is no difference, and its outputs are read as they are.
    let alike = coffee.run(&["diff", "runs", "kept"]).ends(0);
    assert!(!alike.out.contains("→"), "{}", alike.out);
    coffee
        .run(&["run", "warm", "grind.steps=400", "brew.temperature=80", "--runs", "kept"])
        .ends(0)
        .says("1 done before");
    // More of it can be kept later.
    let brew = coffee.stages("brew")[0].file_name().unwrap().to_owned();
    let exhibit = coffee.dir.path().join("kept/stages").join(brew).join("outputs/exhibits/aroma.txt");
    assert!(!exhibit.exists());
    coffee.run(&["archive", "--to", "kept", "--exhibits", "5"]).ends(0);
    assert!(exhibit.exists());
}

#[test]
fn an_archive_tells_what_the_runs_tell() {
    let (coffee, other) = (Coffee::new(), Coffee::new());
    coffee.run(&["run", "warm", "cups"]).ends(1);
    // Weights are too large to keep; scores never are.
    for grind in coffee.stages("grind") {
        fs::write(grind.join("outputs/weights"), vec![0; 300 * 1024]).unwrap();
    }
    for taste in coffee.stages("taste") {
        let parts = taste.join("outputs/parts.json");
        let spaces = " ".repeat(300 * 1024);
        fs::write(&parts, fs::read_to_string(&parts).unwrap() + &spaces).unwrap();
    }
    coffee.run(&["archive", "--to", "kept"]).ends(0).says("kept: 2 tables, ").says(" MB; 2 large outputs left out");
    let kept = coffee.dir.path().join("kept");
    for (name, there) in [("manifest.json", true), ("config.toml", true), ("checkpoints", false)] {
        for stage in fs::read_dir(kept.join("stages")).unwrap() {
            assert_eq!(stage.unwrap().path().join(name).exists(), there, "{name}");
        }
    }
    let told = |command: &[&str], runs: &str| {
        let run = coffee.run(&[command, &["--runs", runs]].concat()).ends(0);
        run.out.replace(&format!("{runs}/"), "")
    };
    for command in [&["report"][..], &["verify", "warm"], &["trace", "cups", "Coffee", "strength"]] {
        let of_runs = told(command, "runs").replace(", weights", "");
        assert_eq!(told(command, "kept"), of_runs, "{command:?}");
    }
    // Curves are thinned there and weights left out, which is no difference.
    let alike = coffee.run(&["diff", "runs", "kept"]).ends(0);
    assert!(!alike.out.contains("→"), "{}", alike.out);
    let name = coffee.stages("grind")[0].file_name().unwrap().to_string_lossy().into_owned();
    let [of_runs, of_kept] = ["runs", "kept"].map(|runs| format!("{runs}/stages/{name}"));
    let alike = coffee.run(&["diff", &of_runs, &of_kept]).ends(0);
    for part in ["step           left out of the archive", "tensor         left out", "outputs        the same"] {
        assert!(alike.out.contains(part), "{part}?\n{}", alike.out);
    }
    let page = |runs: &str| {
        coffee.run(&["report", "--runs", runs, "--html", "page.html"]).ends(0);
        fs::read_to_string(coffee.dir.path().join("page.html")).unwrap()
    };
    assert!(page("kept") == page("runs"), "curves and exhibits are kept");
    // Other runs are added to it.
    other.run(&["run", "warm", "--name", "robusta", "--beans", "robusta"]).ends(0);
    other.run(&["archive", "--to", &kept.to_string_lossy()]).ends(0).says("1 table, ");
    coffee.run(&["report", "--runs", "kept"]).ends(0).says("Beans: arabica").says("(scale smoke, robusta)");
    // They can go on from it: what is kept is run again only for what reads its large outputs.
    let next = Coffee::new();
    let bring = |to: &Coffee| {
        coffee.run(&["archive", "--runs", "kept", "--to", &to.dir.path().join("runs").to_string_lossy()]).ends(0)
    };
    bring(&next);
    next.run(&["plan", "warm"]).ends(0).says("kept").says("5 stages: 5 done");
    next.run(&["run", "warm"]).ends(0).says("5 stages: 5 done before");
    next.run(&["run", "warm", "brew.temperature=80"]).ends(0).says("5 stages: 0 done before, 5 to run");
    next.run(&["run", "warm"]).ends(0).says("5 stages: 5 done before");
    // What is whole is not replaced by what is kept of it.
    let planned = |coffee: &Coffee| {
        let plan = coffee.run(&["plan", "warm"]).ends(0);
        plan.out.split_whitespace().find(|word| word.starts_with("grind-")).unwrap().to_owned()
    };
    let grind = next.dir.path().join("runs/stages").join(planned(&next));
    let metrics = || fs::read(grind.join("metrics.jsonl")).unwrap();
    let before = metrics();
    assert_eq!(before.iter().filter(|&&byte| byte == b'\n').count(), 20, "the curve is that of the new run alone");
    bring(&next);
    assert!(metrics() == before, "of a stage that is whole not even the curves are replaced");
    // Of a table of the same name it says whether that held other numbers; the same ones once more are none.
    next.run(&["run", "warm", "brew.temperature=80"]).ends(0);
    let replaced = "held other numbers before, of `coffee run warm brew.temperature=80`";
    assert!(bring(&next).says(replaced).out.contains("runs/tables/warm-smoke.json held other"));
    let again = bring(&next);
    assert!(!again.out.contains("held other"), "{}", again.out);
    let plan = next.run(&["plan", "warm"]).ends(0).says("5 stages: 5 done");
    assert!(!plan.out.contains("kept"), "{}", plan.out);
    // Nor what is half done.
    let manifest = grind.join("manifest.json");
    let done = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, done.replace("\"done\"", "\"interrupted\"")).unwrap();
    bring(&next);
    next.run(&["plan", "warm"]).ends(0).says("partial");
    // Asked for by its name, a stage that is kept runs for the sake of its outputs.
    let alone = Coffee::new();
    bring(&alone);
    alone.run(&["run", "warm", "--stage", &planned(&alone)]).ends(0).says("1 stage: 0 done before, 1 to run");
    // What a number comes from has to be there.
    fs::remove_dir_all(other.only_stage("grind")).unwrap();
    other.run(&["archive", "--to", "new"]).ends(1).says("has no manifest; run the table again");
    assert!(!other.dir.path().join("new/tables").exists());
}
