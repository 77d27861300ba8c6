//! A chart of lines as SVG.

use std::fmt::Write;

use super::curves::Line;
use super::escape;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 220.0;
/// Room for the numbers at the axes: left, right, top, bottom.
const MARGINS: [f64; 4] = [58.0, 10.0, 8.0, 22.0];
/// How many colours there are: the classes `colour0`, … of the page's style, for a light page and for a dark one.
const COLOURS: usize = 7;
/// The first row's line is whole; no two of the first 35 rows have both colour and dashes in common.
const DASHES: [&str; 5] = [
    "",
    " stroke-dasharray=\"7 3\"",
    " stroke-dasharray=\"2 3\"",
    " stroke-dasharray=\"10 3 2 3\"",
    " stroke-dasharray=\"5 2 1 2 1 2\"",
];
/// The points of so short a line are drawn, for between them nothing was measured.
const FEW: usize = 12;

/// What lines are drawn over, and what bands around them are.
pub struct Axis<'a> {
    /// The name of what runs to the right.
    pub name: &'a str,
    /// What is said after the title where there is a band.
    pub band: &'a str,
}

/// The steps of a training, in which a line is of several runs.
pub const STEPS: Axis =
    Axis { name: "step", band: "; line: the mean of the runs; band: from the least to the greatest" };

/// A figure with a title, a line (and a band, where there is room between least and greatest) for each of `lines`, and a legend
/// if there are several.
pub fn chart(title: &str, axis: &Axis, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points).filter(|point| point.iter().all(|x| x.is_finite()));
    let range = |low: usize, high: usize| {
        let least = points().map(|point| point[low]).fold(f64::INFINITY, f64::min);
        let greatest = points().map(|point| point[high]).fold(f64::NEG_INFINITY, f64::max);
        // A constant gets room on both sides.
        let room = if greatest > least { 0.0 } else { least.abs().max(1.0) * 0.05 };
        [least - room, greatest + room]
    };
    if points().next().is_none() {
        return String::new();
    }
    let (steps, values) = (range(0, 0), range(2, 3));
    let [left, right, top, bottom] = MARGINS;
    let x = |step: f64| left + (step - steps[0]) / (steps[1] - steps[0]) * (WIDTH - left - right);
    let y = |value: f64| HEIGHT - bottom - (value - values[0]) / (values[1] - values[0]) * (HEIGHT - top - bottom);
    let name = escape(title);
    let mut svg = format!("<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{name}\">\n");
    let mut put = |words: String| {
        // Writing to a string never fails.
        let _ = svg.write_str(&words);
    };
    for value in [values[0], (values[0] + values[1]) / 2.0, values[1]] {
        let (at, end) = (y(value), WIDTH - right);
        put(format!("<path class=\"rule\" d=\"M{left} {at:.1}H{end}\"/>"));
        put(format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
            left - 5.0,
            at + 4.0,
            short(value)
        ));
    }
    let base = HEIGHT - 6.0;
    for (step, anchor) in [(steps[0], "start"), (steps[1], "end")] {
        put(format!("<text x=\"{:.1}\" y=\"{base}\" text-anchor=\"{anchor}\">{}</text>\n", x(step), tick(step)));
    }
    let middle = (left + WIDTH - right) / 2.0;
    let over = escape(axis.name);
    put(format!("<text x=\"{middle}\" y=\"{base}\" text-anchor=\"middle\">{over}</text>\n"));
    let styles = styles(lines);
    let mut banded = false;
    for (line, (colour, dash)) in lines.iter().zip(&styles) {
        let at = |point: &[f64; 4], value: usize| format!("{:.1} {:.1}", x(point[0]), y(point[value]));
        let finite: Vec<&[f64; 4]> = line.points.iter().filter(|point| point.iter().all(|x| x.is_finite())).collect();
        if finite.iter().any(|point| point[2] < point[3]) {
            let above = finite.iter().map(|point| at(point, 3));
            let below = finite.iter().rev().map(|point| at(point, 2));
            let band: Vec<String> = above.chain(below).collect();
            banded = true;
            put(format!("<path class=\"band {colour}\" d=\"M{}Z\" opacity=\"0.2\"/>\n", band.join("L")));
        }
        let path: Vec<String> = finite.iter().map(|point| at(point, 1)).collect();
        let rows = escape(&line.rows);
        put(format!("<path class=\"line {colour}\" d=\"M{}\"{dash}><title>{rows}</title></path>\n", path.join("L")));
        if path.len() <= FEW {
            // Lines without length, which round ends make dots.
            let dots: Vec<String> = path.iter().map(|point| format!("M{point}h0")).collect();
            put(format!("<path class=\"dots {colour}\" d=\"{}\"/>\n", dots.concat()));
        }
    }
    put("</svg>\n".to_owned());
    let several = lines.iter().any(|line| line.runs > 1);
    let legend = |(line, (colour, dash)): (&Line, &(String, String))| {
        let runs = if several {
            format!(", {} run{}", line.runs, if line.runs > 1 { "s" } else { "" })
        } else {
            String::new()
        };
        format!(
            "<span><svg width=\"34\" height=\"8\" aria-hidden=\"true\"><path class=\"line {colour}\" d=\"M1 4H33\"{dash}/></svg> \
             {}{runs}</span>",
            escape(&line.rows)
        )
    };
    let legend: String = match lines.len() {
        1 => String::new(),
        _ => lines.iter().zip(&styles).map(legend).collect(),
    };
    let band = if banded { axis.band } else { "" };
    format!("{svg}<figcaption>{name}{band}<br>{legend}</figcaption></figure>\n")
}

