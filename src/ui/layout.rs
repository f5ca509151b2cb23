//! Where panes are, at any size: two columns; the agent below the others where it is tall rather than
//! wide; a stack below 60 columns, of all panes where it is tall, else one at a time; nothing below
//! 20x5.

use crate::app::model::pane::Pane;
use ratatui::layout::Rect;

/// What panes would like.
#[derive(Debug, Clone, Copy)]
pub struct Want {
    /// Rows inside the cluster pane.
    pub cluster: u16,
    /// Rows inside the chapter pane. None: there is no chapter.
    pub chapter: Option<u16>,
    /// The chapter is what there is to read now: it may have more of the screen.
    pub reading: bool,
    pub focus: Pane,
    /// The focused pane alone.
    pub zoom: bool,
}

/// Areas; an empty one is not drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layout {
    pub header: Rect,
    /// Everything between header and footer, for overlays.
    pub body: Rect,
    pub cluster: Rect,
    pub tickets: Rect,
    pub chapter: Rect,
    pub agent: Rect,
    pub footer: Rect,
}

/// Rows from which a screen is tall.
const TALL: u16 = 44;
/// Rows from which panes below each other are better than one at a time.
const TOWER: u16 = 36;
/// Columns from which two columns of panes are better than the agent below the others, however tall.
const WIDE: u16 = 100;

/// Rows a tickets pane needs to be worth drawing, frame included.
const TICKETS: u16 = 4;

impl Layout {
    /// None: there is no room for panes.
    pub fn new(area: Rect, want: Want) -> Option<Self> {
        if area.width < 20 || area.height < 5 {
            return None;
        }
        let row = |y: u16, height: u16| Rect {
            y: area.y + y,
            height,
            ..area
        };
        let body = row(1, area.height - 2);
        let mut layout = Self {
            header: row(0, 1),
            body,
            footer: row(area.height - 1, 1),
            ..Self::default()
        };
        if want.zoom {
            layout.alone(body, want.focus);
        } else if area.width < 60 && area.height < TOWER {
            layout.stack(body, want);
        } else if area.width < 60 {
            layout.columns_body(body, want);
        } else if area.width < WIDE && area.height >= TALL {
            layout.stacked_body(body, want);
        } else {
            layout.columns(body, want);
        }
        Some(layout)
    }

    fn alone(&mut self, body: Rect, pane: Pane) {
        match pane {
            Pane::Cluster => self.cluster = body,
            Pane::Tickets => self.tickets = body,
            Pane::Chapter => self.chapter = body,
            Pane::Agent => self.agent = body,
        }
    }

    /// Tall and narrow: all panes, one below the other.
    fn columns_body(&mut self, body: Rect, want: Want) {
        let (top, rest) = split_rows(body, (want.cluster + 2).min(body.height / 3));
        self.cluster = top;
        let (top, rest) = split_rows(rest, (body.height / 6).max(TICKETS));
        self.tickets = top;
        self.place_chapter_and_agent(rest, want);
    }

    /// Tall, and wide enough for two: cluster and tickets side by side, the agent below them.
    fn stacked_body(&mut self, body: Rect, want: Want) {
        let (top, rest) = split_rows(body, (want.cluster + 2).min(body.height / 3));
        let left = top.width / 2;
        self.cluster = Rect { width: left, ..top };
        self.tickets = Rect {
            x: top.x + left,
            width: top.width - left,
            ..top
        };
        self.place_chapter_and_agent(rest, want);
    }

    /// The chapter, if there is one, above the agent.
    fn place_chapter_and_agent(&mut self, area: Rect, want: Want) {
        match want.chapter {
            Some(rows) if area.height >= 8 => {
                let most = match area.height {
                    height if want.reading => height * 2 / 3,
                    0..28 => 4,
                    height => (height / 3).max(6),
                };
                (self.chapter, self.agent) = split_rows(area, (rows + 2).clamp(4, most.max(4)));
            }
            _ => self.agent = area,
        }
    }

