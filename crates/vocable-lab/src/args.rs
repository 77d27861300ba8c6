//! The arguments of the command line: what they are and how they read.

use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::error::ConfigError;
use crate::export::Dialect;
use crate::html::EXHIBITS_SHOWN;
use crate::patch::Patch;
use crate::progress::Style;
use crate::scale::Scale;

/// An option that stands for a configuration key.
pub struct Alias {
    option: &'static str,
    path: &'static str,
    help: &'static str,
    /// Whether it takes no value and sets the key to true.
    flag: bool,
}

impl Alias {
    /// The option may be given with its dashes.
    pub fn new(option: &'static str, path: &'static str, help: &'static str, flag: bool) -> Self {
        Self { option: option.trim_start_matches('-'), path, help, flag }
    }

    fn arg(&self) -> Arg {
        let arg = Arg::new(self.option).long(self.option).help(format!("{} (sets `{}`)", self.help, self.path));
        if self.flag { arg.action(ArgAction::SetTrue) } else { arg.value_name("VALUE") }
    }

    fn value<'m>(&self, matches: &'m ArgMatches) -> Option<&'m str> {
        match self.flag {
            true => matches.get_flag(self.option).then_some("true"),
            false => matches.get_one::<String>(self.option).map(String::as_str),
        }
    }
}

/// The program's commands and their arguments.
pub fn command(name: &'static str, version: &'static str, aliases: &[Alias]) -> Command {
    let settings = |command: Command| {
        let tables = "Tables, and overrides such as `seed=7`; `part=none` removes an optional part";
        let patch = file("patch", "TOML file with changes to the base configuration").action(ArgAction::Append);
        let row = some_of("row", "Only this row (may be given more than once); the others keep what has run");
        let column = some_of("column", "Only this column (may be given more than once)");
        let command = command.args([words_arg(tables), row, column, scale_arg(), seeds_arg(), patch, runs_arg()]);
        aliases.iter().fold(command, |command, alias| command.arg(alias.arg()))
    };
    let show = Command::new("show").about("Shows each row's difference from the base");
    let plan = Command::new("plan").about("Shows the stages, their cost, and what is done");
    let run = Command::new("run").about("Runs what is not done, then prints the tables");
    let dry_run = Arg::new("dry-run").long("dry-run").action(ArgAction::SetTrue);
    let dry_run = dry_run.help("Print every row's resolved configuration and the plan; run nothing");
    let report = Command::new("report").about("Prints the tables as they were last measured").args([
        words_arg("Tables; all if none is given"),
        scale_arg(),
        runs_arg(),
        name_arg(),
        file("markdown", "Write Markdown to a file"),
        file("html", "Write a page to a file, with curves, sounds and pictures of the stages that are there"),
        exhibits_arg(),
    ]);
    let run_dir = |name: &'static str| {
        let arg = Arg::new(name).required(true).value_parser(value_parser!(PathBuf)).value_name(name);
        arg.help("Directory of a stage, or a runs directory")
    };
    let diff = Command::new("diff")
        .about("Says where two runs first differ: configuration, data, code, step, tensor; exits 1 if they do")
        .args([run_dir("RUN_A"), run_dir("RUN_B")]);
    let trace = Command::new("trace").about("Shows where a number comes from: stages, commands, code, data").args([
        Arg::new("words").value_name("TABLE ROW COLUMN|STAGE").num_args(1..).required(true).help("A cell, or a stage"),
        scale_arg(),
        runs_arg(),
        name_arg(),
    ]);
    let watch = Command::new("watch")
        .about("Serves the report of a run under way to browsers on this machine; takes the tables and settings that `run` takes");
    let port = Arg::new("port").long("port").value_name("PORT").value_parser(value_parser!(u16)).default_value("0");
    let port = port.help("Port of the loopback interface; 0 takes any that is free");
    let named = name_arg().help("The name that `run` gives the numbers, for the headings");
    let without_effect =
        [threads_arg(), jobs_arg(), progress_arg()].map(|arg| arg.help("Taken as by `run`; no effect here"));
    let verify = Command::new("verify").about(
        "Computes scores again from what is stored, and the tables' numbers from them; exits 1 if one differs or no score matches",
    );
    let gc = Command::new("gc")
        .about("Shows the stages that no table uses")
        .args([runs_arg(), Arg::new("remove").long("remove").action(ArgAction::SetTrue).help("Remove them")]);
    let archive = Command::new("archive")
        .about("Copies the tables and what says where their numbers come from, but for weights")
        .args([
            runs_arg(),
            file("to", "Where to; tables of the same names there are replaced, the rest stays")
                .value_name("DIR")
                .required(true),
            exhibits_arg(),
        ]);
    let export = Arg::new("export").long("export").value_name("shell|slurm");
    let export = export.value_parser(|name: &str| name.parse::<Dialect>());
    let export = export.help("Print a script instead, with one command or one job of a cluster for each stage");
    let stage = Arg::new("stage").long("stage").value_name("STAGE");
    let stage = stage.help("Only this stage of the plan and what it needs; no table is printed");
    Command::new(name)
        .version(version)
        .about("Tables of experiments: the paper's numbers beside those measured here")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("list").about("Lists the tables"))
        .subcommand(settings(show))
        .subcommand(settings(plan).args([export, name_arg()]))
        .subcommand(settings(run).args([dry_run, name_arg(), threads_arg(), jobs_arg(), progress_arg(), stage]))
        .subcommand(report)
        .subcommand(settings(watch).args([port, named]).args(without_effect))
        .subcommand(diff)
        .subcommand(trace)
        .subcommand(settings(verify))
        .subcommand(gc)
        .subcommand(archive)
}

