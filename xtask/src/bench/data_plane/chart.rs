//! Bars of ratios as SVG, drawn by hand: a few rectangles and words need no library.

use std::fmt::Write as _;

/// Groups of bars on a logarithmic scale, with a line at 1.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: String,
    /// What a bar of each colour is.
    pub(super) series: Vec<String>,
    /// What a group is, and the length of its bars in the order of the series.
    pub(super) groups: Vec<(String, Vec<Option<f64>>)>,
}

/// Colours that differ for colour-blind readers as well (Okabe and Ito, 2008).
const COLOURS: [&str; 7] =
    ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442"];
const TICKS: [f64; 12] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];
const BAR: f64 = 34.0;
const GAP: f64 = 44.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 40.0;
const HEIGHT: f64 = 260.0;
const LEGEND_LINE: f64 = 20.0;
const WIDTH_MIN: f64 = 620.0;

impl Chart {
    /// The drawing.
    pub(super) fn svg(&self) -> String {
        let bars: usize = self.groups.iter().map(|(_, bars)| bars.len()).sum();
        let width = (LEFT + count(bars) * BAR + count(self.groups.len() + 1) * GAP).max(WIDTH_MIN);
        let floor = TOP + HEIGHT;
        let height = floor + 44.0 + count(self.series.len()) * LEGEND_LINE;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"sans-serif\" font-size=\"13\" role=\"img\">\n\
             <title>{title}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{title}</text>\n",
            title = escaped(&self.title)
        );
        let (low, high) = self.range();
        let place = |value: f64| floor - HEIGHT * (value / low).log10() / (high / low).log10();
        for tick in TICKS.into_iter().filter(|tick| (low..=high).contains(tick)) {
            let (y, stroke) = (place(tick), if is_one(tick) { "#000000" } else { "#dddddd" });
            line(&mut svg, [LEFT, y, width - 8.0, y], stroke);
            word(&mut svg, (LEFT - 8.0, y + 4.0), "end", &format!("{tick}×"));
        }
        let mut x = LEFT + GAP;
        for (name, bars) in &self.groups {
            let middle = x + count(bars.len()) * BAR / 2.0;
            for (bar, colour) in bars.iter().zip(COLOURS.into_iter().cycle()) {
                if let Some(value) = bar {
                    let top = place(value.max(low));
                    rectangle(&mut svg, [x + 2.0, top, BAR - 4.0, (floor - top).max(1.0)], colour);
                    word(&mut svg, (x + BAR / 2.0, top - 4.0), "middle", &short(*value));
                }
                x += BAR;
            }
            word(&mut svg, (middle, floor + 18.0), "middle", name);
            x += GAP;
        }
        for (at, (name, colour)) in self.series.iter().zip(COLOURS.into_iter().cycle()).enumerate()
        {
            let y = floor + 34.0 + count(at) * LEGEND_LINE;
            rectangle(&mut svg, [LEFT, y, 12.0, 12.0], colour);
            word(&mut svg, (LEFT + 20.0, y + 11.0), "start", name);
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// The ticks below and above every bar, and 1 at the least.
    fn range(&self) -> (f64, f64) {
        let values = || self.groups.iter().flat_map(|(_, bars)| bars.iter().flatten().copied());
        let least = values().fold(1.0, f64::min);
        let most = values().fold(1.0, f64::max);
        let low = TICKS.into_iter().rfind(|tick| *tick < least).unwrap_or(TICKS[0]);
        let high = TICKS.into_iter().find(|tick| *tick > most * 1.1).unwrap_or(most * 1.5);
        (low, high)
    }
}

fn line(svg: &mut String, [x1, y1, x2, y2]: [f64; 4], stroke: &str) {
    let ends = format!("x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"");
    let written = writeln!(svg, "<line {ends} stroke=\"{stroke}\"/>");
    debug_assert!(written.is_ok(), "a String takes what is written");
}

fn rectangle(svg: &mut String, [x, y, width, height]: [f64; 4], fill: &str) {
    let place = format!("x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"");
    let written = writeln!(svg, "<rect {place} fill=\"{fill}\"/>");
    debug_assert!(written.is_ok(), "a String takes what is written");
}

fn word(svg: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let place = format!("x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"");
    let written = writeln!(svg, "<text {place}>{}</text>", escaped(text));
    debug_assert!(written.is_ok(), "a String takes what is written");
}

/// Small numbers of things, as lengths.
fn count(things: usize) -> f64 {
    u32::try_from(things).map_or(f64::from(u32::MAX), f64::from)
}

fn is_one(tick: f64) -> bool {
    (tick - 1.0).abs() < f64::EPSILON
}

/// A ratio in at most four characters.
fn short(value: f64) -> String {
    match value {
        value if value < 9.95 => format!("{value:.2}"),
        value if value < 99.5 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[Option<f64>]) -> Chart {
        Chart {
            title: "a < b".to_owned(),
            series: vec!["`one`".to_owned(), "two".to_owned()],
            groups: vec![("50 ms".to_owned(), values.to_vec())],
        }
    }

    #[test]
    fn each_bar_has_its_value_and_each_colour_its_name() {
        let svg = chart(&[Some(0.5), Some(12.34)]).svg();
        for text in [">0.50<", ">12.3<", ">one<", ">two<", ">50 ms<", "a &lt; b", ">1×<"] {
            assert!(svg.contains(text), "{text} is missing:\n{svg}");
        }
        assert_eq!(svg.matches("<rect").count(), 1 + 2 + 2);
    }

    #[test]
    fn what_was_not_measured_has_no_bar() {
        assert_eq!(chart(&[None, Some(2.0)]).svg().matches("<rect").count(), 1 + 1 + 2);
        assert!(!chart(&[None]).svg().contains("NaN"));
    }

    #[test]
    fn the_scale_has_room_for_every_bar() {
        assert_eq!(chart(&[Some(0.5), Some(64.0)]).range(), (0.2, 100.0));
        assert_eq!(chart(&[]).range(), (0.5, 2.0));
    }
}