    /// One pane at a time; the chapter stays, small, while there is room for it.
    fn stack(&mut self, mut body: Rect, want: Want) {
        if let Some(rows) = want.chapter
            && body.height >= 14
        {
            let rows = if want.reading {
                (rows + 2).clamp(5, body.height * 2 / 3)
            } else {
                5
            };
            let (top, rest) = split_rows(body, rows);
            self.chapter = top;
            body = rest;
        }
        match want.focus {
            Pane::Cluster => self.cluster = body,
            Pane::Tickets => self.tickets = body,
            Pane::Chapter if self.chapter.is_empty() => self.chapter = body,
            Pane::Chapter | Pane::Agent => self.agent = body,
        }
    }

    fn columns(&mut self, body: Rect, want: Want) {
        let left = left_columns(body.width);
        let left_column = Rect {
            width: left,
            ..body
        };
        let right = Rect {
            x: body.x + left,
            width: body.width - left,
            ..body
        };

        let cluster = (want.cluster + 2)
            .min(body.height.saturating_sub(TICKETS))
            .max(3);
        if body.height < 3 + TICKETS {
            self.cluster = left_column;
        } else {
            (self.cluster, self.tickets) = split_rows(left_column, cluster);
        }
        self.place_chapter_and_agent(right, want);
    }
}

/// Columns of the left column of a screen of `width`.
fn left_columns(width: u16) -> u16 {
    match width {
        0..100 => 30,
        100..160 => (width / 3).max(40),
        wide => (wide * 3 / 10).min(72),
    }
}

/// Columns inside the chapter pane of a screen of such a size.
pub fn chapter_columns(width: u16, height: u16) -> u16 {
    let outside = if width < 60 || (width < WIDE && height >= TALL) {
        0
    } else {
        left_columns(width)
    };
    width.saturating_sub(outside + 2).max(1)
}

fn split_rows(area: Rect, top: u16) -> (Rect, Rect) {
    let top = top.min(area.height);
    (
        Rect {
            height: top,
            ..area
        },
        Rect {
            y: area.y + top,
            height: area.height - top,
            ..area
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(chapter: bool, focus: Pane) -> Want {
        Want {
            cluster: 10,
            chapter: chapter.then_some(4),
            reading: false,
            focus,
            zoom: false,
        }
    }

    #[test]
    fn every_size_has_a_layout_inside_the_screen_and_panes_do_not_overlap() {
        for width in 0..220 {
            for height in 0..70 {
                for focus in [Pane::Cluster, Pane::Tickets, Pane::Agent] {
                    for chapter in [false, true] {
                        check(Rect::new(0, 0, width, height), want(chapter, focus));
                    }
                }
            }
        }
    }

    fn check(area: Rect, want: Want) {
        let Some(l) = Layout::new(area, want) else {
            assert!(area.width < 20 || area.height < 5);
            return;
        };
        let panes = [l.header, l.cluster, l.tickets, l.chapter, l.agent, l.footer];
        let panes: Vec<_> = panes.into_iter().filter(|p| !p.is_empty()).collect();
        let cells: u32 = panes.iter().map(|p| p.area()).sum();
        assert_eq!(cells, area.area(), "{area:?} {l:?}");
        for (n, a) in panes.iter().enumerate() {
            assert_eq!(a.intersection(area), *a, "{area:?} {l:?}");
            for b in &panes[n + 1..] {
                assert!(!a.intersects(*b), "{area:?} {l:?}");
            }
        }
    }

    #[test]
    fn at_80x24_the_left_column_has_30_columns() {
        let l = Layout::new(Rect::new(0, 0, 80, 24), want(true, Pane::Agent)).unwrap();
        assert_eq!(
            (l.cluster.width, l.tickets.width, l.agent.width),
            (30, 30, 50)
        );
        assert_eq!(l.chapter.height, 4);
    }
}