fn words_arg(help: &'static str) -> Arg {
    Arg::new("words").value_name("TABLE|KEY=VALUE").num_args(0..).help(help)
}

fn some_of(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("NAME").action(ArgAction::Append).help(help)
}

fn scale_arg() -> Arg {
    let help =
        format!("Size of the run: {}; the first by default, all for `report`", Scale::ALL.map(Scale::name).join(", "));
    let parse = |name: &str| name.parse::<Scale>();
    Arg::new("scale").long("scale").value_name("SCALE").value_parser(parse).help(help)
}

fn runs_arg() -> Arg {
    let arg = Arg::new("runs").long("runs").value_name("DIR").default_value("runs");
    arg.value_parser(value_parser!(PathBuf)).help("Where stages and tables are kept")
}

fn seeds_arg() -> Arg {
    let arg = Arg::new("seeds").long("seeds").value_name("N").value_parser(value_parser!(u16).range(1..));
    arg.default_value("1").help("Runs of every cell, with seeds that count up from `seed`; the table shows their mean")
}

fn name_arg() -> Arg {
    let help = "Keeps the numbers apart from others of the same table and scale";
    // It becomes a part of a file's name.
    let parse = |name: &str| match name.chars().all(|c| c.is_alphanumeric() || " -_.".contains(c)) && !name.is_empty() {
        true => Ok(name.to_owned()),
        false => Err("letters, digits, spaces, `-`, `_` and `.` make a name"),
    };
    Arg::new("name").long("name").value_name("NAME").value_parser(parse).help(help)
}

fn threads_arg() -> Arg {
    let arg = Arg::new("threads").long("threads").value_name("N").value_parser(value_parser!(u16).range(1..));
    arg.help("Threads that compute; as many as the machine has by default. No result depends on their number")
}

fn jobs_arg() -> Arg {
    let arg = Arg::new("jobs").long("jobs").value_name("N").value_parser(value_parser!(u16).range(1..));
    arg.default_value("1").help("Stages at work at a time, each on its share of the threads")
}

