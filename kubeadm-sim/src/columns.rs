//! Text in columns as Go's `text/tabwriter` sets it with kubeadm's settings (cells of at least ten, three
//! apart), and the short form of a duration that stands in such tables.

use world::Wall;

/// Least width of a column, its gap included.
const MIN_WIDTH: usize = 10;
/// Blanks behind the widest cell of a column.
const PADDING: usize = 3;

/// Rows of cells as text. A row's last cell is not padded; neighbouring rows share the widths of a
/// column for as long as each has a cell behind it, so that an empty row separates two tables.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < row.len() {
                let gap = width(rows, at, column).saturating_sub(cell.chars().count());
                text.extend(std::iter::repeat_n(' ', gap));
            }
        }
        text.push('\n');
    }
    text
}

/// Width of a column in the block of rows around row `at`.
fn width(rows: &[Vec<String>], at: usize, column: usize) -> usize {
    let has = |row: &&Vec<String>| row.len() > column + 1;
    let (above, below) = rows.split_at(at);
    above
        .iter()
        .rev()
        .take_while(has)
        .chain(below.iter().take_while(has))
        .filter_map(|row| row.get(column))
        .map(|cell| cell.chars().count() + PADDING)
        .fold(MIN_WIDTH, usize::max)
}

/// The time from `now` to `then` in one unit, as apimachinery's `ShortHumanDuration` prints it: `364d`,
/// `9y`, and `<invalid>` from two seconds ago on.
pub(crate) fn short_duration(now: Wall, then: Wall) -> String {
    match then.duration_since(now).as_secs() {
        ..-1 => "<invalid>".into(),
        -1 => "0s".into(),
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds @ 86_400..31_536_000 => format!("{}d", seconds / 86_400),
        seconds => format!("{}y", seconds / 31_536_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rows: &[&[&str]], text: &str) {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        assert_eq!(aligned(&rows), text, "{rows:?}");
    }

    #[test]
    fn cells_stand_three_apart_and_an_empty_row_parts_tables() {
        check(&[&["A", "B"], &["a", "b"]], "A         B\na         b\n");
        check(
            &[&["TOKEN", "TTL"], &["abcdef.0123456789", "x"]],
            "TOKEN               TTL\nabcdef.0123456789   x\n",
        );
        check(
            &[&["long enough to count", "B"], &[""], &["a", "b"]],
            "long enough to count   B\n\na         b\n",
        );
    }

    #[test]
    fn what_is_left_is_told_in_one_unit() {
        let now: Wall = "2026-01-01T00:00:00Z".parse().expect("an instant");
        for (seconds, words) in [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3599, "59m"),
            (86_399, "23h"),
            (86_400, "1d"),
            (364 * 86_400, "364d"),
            (365 * 86_400, "1y"),
            (3650 * 86_400 - 1, "9y"),
        ] {
            let then = now + jiff::SignedDuration::from_secs(seconds);
            assert_eq!(short_duration(now, then), words, "{seconds}");
        }
    }
}
