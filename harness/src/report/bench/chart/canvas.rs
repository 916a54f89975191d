//! What all charts share: a surface with title and note, text, markers, and the finished document.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::palette::{self, BACKGROUND, FAINT, Role, TEXT};

/// The surface that a chart is drawn on.
pub type Surface<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Drawing into a string cannot fail; what plotters returns is this.
pub type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Height of title and note.
pub const HEAD: i32 = 58;
/// Distance from the border.
pub const MARGIN: i32 = 14;

/// Draws a chart of this size, in pixels.
pub fn draw(
    (width, height): (u32, u32),
    title: &str,
    note: &str,
    paint: impl FnOnce(&Surface<'_>) -> Drawn,
) -> String {
    let mut svg = String::new();
    {
        let surface = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        let drawn = surface.fill(&BACKGROUND.light).map_err(Into::into).and_then(|()| {
            let title = clipped(title, width * 10 / 96);
            let note = clipped(note, width * 10 / 62);
            write(
                &surface,
                &title,
                (MARGIN, 22),
                Style { size: 16, role: TEXT, anchor: HPos::Left, bold: Weight::Bold },
            )?;
            write(
                &surface,
                &note,
                (MARGIN, 42),
                Style { size: 12, role: FAINT, anchor: HPos::Left, bold: Weight::Plain },
            )?;
            paint(&surface)
        });
        drawn.and_then(|()| surface.present().map_err(Into::into)).expect("a String takes all");
    }
    finished(&svg, title)
}

/// How text is written.
#[derive(Clone, Copy)]
pub struct Style {
    pub size: u32,
    pub role: Role,
    pub anchor: HPos,
    pub bold: Weight,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    Plain,
    Bold,
}

/// Writes text with its middle at this height.
pub fn write(surface: &Surface<'_>, text: &str, at: (i32, i32), style: Style) -> Drawn {
    let weight = if style.bold == Weight::Bold { FontStyle::Bold } else { FontStyle::Normal };
    let font = FontDesc::new(FontFamily::SansSerif, f64::from(style.size), weight);
    let font = font.color(&style.role.light).pos(Pos::new(style.anchor, VPos::Center));
    surface.draw(&Text::new(text.to_owned(), at, font))?;
    Ok(())
}

/// A marker of a line's own form.
pub fn marker(surface: &Surface<'_>, line: usize, (x, y): (i32, i32)) -> Drawn {
    let style = palette::LINES[line].light.filled();
    let form: &[(i32, i32)] = match line % 6 {
        0 => {
            surface.draw(&Circle::new((x, y), 4, style))?;
            return Ok(());
        }
        1 => &[(-4, -4), (4, -4), (4, 4), (-4, 4)],
        2 => &[(0, -5), (5, 4), (-5, 4)],
        3 => &[(0, -6), (5, 0), (0, 6), (-5, 0)],
        4 => &[(0, 5), (5, -4), (-5, -4)],
        _ => &[
            (-2, -6),
            (2, -6),
            (2, -2),
            (6, -2),
            (6, 2),
            (2, 2),
            (2, 6),
            (-2, 6),
            (-2, 2),
            (-6, 2),
            (-6, -2),
            (-2, -2),
        ],
    };
    let points: Vec<(i32, i32)> = form.iter().map(|(dx, dy)| (x + dx, y + dy)).collect();
    surface.draw(&Polygon::new(points, style))?;
    Ok(())
}

/// About how wide a text of the size 12 is, in pixels.
pub fn width_of(text: &str) -> u32 {
    (text.chars().count() * 32).div_ceil(5) as u32
}

/// What of a text fits; that something is missing is seen.
fn clipped(text: &str, characters: u32) -> String {
    let characters = characters as usize;
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    let kept: String = text.chars().take(characters.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// A style sheet and a name that is read aloud, and the size left to where it stands.
fn finished(svg: &str, title: &str) -> String {
    let svg = palette::dashed(svg);
    let start = svg.find("<svg").expect("an SVG document");
    let end = start + svg[start..].find('>').expect("an SVG document");
    let tag = svg[start..end].replacen("<svg", "<svg class=\"chart\" role=\"img\"", 1);
    format!(
        "{tag}>\n<title>{}</title>\n<style>\n{}</style>{}",
        escaped(title),
        palette::css(),
        &svg[end + 1..]
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
