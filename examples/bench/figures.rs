//! The figures.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::contend::{CDB, CDBMAKE, FULL, PERL};
use crate::make::MAILBOXES;
use crate::trace::{PARTS, Share};
use crate::{Runs, median};

const WHO: [(&str, RGBColor); 4] = [
    (FULL, RGBColor(0, 90, 181)),
    (CDB, RGBColor(220, 120, 0)),
    (CDBMAKE, RGBColor(120, 120, 120)),
    (PERL, RGBColor(190, 30, 45)),
];
const COLOURS: [RGBColor; PARTS.len()] = [
    RGBColor(0, 90, 181),
    RGBColor(220, 120, 0),
    RGBColor(245, 190, 65),
    RGBColor(190, 30, 45),
    RGBColor(150, 150, 150),
    RGBColor(150, 150, 150),
    RGBColor(90, 60, 130),
];
const FONT: &str = "sans-serif";

/// Time against size, both axes by powers of ten.
pub fn time_by_size(path: &Path, sizes: &[(usize, Runs)]) -> Result<(), Box<dyn Error>> {
    let points = |name: &str| -> Vec<(f64, f64)> {
        let point = |(domains, runs): &(usize, Runs)| Some(((domains * MAILBOXES) as f64, median(runs, name)?));
        sizes.iter().filter_map(point).collect()
    };
    let all: Vec<(f64, f64)> = WHO.iter().flat_map(|(name, _)| points(name)).collect();
    let range = |of: &dyn Fn(&(f64, f64)) -> f64| {
        let values = all.iter().map(of);
        let (least, most) = (values.clone().fold(f64::MAX, f64::min), values.fold(f64::MIN, f64::max));
        least / 1.6..most * 1.6
    };
    let area = SVGBackend::new(path, (760, 460)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Time to rebuild both tables", (FONT, 22))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(range(&|point| point.0).log_scale(), range(&|point| point.1).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("mailboxes")
        .y_desc("milliseconds, median")
        .x_label_formatter(&|value| plain(*value))
        .y_label_formatter(&|value| plain(*value))
        .label_style((FONT, 16))
        .draw()?;
    for (name, colour) in WHO {
        let points = points(name);
        if points.is_empty() {
            continue;
        }
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
            .label(label(name))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3)));
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 4, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(RGBColor(200, 200, 200))
        .label_font((FONT, 16))
        .draw()?;
    area.present()?;
    Ok(())
}

/// A bar for each contender, in parts, and a mark where the clock stood at its end.
pub fn where_it_goes(path: &Path, domains: usize, shares: &[Share]) -> Result<(), Box<dyn Error>> {
    let total = |share: &Share| share.parts.iter().sum::<f64>();
    let most = shares.iter().map(|share| total(share).max(share.wall)).fold(0.0, f64::max) * 1.05;
    let area = SVGBackend::new(path, (760, 130 + 60 * u32::try_from(shares.len())? + 90)).into_drawing_area();
    area.fill(&WHITE)?;
    let (plot, keys) = area.split_vertically(130 + 60 * i32::try_from(shares.len())?);
    let mut chart = ChartBuilder::on(&plot)
        .caption(format!("Where the time goes: {} mailboxes", plain((domains * MAILBOXES) as f64)), (FONT, 22))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(190)
        .build_cartesian_2d(0.0..most, 0.0..shares.len() as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .light_line_style(WHITE)
        .x_desc("milliseconds; what threads do at the same time adds up; the black line is the clock")
        .x_label_formatter(&|value| plain(*value))
        .label_style((FONT, 16))
        .draw()?;
    for (number, share) in shares.iter().enumerate() {
        let bottom = (shares.len() - 1 - number) as f64 + 0.2;
        let mut from = 0.0;
        for (part, colour) in share.parts.iter().zip(COLOURS) {
            let bar = Rectangle::new([(from, bottom), (from + part, bottom + 0.6)], colour.filled());
            chart.draw_series([bar])?;
            from += part;
        }
        let clock = [(share.wall, bottom - 0.1), (share.wall, bottom + 0.7)];
        chart.draw_series([PathElement::new(clock, BLACK.stroke_width(2))])?;
        let (_, y) = chart.backend_coord(&(0.0, bottom + 0.3));
        area.draw(&Text::new(label(share.name), (14, y - 7), (FONT, 16)))?;
    }
    let used = (0..PARTS.len()).filter(|part| shares.iter().any(|share| share.parts[*part] > 0.0));
    for (place, part) in used.enumerate() {
        let (x, y) = (20 + 360 * i32::try_from(place % 2)?, 4 + 26 * i32::try_from(place / 2)?);
        keys.draw(&Rectangle::new([(x, y), (x + 14, y + 14)], COLOURS[part].filled()))?;
        keys.draw(&Text::new(PARTS[part], (x + 22, y + 1), (FONT, 16)))?;
    }
    area.present()?;
    Ok(())
}

fn label(name: &str) -> String {
    if name == FULL { "qmail-updater, full rebuild".to_owned() } else { name.to_owned() }
}

/// A number as people write it.
fn plain(value: f64) -> String {
    let text = if value < 1.0 { format!("{value}") } else { format!("{value:.0}") };
    let (whole, rest) = text.split_once('.').map_or((&text[..], None), |(whole, rest)| (whole, Some(rest)));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    rest.map_or(grouped.clone(), |rest| format!("{grouped}.{rest}"))
}
