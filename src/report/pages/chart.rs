//! The chart of one phase of a model: one row for each prompt, or lines over the sizes of a sweep.
//!
//! A point is the figure of the printed table, and is labelled with it: `figures::median` of the samples' values.

use std::collections::BTreeMap;

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::analysis::figures::{self, Interval};
use crate::analysis::metrics::{self, Measure};
use crate::inference::Input;
use crate::record::phase;
use crate::record::phase::Phase;
use crate::record::{ModelRecord, PromptRecord, RunRecord};
use crate::report::numbers::value;
use crate::report::words::plain;

type Failed = DrawingAreaErrorKind<std::io::Error>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

const WIDTH: u32 = 800;
/// Radius of the point of a median; that of a sample is `SAMPLE`.
const MEDIAN: i32 = 4;
const SAMPLE: i32 = 2;
/// Width of the widest character of a label, pixels.
const CHARACTER: u32 = 8;

/// The chart of a phase; absent if no prompt has a figure for it.
pub(super) fn of_phase(record: &RunRecord, model: &ModelRecord, phase: Phase) -> Option<String> {
    let measure = measure_of(phase);
    let has_it = |prompt: &&PromptRecord| {
        !prompt.samples.is_empty() && phase::phases(&record.parameters, prompt).contains(&phase)
    };
    let points: Vec<Point> = model
        .prompts
        .iter()
        .filter(has_it)
        .filter_map(|prompt| Point::of(measure, prompt))
        .collect();
    if points.is_empty() {
        return None;
    }
    let title = format!("{}, {}", phase.name(), measure.unit());
    let mut svg = String::new();
    let drawn = if record.suite.sweep {
        sweep(&mut svg, &title, &points)
    } else {
        prompts(&mut svg, &title, &points)
    };
    // Writing into a string cannot fail.
    drawn.is_ok().then_some(svg)
}

/// A rate if the phase has one, else a time.
const fn measure_of(phase: Phase) -> Measure {
    match phase {
        Phase::Ttft => Measure::Ttft,
        Phase::Prefill => Measure::Prefill,
        Phase::Decode => Measure::Decode,
        Phase::Total => Measure::Total,
    }
}

/// The values of one prompt.
struct Point<'a> {
    prompt: &'a PromptRecord,
    samples: Vec<f64>,
    median: f64,
    interval: Option<Interval>,
}

impl<'a> Point<'a> {
    fn of(measure: Measure, prompt: &'a PromptRecord) -> Option<Self> {
        let of_sample = |sample| metrics::of_sample(measure, prompt, sample);
        let samples: Vec<f64> = prompt.samples.iter().filter_map(of_sample).collect();
        Some(Self {
            prompt,
            median: figures::median(samples.clone())?,
            interval: figures::median_interval(samples.clone()),
            samples,
        })
    }
}

/// The greatest value of all samples.
fn greatest(points: &[Point]) -> f64 {
    let values = points.iter().flat_map(|point| &point.samples);
    values.copied().fold(0.0, f64::max)
}

/// A size that a sweep changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Axis {
    Prompt,
    Depth,
    New,
}

impl Axis {
    const ALL: [Self; 3] = [Self::Prompt, Self::Depth, Self::New];

    const fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt tokens",
            Self::Depth => "depth",
            Self::New => "new tokens",
        }
    }

    fn of(self, prompt: &PromptRecord) -> u32 {
        match (self, &prompt.input) {
            (Self::Prompt, Input::Tokens(ids)) => u32::try_from(ids.len()).unwrap_or(u32::MAX),
            (Self::Prompt, Input::Text(_)) => prompt.prompt_tokens.unwrap_or_default(),
            (Self::Depth, _) => prompt.depth,
            (Self::New, _) => prompt.max_new_tokens,
        }
    }

    /// The axes in which some points differ; the prompt's where none does.
    fn varied(points: &[Point]) -> Vec<Self> {
        let differs = |axis: &Self| {
            let first = points.first().map(|point| axis.of(point.prompt));
            points.iter().any(|point| Some(axis.of(point.prompt)) != first)
        };
        let varied: Vec<Self> = Self::ALL.into_iter().filter(differs).collect();
        if varied.is_empty() {
            vec![Self::Prompt]
        } else {
            varied
        }
    }
}

