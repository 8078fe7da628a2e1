//! How an answer is written: for a terminal, for a pipe, or as JSON. A command makes one value of what it found; its three
//! forms are made of that here and beside that value, and nowhere in the middle of a command.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

use crate::args::{Color, variable};
use crate::commands::answers::written;
use crate::error::Error;

/// The width of a terminal that does not say its own.
const USUAL_WIDTH: usize = 80;
/// On a narrower terminal lines are longer than it is.
const LEAST_WIDTH: usize = 40;
/// What the version of an object is that a command prints with `--json`.
pub const VERSION: u32 = 1;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people, in lines of at most so many columns.
    Terminal(usize),
    /// For scripts: fields with tabs between them.
    Pipe,
    /// One JSON value.
    Json,
}

/// Where answers go.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// How an answer is written.
    pub form: Form,
    choice: ColorChoice,
}

impl Screen {
    /// Standard output. With `--color always` it counts as a terminal.
    pub fn new(color: Color, json: bool) -> Screen {
        let choice = match color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        let form = match () {
            () if json => Form::Json,
            () if io::stdout().is_terminal() || color == Color::Always => Form::Terminal(width()),
            () => Form::Pipe,
        };
        Screen { form, choice }
    }

    /// Writes an answer, or a part of it, to its end.
    ///
    /// # Errors
    /// A standard output that is full.
    pub fn print(&self, text: &str) -> Result<(), Error> {
        let mut out = self.out();
        written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
    }

    /// Where an answer goes that is too long for one piece. What is written must be flushed.
    pub fn out(&self) -> BufWriter<AutoStream<StdoutLock<'static>>> {
        BufWriter::new(AutoStream::new(io::stdout().lock(), self.choice))
    }

    /// The same for bytes that stay as they are.
    pub fn raw(&self) -> BufWriter<StdoutLock<'static>> {
        BufWriter::new(io::stdout().lock())
    }
}

/// The columns of the terminal; COLUMNS says it where the terminal does not.
fn width() -> usize {
    let of_terminal = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
    let of_variable = || variable("COLUMNS")?.to_str()?.parse().ok();
    of_terminal.filter(|width| *width > 0).or_else(of_variable).unwrap_or(USUAL_WIDTH).max(LEAST_WIDTH)
}

/// What a word means for the reader, by which it is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Something to look at.
    Caution,
    /// A refusal, or something wrong.
    Bad,
}

impl Tone {
    /// The text in the colour of the tone.
    pub fn paint(self, text: &str) -> String {
        let color = match self {
            Tone::Good => AnsiColor::Green,
            Tone::Caution => AnsiColor::Yellow,
            Tone::Bad => AnsiColor::Red,
        };
        let style = Style::new().bold().fg_color(Some(color.into()));
        format!("{style}{text}{style:#}")
    }
}

/// One field of a row.
#[derive(Clone, Debug, Default)]
pub struct Field {
    text: String,
    tone: Option<Tone>,
    is_number: bool,
}

impl Field {
    /// A text.
    pub fn text(text: impl Into<String>) -> Field {
        Field { text: text.into(), ..Field::default() }
    }

    /// A number, or what stands in its place: it ends where its column ends.
    pub fn number(text: impl Into<String>) -> Field {
        Field { is_number: true, ..Field::text(text) }
    }

    /// A word that is coloured.
    pub fn word(text: impl Into<String>, tone: Tone) -> Field {
        Field { tone: Some(tone), ..Field::text(text) }
    }

    /// Whether it is never wrapped.
    fn stays_whole(&self) -> bool {
        self.is_number || self.tone.is_some()
    }

    /// The text with blanks up to the width.
    pub fn padded(&self, width: usize) -> String {
        let room = " ".repeat(width.saturating_sub(self.text.len()));
        let text = self.tone.map_or_else(|| self.text.clone(), |tone| tone.paint(&self.text));
        if self.is_number { room + &text } else { text + &room }
    }
}

/// One row of a table, and the lines below it.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// A field for each column.
    pub cells: Vec<Field>,
    /// What more there is to say.
    pub below: Vec<String>,
}

/// What is between two columns.
const GAP: &str = "  ";

/// Rows below headings, in aligned columns. The columns are made so narrow that a line fits: after a field that is wider than
/// its column the row goes on in the next line, and the last column is wrapped.
pub fn table(width: usize, headings: &[&str], rows: &[Row]) -> String {
    let columns = widths(width, headings, rows);
    let is_number = |column: usize| rows.iter().any(|row| row.cells.get(column).is_some_and(|cell| cell.is_number));
    let heading =
        |(column, text): (usize, &&str)| Field { text: (*text).to_owned(), tone: None, is_number: is_number(column) };
    let mut text = line(&headings.iter().enumerate().map(heading).collect::<Vec<_>>(), &columns, width);
    for row in rows {
        text.push_str(&line(&row.cells, &columns, width));
        for below in &row.below {
            text.push_str(&wrapped(below, width, 4, 6));
        }
    }
    text
}

