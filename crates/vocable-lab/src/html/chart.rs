//! A chart of lines as SVG.

use std::fmt::Write;

use super::curves::Line;
use super::escape;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 220.0;
/// Room for the numbers at the axes: left, right, top, bottom.
const MARGINS: [f64; 4] = [58.0, 10.0, 8.0, 22.0];
/// Told apart by those who see few colours, too (Okabe and Ito 2008); dashes tell those beyond apart.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#767676"];
const DASHES: [&str; 3] = ["", " stroke-dasharray=\"6 3\"", " stroke-dasharray=\"2 3\""];

/// A figure with a title, a line (and a band, where seeds differ) for each of `lines`, and a legend if there are several.
pub fn chart(title: &str, lines: &[Line]) -> String {
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
        put(format!("<text x=\"{:.1}\" y=\"{base}\" text-anchor=\"{anchor}\">{}</text>\n", x(step), step.round()));
    }
    let middle = (left + WIDTH - right) / 2.0;
    put(format!("<text x=\"{middle}\" y=\"{base}\" text-anchor=\"middle\">step</text>\n"));
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
            put(format!("<path d=\"M{}Z\" fill=\"{colour}\" opacity=\"0.2\"/>\n", band.join("L")));
        }
        let path: Vec<String> = finite.iter().map(|point| at(point, 1)).collect();
        // A single point is a line without length; round caps make it a dot.
        put(format!(
            "<path d=\"M{}{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" stroke-linecap=\"round\"{dash}>\
             <title>{}</title></path>\n",
            path.join("L"),
            if path.len() == 1 { "h0" } else { "" },
            escape(&line.rows)
        ));
    }
    put("</svg>\n".to_owned());
    let several = lines.iter().any(|line| line.runs > 1);
    let legend = |(line, (colour, dash)): (&Line, &(&str, &str))| {
        let runs = if several {
            format!(", {} run{}", line.runs, if line.runs > 1 { "s" } else { "" })
        } else {
            String::new()
        };
        format!(
            "<span><svg width=\"22\" height=\"8\" aria-hidden=\"true\"><path d=\"M1 4H21\" stroke=\"{colour}\" \
             stroke-width=\"3\"{dash}/></svg> {}{runs}</span>",
            escape(&line.rows)
        )
    };
    let legend: String = match lines.len() {
        1 => String::new(),
        _ => lines.iter().zip(&styles).map(legend).collect(),
    };
    let band = if banded { "; line: the mean of the runs; band: from the least to the greatest" } else { "" };
    format!("{svg}<figcaption>{name}{band}<br>{legend}</figcaption></figure>\n")
}

/// Of each line its colour, which is its row's in every chart of a table, and its dashes, which tell lines of one colour apart.
fn styles(lines: &[Line]) -> Vec<(&'static str, &'static str)> {
    let colour = |line: &Line| line.row % COLOURS.len();
    let dash = |at: usize| lines[..at].iter().filter(|line| colour(line) == colour(&lines[at])).count() % DASHES.len();
    (0..lines.len()).map(|at| (COLOURS[colour(&lines[at])], DASHES[dash(at)])).collect()
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
        let svg = chart("loss", &[one.clone(), other.clone()]);
        assert_eq!(svg.matches("opacity").count(), 1, "{svg}");
        assert!(svg.contains("a &lt;b&gt;") && !svg.contains("NaN"), "{svg}");
        // The extremes of the band are the edges of the drawing.
        assert!(
            svg.contains("58.0 8.0") && svg.contains(&format!("{:.1} {:.1}", WIDTH - 10.0, HEIGHT - 22.0)),
            "{svg}"
        );
        assert_eq!(chart("empty", &[line("a", &[])]), "");
        // Of one row, so of one colour.
        assert_eq!(styles(&[one.clone(), other.clone()]), [(COLOURS[0], DASHES[0]), (COLOURS[0], DASHES[1])]);
        let of_second = Line { row: 1, ..other.clone() };
        assert_eq!(styles(&[of_second]), [(COLOURS[1], DASHES[0])]);
        let says_band = |line: &Line| chart("one", std::slice::from_ref(line)).contains("band: from the least");
        assert!(says_band(&one) && !says_band(&other));
        assert!(!chart("alone", &[one]).contains("<span>"), "one line needs no legend");
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 12_345.6, 3.1234, 0.25, 2.5e-5, -1.5e7].map(short);
        assert_eq!(shown, ["0", "12346", "3.12", "0.250", "2.5e-5", "-1.5e7"]);
    }
}