/// A line for each value of the sizes other than the first.
fn sweep(svg: &mut String, title: &str, points: &[Point]) -> Result<(), Failed> {
    let axes = Axis::varied(points);
    let (x, others) = (axes[0], &axes[1..]);
    let mut lines = BTreeMap::<Vec<u32>, Vec<(f64, &Point)>>::new();
    for point in points {
        let line = others.iter().map(|axis| axis.of(point.prompt)).collect();
        let place = f64::from(x.of(point.prompt));
        lines.entry(line).or_default().push((place, point));
    }
    let places = points.iter().map(|point| f64::from(x.of(point.prompt)));
    let (low, high) = places.fold((f64::MAX, 0.0), |(low, high), place| {
        (place.min(low), place.max(high))
    });
    let margin = ((high - low) * 0.08).max(1.0);
    let area = SVGBackend::with_string(svg, (WIDTH, 460)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(low - margin..high + margin, 0.0..greatest(points) * 1.15)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .x_desc(x.name())
        .x_label_formatter(&|tokens| format!("{tokens:.0}"))
        .y_label_formatter(&|tick| tick.to_string())
        .draw()?;
    for (index, (line, mut points)) in lines.into_iter().enumerate() {
        points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let color = Palette99::pick(index).to_rgba();
        let path = points.iter().map(|(place, point)| (*place, point.median));
        let series = chart.draw_series(LineSeries::new(path, color.stroke_width(2)))?;
        if !others.is_empty() {
            let name = |(axis, size): (&Axis, &u32)| format!("{} {size}", axis.name());
            let name: Vec<String> = others.iter().zip(&line).map(name).collect();
            series
                .label(name.join(", "))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        }
        for (place, point) in points {
            let at = |value| (place, value);
            draw(
                &mut chart,
                point,
                color,
                at,
                Pos::new(HPos::Center, VPos::Bottom),
                (0, -8),
            )?;
        }
    }
    if !others.is_empty() {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK)
            .draw()?;
    }
    area.present()
}

/// A row for each prompt.
fn prompts(svg: &mut String, title: &str, points: &[Point]) -> Result<(), Failed> {
    let names: Vec<String> = points.iter().map(|point| plain(&point.prompt.id)).collect();
    let longest = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or_default();
    let names_width = u32::try_from(longest)
        .unwrap_or(u32::MAX)
        .saturating_mul(CHARACTER)
        + 20;
    let rows = u32::try_from(points.len()).unwrap_or(u32::MAX);
    let area =
        SVGBackend::with_string(svg, (WIDTH.max(names_width + 400), 100 + 40 * rows)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(names_width)
        .build_cartesian_2d(0.0..greatest(points) * 1.15, f64::from(rows) - 0.5..-0.5)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .disable_y_mesh()
        .y_labels(0)
        .x_label_formatter(&|tick| tick.to_string())
        .draw()?;
    for (row, (point, name)) in (0_u32..).map(f64::from).zip(points.iter().zip(&names)) {
        let at = |value| (value, row);
        draw(
            &mut chart,
            point,
            BLUE.to_rgba(),
            at,
            Pos::new(HPos::Center, VPos::Bottom),
            (0, -8),
        )?;
        let (x, y) = chart.backend_coord(&(0.0, row));
        let style = ("sans-serif", 13).into_font().color(&BLACK);
        area.draw(&Text::new(
            name.as_str(),
            (x - 10, y),
            style.pos(Pos::new(HPos::Right, VPos::Center)),
        ))?;
    }
    area.present()
}

/// A prompt's samples, its median with the figure, and the median's interval; `at` gives a value's place.
fn draw(
    chart: &mut Chart,
    point: &Point,
    color: RGBAColor,
    at: impl Fn(f64) -> (f64, f64),
    anchor: Pos,
    offset: (i32, i32),
) -> Result<(), Failed> {
    let samples = point.samples.iter();
    chart.draw_series(samples.map(|sample| Circle::new(at(*sample), SAMPLE, color.mix(0.3).filled())))?;
    if let Some(Interval { lower, upper }) = point.interval {
        chart.draw_series([PathElement::new([at(lower), at(upper)], color.stroke_width(1))])?;
    }
    let style = ("sans-serif", 12).into_font().color(&BLACK).pos(anchor);
    chart.draw_series([EmptyElement::at(at(point.median))
        + Circle::new((0, 0), MEDIAN, color.filled())
        + Text::new(value(point.median), offset, style)])?;
    Ok(())
}