/// Of each line the class of its colour, which is its row's in every chart of a table, and its dashes: its row's, too, or else
/// some that no other line has, or none of this colour.
fn styles(lines: &[Line]) -> Vec<(String, String)> {
    let mut taken: Vec<(usize, usize)> = Vec::new();
    for line in lines {
        let colour = line.row % COLOURS;
        let dashes = || (line.row..line.row + DASHES.len()).map(|dash| dash % DASHES.len());
        let unseen = dashes().find(|&dash| taken.iter().all(|&(_, other)| other != dash));
        let free = unseen.or_else(|| dashes().find(|&dash| !taken.contains(&(colour, dash))));
        taken.push((colour, free.unwrap_or(line.row % DASHES.len())));
    }
    let style = |(colour, dash): (usize, usize)| (format!("colour{colour}"), DASHES[dash].to_owned());
    taken.into_iter().map(style).collect()
}

/// A value of what runs to the right.
fn tick(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 10.0 { value.round().to_string() } else { short(value) }
}

/// A number in few digits.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e6).contains(&size) => format!("{value:.1e}"),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lie_inside_and_bands_are_there_where_seeds_differ() {
        let line =
            |rows: &str, points: &[[f64; 4]]| Line { rows: rows.into(), row: 0, runs: 1, points: points.to_vec() };
        let one = line("a <b>", &[[1.0, 5.0, 4.0, 6.0], [2.0, 3.0, 2.0, 4.0], [3.0, f64::NAN, 1.0, 1.0]]);
        let other = line("c", &[[1.0, 5.0, 5.0, 5.0]]);
        let svg = chart("loss", &STEPS, &[one.clone(), other.clone()]);
        assert_eq!(svg.matches("opacity").count(), 1, "{svg}");
        assert!(svg.contains("a &lt;b&gt;") && !svg.contains("NaN"), "{svg}");
        // The extremes of the band are the edges of the drawing.
        assert!(
            svg.contains("58.0 8.0") && svg.contains(&format!("{:.1} {:.1}", WIDTH - 10.0, HEIGHT - 22.0)),
            "{svg}"
        );
        assert_eq!(chart("empty", &STEPS, &[line("a", &[])]), "");
        // Of one row, so of one colour.
        let style = |colour: &str, dash: usize| (colour.to_owned(), DASHES[dash].to_owned());
        assert_eq!(styles(&[one.clone(), other.clone()]), [style("colour0", 0), style("colour0", 1)]);
        let of_row = |row: usize| Line { row, ..other.clone() };
        assert_eq!(styles(&[of_row(1)]), [style("colour1", 1)]);
        // Whoever sees no colours tells the second line from the first by its dashes; many rows are all told apart.
        assert_eq!(
            styles(&[of_row(0), of_row(5), of_row(7)]),
            [("colour0", 0), ("colour5", 1), ("colour0", 2)].map(|(c, d)| style(c, d))
        );
        let many: std::collections::HashSet<_> = styles(&(0..35).map(of_row).collect::<Vec<_>>()).into_iter().collect();
        assert_eq!(many.len(), 35);
        let says_band = |line: &Line| chart("one", &STEPS, std::slice::from_ref(line)).contains("band: from the least");
        assert!(says_band(&one) && !says_band(&other));
        assert!(!chart("alone", &STEPS, &[one]).contains("<span>"), "one line needs no legend");
    }

    #[test]
    fn every_colour_is_seen_on_light_and_on_dark_pages() {
        let style = include_str!("style.css");
        let (light, dark) = style.split_once("prefers-color-scheme: dark").unwrap();
        let luminance = |hex: &str| {
            let part = |at: usize| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
            let linear = |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
            0.2126 * linear(part(0)) + 0.7152 * linear(part(2)) + 0.0722 * linear(part(4))
        };
        let value = |css: &str, name: &str| {
            luminance(css.split_once(&format!("--{name}: #")).unwrap_or_else(|| panic!("{name}")).1)
        };
        for css in [light, dark] {
            let paper = value(css, "paper");
            for name in (0..COLOURS).map(|colour| format!("colour{colour}")).chain(["edge".to_owned()]) {
                let other = value(css, &name);
                let contrast = (paper.max(other) + 0.05) / (paper.min(other) + 0.05);
                // WCAG 2.2, 1.4.11.
                assert!(contrast >= 3.0, "{name}: {contrast}");
            }
        }
    }

    #[test]
    fn a_line_over_a_key_shows_what_was_measured_and_its_intervals() {
        let axis = Axis { name: "search.<weight>", band: "; band: interval" };
        let points = [0.0, 0.5, 1.0].map(|x| [x, 2.0 + x, 1.0, 4.0]);
        let svg = chart("errors", &axis, &[Line { rows: "errors".into(), row: 0, runs: 1, points: points.to_vec() }]);
        for part in [
            ">search.&lt;weight&gt;</text>",
            ">0</text>",
            ">1</text>",
            "errors; band: interval",
            "class=\"dots colour0\"",
        ] {
            assert!(svg.contains(part), "{part}? {svg}");
        }
        assert_eq!(svg.matches("h0").count(), 3, "{svg}");
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 12_345.6, 3.1234, 0.25, 2.5e-5, -1.5e7].map(short);
        assert_eq!(shown, ["0", "12346", "3.12", "0.250", "2.5e-5", "-1.5e7"]);
    }
}