/// How wide each column is.
fn widths(width: usize, headings: &[&str], rows: &[Row]) -> Vec<usize> {
    let lengths = |column: usize| {
        let cells = rows.iter().filter_map(move |row| row.cells.get(column)).map(|cell| cell.text.len());
        cells.chain([headings[column].len()])
    };
    let mut columns: Vec<usize> = (0..headings.len()).map(|column| lengths(column).max().unwrap_or_default()).collect();
    let Some(last) = columns.len().checked_sub(1) else { return columns };
    if !rows.iter().any(|row| row.cells.get(last).is_some_and(Field::stays_whole)) {
        columns[last] = columns[last].min((width / 4).max(headings[last].len()));
    }
    while columns.iter().map(|column| column + GAP.len()).sum::<usize>() > width + GAP.len() {
        let Some(widest) = (0..last).filter(|at| columns[*at] > headings[*at].len()).max_by_key(|at| columns[*at])
        else {
            break;
        };
        columns[widest] = lengths(widest).filter(|length| *length < columns[widest]).max().unwrap_or_default();
    }
    columns
}

fn line(cells: &[Field], columns: &[usize], width: usize) -> String {
    let Some((last, first)) = cells.split_last() else { return "\n".to_owned() };
    let (mut text, mut start) = (String::new(), 0);
    for (cell, column) in first.iter().zip(columns) {
        start += column + GAP.len();
        if cell.text.len() > *column {
            text.push_str(&format!("{}\n{}", cell.padded(0), " ".repeat(start)));
        } else {
            text.push_str(&(cell.padded(*column) + GAP));
        }
    }
    if last.stays_whole() {
        let own = if last.is_number { columns.last().copied().unwrap_or_default() } else { 0 };
        text.push_str(&last.padded(own));
    } else {
        text.push_str(wrapped(&last.text, width.max(start + LEAST_WIDTH / 2), start, start).trim());
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// A text in lines of at most `width` columns, the first after `first` blanks, the others after `others`. A word that is
/// longer than a line stays whole, so that it can be copied.
pub fn wrapped(text: &str, width: usize, first: usize, others: usize) -> String {
    let mut lines = " ".repeat(first);
    let (mut column, mut is_empty) = (first, true);
    for word in text.split(' ') {
        if !is_empty && column + 1 + word.len() > width {
            lines.push('\n');
            lines.push_str(&" ".repeat(others));
            column = others;
        } else if !is_empty {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += word.len();
        is_empty = false;
    }
    lines + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_before_the_width_unless_one_word_is_longer() {
        assert_eq!(wrapped("one two three", 7, 0, 2), "one two\n  three\n");
        assert_eq!(wrapped("one twotwotwo three", 7, 2, 2), "  one\n  twotwotwo\n  three\n");
        assert_eq!(wrapped("", 7, 2, 2), "  \n");
    }

    #[test]
    fn columns_are_aligned_and_the_last_one_is_wrapped() {
        let row = |name: &str, number: &str, what: &str| Row {
            cells: vec![Field::text(name), Field::number(number), Field::text(what)],
            below: Vec::new(),
        };
        let rows = [row("a", "1", "short"), row("bb", "100", "a text that is longer than what is left of the line")];
        let text = table(40, &["NAME", "N", "WHAT"], &rows);
        let wanted = "NAME    N  WHAT\n\
                      a       1  short\n\
                      bb    100  a text that is longer than\n           what is left of the line\n";
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_row_goes_on_in_the_next_line_after_a_field_that_is_wider_than_its_column() {
        let row = |fields: [&str; 4]| Row { cells: fields.map(Field::text).to_vec(), below: Vec::new() };
        let long = "a-long-name@a-long-domain.example";
        let rows = [row(["yes", "a@b.example", "b.example", "one two"]), row(["no", long, long, "three words more"])];
        let text = table(50, &["IS", "ADDRESS", "KEY", "WHY"], &rows);
        let wanted = "IS   ADDRESS      KEY        WHY\n\
                      yes  a@b.example  b.example  one two\n\
                      no   a-long-name@a-long-domain.example\n                  a-long-name@a-long-domain.example\n\
                      \x20                            three words more\n";
        assert_eq!(text, wanted);
        // What fits is not broken.
        let text = table(120, &["IS", "ADDRESS", "KEY", "WHY"], &rows);
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}
