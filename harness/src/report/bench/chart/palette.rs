//! Colours and how they turn in the dark.
//!
//! Each role has a colour of its own in the SVG, written as an attribute, so that a renderer without CSS shows the light
//! chart. The style sheet selects by that attribute and gives each its colour for the dark. Lines differ in dash and
//! marker as well; their colours are after M. Okabe and K. Ito (Color Universal Design, 2008), which people with any
//! common colour blindness tell apart.

use std::fmt::Write as _;

use plotters::style::RGBColor;

/// A colour in the light, and in the dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    pub light: RGBColor,
    dark: RGBColor,
}

const fn role(light: (u8, u8, u8), dark: (u8, u8, u8)) -> Role {
    Role { light: RGBColor(light.0, light.1, light.2), dark: RGBColor(dark.0, dark.1, dark.2) }
}

pub const BACKGROUND: Role = role((0xff, 0xff, 0xff), (0x0d, 0x11, 0x17));
pub const TEXT: Role = role((0x1f, 0x23, 0x28), (0xe6, 0xed, 0xf3));
pub const FAINT: Role = role((0x59, 0x63, 0x6e), (0x9a, 0xa4, 0xae));
pub const AXIS: Role = role((0x8c, 0x95, 0x9f), (0x6e, 0x76, 0x81));
pub const GRID: Role = role((0xe1, 0xe4, 0xe8), (0x26, 0x2c, 0x34));

/// How many lines one chart can hold.
pub const LINES_MAX: usize = 8;

pub const LINES: [Role; LINES_MAX] = [
    role((0x00, 0x72, 0xb2), (0x4d, 0xa6, 0xe8)),
    role((0xd5, 0x5e, 0x00), (0xff, 0x85, 0x3d)),
    role((0x00, 0x9e, 0x73), (0x2f, 0xc8, 0x9b)),
    role((0xb8, 0x4f, 0x8c), (0xe8, 0x9a, 0xc7)),
    role((0x1a, 0x1a, 0x1b), (0xf2, 0xf2, 0xf0)),
    role((0xc9, 0x8a, 0x00), (0xf7, 0xc6, 0x4c)),
    role((0x3f, 0xa2, 0xdb), (0xa8, 0xd9, 0xfa)),
    role((0x80, 0x80, 0x82), (0x9e, 0x9e, 0xa0)),
];

const DASHES: [&str; LINES_MAX] = ["", "8 4", "2 3", "10 3 2 3", "", "8 4", "2 3", "10 3 2 3"];

/// Levels of the heat map, from nothing to the most.
pub const HEAT: [Role; 10] = [
    role((0xf2, 0xf5, 0xf9), (0x16, 0x1c, 0x26)),
    role((0xde, 0xea, 0xf5), (0x17, 0x25, 0x38)),
    role((0xc8, 0xde, 0xf0), (0x18, 0x30, 0x4c)),
    role((0xab, 0xcf, 0xe6), (0x1a, 0x3d, 0x63)),
    role((0x86, 0xbb, 0xda), (0x1f, 0x4d, 0x7c)),
    role((0x5f, 0xa4, 0xcd), (0x29, 0x60, 0x97)),
    role((0x3d, 0x8b, 0xbf), (0x3a, 0x77, 0xb1)),
    role((0x22, 0x70, 0xad), (0x58, 0x93, 0xc9)),
    role((0x0e, 0x54, 0x93), (0x86, 0xb4, 0xde)),
    role((0x07, 0x35, 0x6b), (0xc3, 0xdc, 0xf2)),
];
/// Text on the lighter half of the levels, and on the darker; in the dark it is the reverse.
pub const ON_LOW: Role = role((0x1f, 0x23, 0x2a), (0xe0, 0xe8, 0xf0));
pub const ON_HIGH: Role = role((0xfe, 0xfe, 0xff), (0x0c, 0x14, 0x1f));

/// From which level on text is [`ON_HIGH`].
pub const HIGH_FROM: usize = 6;

fn roles() -> impl Iterator<Item = Role> {
    [BACKGROUND, TEXT, FAINT, AXIS, GRID, ON_LOW, ON_HIGH].into_iter().chain(LINES).chain(HEAT)
}

fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// What every chart has in its style sheet.
#[must_use]
pub fn css() -> String {
    format!(
        "svg.chart text{{font-family:system-ui,-apple-system,\"Segoe UI\",\"DejaVu Sans\",sans-serif;font-variant-numeric:tabular-nums}}\n\
         @media screen and (prefers-color-scheme:dark){{\n{}}}\n",
        dark_css()
    )
}

/// The rules that turn the colours for the dark.
#[must_use]
pub fn dark_css() -> String {
    let mut css = String::new();
    for role in roles() {
        let (light, dark) = (hex(role.light), hex(role.dark));
        writeln!(
            css,
            "svg.chart [fill=\"{light}\"]{{fill:{dark}}}svg.chart [stroke=\"{light}\"]{{stroke:{dark}}}"
        )
        .expect("a String takes all");
    }
    css
}

/// Gives lines their dashes: whatever is drawn in a line's colour and as wide as lines are.
pub fn dashed(svg: &str) -> String {
    let mut text = String::with_capacity(svg.len());
    for line in svg.lines() {
        let dash = LINES.iter().zip(DASHES).find_map(|(role, dash)| {
            let is_line = line.starts_with("<polyline") && line.contains("stroke-width=\"2\"");
            let stroke = format!("stroke=\"{}\"", hex(role.light));
            (is_line && !dash.is_empty() && line.contains(&stroke)).then_some(dash)
        });
        match dash {
            Some(dash) => {
                text.push_str(&line.replacen(
                    "<polyline",
                    &format!("<polyline stroke-dasharray=\"{dash}\""),
                    1,
                ));
            }
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_a_colour_of_its_own() {
        let mut light: Vec<String> = roles().map(|role| hex(role.light)).collect();
        let count = light.len();
        light.sort();
        light.dedup();
        assert_eq!(light.len(), count, "the style sheet could not tell two roles apart");
    }

    #[test]
    fn lines_stand_out_from_the_background_in_light_and_dark() {
        for line in LINES.into_iter().chain([TEXT, FAINT]) {
            for (one, ground) in [(line.light, BACKGROUND.light), (line.dark, BACKGROUND.dark)] {
                assert!(contrast(one, ground) >= 2.8, "{} on {}", hex(one), hex(ground));
            }
        }
    }

    /// Contrast as the Web Content Accessibility Guidelines define it.
    fn contrast(one: RGBColor, other: RGBColor) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    fn luminance(RGBColor(red, green, blue): RGBColor) -> f64 {
        let linear = |channel: u8| {
            let part = f64::from(channel) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }
}
