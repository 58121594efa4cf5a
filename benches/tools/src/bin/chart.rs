//! Bars of the ratios that the benchmarks wrote as CSV: an SVG file for each suite.
//!
//! ```text
//! chart FILE.csv DIRECTORY
//! ```
//!
//! A group for each figure, a bar for each row, as long as its ratio to the row that is 1; the thin line on it goes from the lowest to the
//! highest of the rounds. Suites and figures without a ratio have no bars.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A line of the CSV that has a ratio.
struct Bar {
    row: String,
    figure: String,
    ratio: f64,
    lowest: f64,
    highest: f64,
}

type Canvas<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Pixels: of all, left of the bars, above them, right of them, of a bar, between two groups.
const WIDTH: i32 = 1000;
const LEFT: i32 = 330;
const TOP: i32 = 70;
const RIGHT: i32 = 70;
const BAR: i32 = 13;
const GAP: i32 = 9;
/// Where the axis ends; what is longer is cut there, and its number tells.
const LONGEST: f64 = 2.5;

const COLOURS: [RGBColor; 5] = [
    RGBColor(0x33, 0x66, 0xaa),
    RGBColor(0xdd, 0x88, 0x33),
    RGBColor(0x55, 0x99, 0x55),
    RGBColor(0x99, 0x66, 0xaa),
    RGBColor(0x88, 0x88, 0x88),
];
const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);

fn x(ratio: f64) -> i32 {
    let width = f64::from(WIDTH - LEFT - RIGHT);
    LEFT + (ratio.clamp(0.0, LONGEST) / LONGEST * width) as i32
}

fn text(canvas: &Canvas, at: (i32, i32), what: &str, size: i32, anchor: HPos) -> Outcome {
    let style = ("sans-serif", size)
        .into_font()
        .color(&INK)
        .pos(Pos::new(anchor, VPos::Center));
    canvas.draw(&Text::new(what.to_owned(), at, style))?;
    Ok(())
}

/// In the order of their first appearance.
fn distinct<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found = Vec::new();
    for one in all {
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

fn read(path: &Path) -> Outcome<Vec<(String, Vec<Bar>)>> {
    let mut suites: Vec<(String, Vec<Bar>)> = Vec::new();
    for line in csv::Reader::from_path(path)?.deserialize() {
        type Line = (String, String, String, f64, f64, f64, u32, Option<f64>);
        let (suite, row, figure, median, lowest, highest, _, ratio): Line = line?;
        let Some(ratio) = ratio.filter(|_| median > 0.0) else {
            continue;
        };
        let unit = ratio / median;
        let bar = Bar {
            row,
            figure,
            ratio,
            lowest: lowest * unit,
            highest: highest * unit,
        };
        match suites.iter_mut().find(|(name, _)| *name == suite) {
            Some((_, bars)) => bars.push(bar),
            None => suites.push((suite, vec![bar])),
        }
    }
    Ok(suites)
}

fn axis(canvas: &Canvas, bottom: i32) -> Outcome {
    for tenth in (0..=25).step_by(5) {
        let ratio = f64::from(tenth) / 10.0;
        let style = if tenth == 10 {
            INK.stroke_width(2)
        } else {
            INK.mix(0.2).stroke_width(1)
        };
        canvas.draw(&PathElement::new(
            vec![(x(ratio), TOP), (x(ratio), bottom)],
            style,
        ))?;
        text(
            canvas,
            (x(ratio), TOP - 10),
            &format!("{ratio}×"),
            12,
            HPos::Center,
        )?;
    }
    Ok(())
}

fn draw(suite: &str, bars: &[Bar], path: &Path) -> Outcome {
    let rows = distinct(bars.iter().map(|bar| bar.row.as_str()));
    let figures = distinct(bars.iter().map(|bar| bar.figure.as_str()));
    let height = TOP + bars.len() as i32 * BAR + figures.len() as i32 * GAP + 20;
    let canvas = SVGBackend::new(path, (WIDTH as u32, height as u32)).into_drawing_area();
    canvas.fill(&WHITE)?;
    text(&canvas, (10, 20), suite, 18, HPos::Left)?;
    axis(&canvas, height - 15)?;
    let colour = |row: &str| {
        let at = rows.iter().position(|name| *name == row).unwrap_or(0);
        COLOURS[at % COLOURS.len()]
    };
    for (at, row) in rows.iter().enumerate() {
        let left = LEFT + at as i32 * 130;
        canvas.draw(&Rectangle::new(
            [(left, 26), (left + 12, 38)],
            colour(row).filled(),
        ))?;
        text(&canvas, (left + 18, 32), row, 13, HPos::Left)?;
    }
    let mut top = TOP + GAP;
    for figure in figures {
        let group = bars.iter().filter(|bar| bar.figure == figure);
        let middle = top + group.clone().count() as i32 * BAR / 2;
        text(&canvas, (LEFT - 8, middle), figure, 12, HPos::Right)?;
        for bar in group {
            let line = top + BAR / 2;
            canvas.draw(&Rectangle::new(
                [(x(0.0), top + 1), (x(bar.ratio), top + BAR - 1)],
                colour(&bar.row).filled(),
            ))?;
            canvas.draw(&PathElement::new(
                vec![(x(bar.lowest), line), (x(bar.highest), line)],
                INK.stroke_width(1),
            ))?;
            let end = x(bar.highest.max(bar.ratio)) + 5;
            text(
                &canvas,
                (end, line),
                &format!("{:.2}", bar.ratio),
                11,
                HPos::Left,
            )?;
            top += BAR;
        }
        top += GAP;
    }
    canvas.present()?;
    Ok(())
}

fn main() -> Outcome {
    let args: Vec<String> = std::env::args().collect();
    let [_, table, directory] = args.as_slice() else {
        return Err("usage: chart FILE.csv DIRECTORY".into());
    };
    for (suite, bars) in read(Path::new(table))? {
        let words: Vec<&str> = suite
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let path = Path::new(directory).join(format!("{}.svg", words.join("-")));
        draw(&suite, &bars, &path)?;
        println!("{}", path.display());
    }
    Ok(())
}
