//! Plots how often a slowdown is found, over its size.

use plotters::prelude::*;

use super::simulated::{Curve, SLOWDOWNS, Simulated};

type Failed = DrawingAreaErrorKind<std::io::Error>;

/// An SVG of the simulated curves with their intervals. Empty if it cannot be drawn.
pub(super) fn plot(simulated: &Simulated) -> String {
    let mut svg = String::new();
    // Writing to a string cannot fail.
    if draw(simulated, &mut svg).is_err() {
        svg.clear();
    }
    svg
}

fn draw(simulated: &Simulated, svg: &mut String) -> Result<(), Failed> {
    let area = SVGBackend::with_string(svg, (760, 460)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d(0.0..8.0, 0.0..100.0)?;
    chart
        .configure_mesh()
        .x_desc("slowdown of decode, %")
        .y_desc("comparisons that call it a regression, %")
        .draw()?;
    for (index, curve) in simulated.curves.iter().enumerate() {
        let color = Palette99::pick(index).to_rgba();
        let points = points(curve);
        let line = points.iter().map(|point| (point.slowdown, point.share));
        chart
            .draw_series(LineSeries::new(line, color.stroke_width(2)))?
            .label(super::page::name(curve.scenario))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        chart.draw_series(points.iter().map(|point| {
            PathElement::new(
                [(point.slowdown, point.lower), (point.slowdown, point.upper)],
                color,
            )
        }))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    area.present()
}

/// All in percent.
struct Point {
    slowdown: f64,
    share: f64,
    lower: f64,
    upper: f64,
}

fn points(curve: &Curve) -> Vec<Point> {
    let pairs = SLOWDOWNS.iter().zip(&curve.points);
    pairs
        .map(|(slowdown, tally)| {
            // Without a slowdown, every alarm is false.
            let rate = if *slowdown > 0.0 {
                tally.found
            } else {
                tally.false_alarm
            };
            let (lower, upper) = rate.bounds();
            Point {
                slowdown: slowdown * 100.0,
                share: rate.share() * 100.0,
                lower: lower * 100.0,
                upper: upper * 100.0,
            }
        })
        .collect()
}