fn exhibits_arg() -> Arg {
    let arg = Arg::new("exhibits").long("exhibits").value_name("N").value_parser(value_parser!(u16));
    arg.help(format!("Sounds, pictures and texts of a stage, at most ({EXHIBITS_SHOWN} by default)"))
}

fn progress_arg() -> Arg {
    let arg = Arg::new("progress").long("progress").value_name("STYLE");
    let arg = arg.value_parser(PossibleValuesParser::new(Style::ALL.map(|(name, _)| name)));
    arg.help("How progress is shown on standard error; by default bars on a terminal, plain lines otherwise")
}

fn file(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("FILE").value_parser(value_parser!(PathBuf)).help(help)
}

/// The words that belong to no option: tables and overrides.
pub fn words(matches: &ArgMatches) -> impl Iterator<Item = &str> {
    matches.get_many::<String>("words").into_iter().flatten().map(String::as_str)
}

/// The names given with `--row` or `--column`; none stand for all.
pub fn selected<'m>(matches: &'m ArgMatches, option: &str) -> Vec<&'m str> {
    matches.get_many::<String>(option).into_iter().flatten().map(String::as_str).collect()
}

/// The scale, if one was given.
pub fn scale(matches: &ArgMatches) -> Option<Scale> {
    matches.get_one("scale").copied()
}

/// The two runs to compare.
pub fn two_runs(matches: &ArgMatches) -> [&Path; 2] {
    ["RUN_A", "RUN_B"].map(|name| matches.get_one::<PathBuf>(name).expect("it is required").as_path())
}

/// The directory to copy to.
pub fn to(matches: &ArgMatches) -> &Path {
    matches.get_one::<PathBuf>("to").expect("it is required")
}

/// The runs directory.
pub fn runs(matches: &ArgMatches) -> &Path {
    matches.get_one::<PathBuf>("runs").expect("it has a default")
}

/// What tells the record from others of the same table and scale.
pub fn label(matches: &ArgMatches) -> Option<&str> {
    matches.get_one::<String>("name").map(String::as_str)
}

/// The port to serve on.
pub fn port(matches: &ArgMatches) -> u16 {
    matches.get_one("port").copied().expect("it has a default")
}

/// The number of seeds.
pub fn seeds(matches: &ArgMatches) -> usize {
    matches.get_one::<u16>("seeds").copied().map_or(1, usize::from)
}

/// The number of stages at work at a time.
pub fn jobs(matches: &ArgMatches) -> usize {
    matches.get_one::<u16>("jobs").copied().map_or(1, usize::from)
}

/// The number of threads, if one was given.
pub fn threads(matches: &ArgMatches) -> Option<usize> {
    matches.get_one::<u16>("threads").copied().map(usize::from)
}

/// The number of exhibits of a stage that are shown or kept.
pub fn exhibits(matches: &ArgMatches) -> usize {
    matches.get_one::<u16>("exhibits").copied().map_or(EXHIBITS_SHOWN, usize::from)
}

/// How progress is shown.
pub fn style(matches: &ArgMatches) -> Style {
    let name = matches.get_one::<String>("progress");
    let named = name.and_then(|name| Style::ALL.iter().find(|(other, _)| other == name));
    named.map_or_else(Style::of_stderr, |&(_, style)| style)
}

/// Everything that changes the base: patch files, then options, then overrides.
///
/// # Errors
/// [`ConfigError`] of a file that cannot be read or a word that is no override.
pub fn patch(matches: &ArgMatches, aliases: &[Alias]) -> Result<Patch, ConfigError> {
    let mut patch = Patch::new();
    for file in matches.get_many::<PathBuf>("patch").into_iter().flatten() {
        patch = patch.file(file)?;
    }
    for alias in aliases {
        if let Some(value) = alias.value(matches) {
            patch = patch.option(alias.path, value);
        }
    }
    words(matches).filter(|word| word.contains('=')).try_fold(patch, Patch::assign)
}
