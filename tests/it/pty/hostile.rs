//! Everything known that terminals can be made to do by what they are sent: said by a child, in
//! each of the ways a child can say something, and typed.
//!
//! What a hostile child leaves on the screen, and of the terminal, is compared with what a clean one
//! leaves that says the same without it. A terminal emulator judges, which tells each thing that it
//! was asked to do.

use super::harness::Dashboard;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fmt::Debug, fs};

/// What is said between `<` and `>`, and what may be left of it.
fn corpus() -> Vec<(Vec<u8>, &'static str)> {
    let long = |start: &str, middle: &str, end: &str| {
        [start, &middle.repeat(20_000), end].concat().into_bytes()
    };
    let mut all: Vec<(Vec<u8>, &str)> = GONE.iter().map(|s| (s.to_vec(), "")).collect();
    for string in ["\x1b]", "\x1bP", "\x1b_", "\x1b^", "\x1bX"] {
        for end in ["\x1b\\", "\x07"] {
            // Only OSC ends with BEL; the others go on to the end of the line.
            if end == "\x1b\\" || string == "\x1b]" {
                all.push((long(string, "0;x", end), ""));
            }
        }
    }
    all.push((long("\x1b[", "1;", "m"), ""));
    all.push((long("\x1b[", "9", "C"), ""));
    all.extend(LEFT.iter().map(|(s, left)| (s.to_vec(), *left)));
    all
}

/// Of these nothing is left.
const GONE: &[&[u8]] = &[
    // Controls.
    b"\x07\x07",
    b"\x00\x05\x0b\x0c\x0e\x0f\x11\x13",
    // The cursor, what is on the screen, where it scrolls.
    b"\x1b[H\x1b[99;99H\x1b[5A\x1b[5B\x1b[5C\x1b[5D\x1b[3E\x1b[3F\x1b[7G\x1b[9d\x1b[6`",
    b"\x1b[2J\x1b[3J\x1b[J\x1b[1K\x1b[K\x1b[9X\x1b[9P\x1b[9@\x1b[9L\x1b[9M\x1b[?2J\x1b[1${",
    b"\x1b[2;4r\x1b[9S\x1b[9T\x1bD\x1bM\x1bE\x1b[?69h\x1b[3;9s",
    b"\x1b7\x1b8\x1b[s\x1b[u\x1bH\x1b[g\x1b[3g\x1b[2I\x1b[2Z\x1b[1;1;9;9$z\x1b[99b",
    // All of the terminal.
    b"\x1bc",
    b"\x1b[!p",
    b"\x1b#8",
    b"\x1b#3\x1b#4\x1b#6",
    b"\x1b%@\x1b%G\x1b F\x1b G",
    b"\x1b(0\x1b)0\x1b*0\x1b+0\x1bn\x1bo\x1bN\x1bO\x1b~\x1b}\x1b|",
    b"\x1b=\x1b>",
    // Modes.
    b"\x1b[?1049l\x1b[?1047l\x1b[?47l\x1b[?1048l",
    b"\x1b[?1049h\x1b[?47h",
    b"\x1b[?25h\x1b[?25l\x1b[?12h\x1b[5 q",
    b"\x1b[?7l\x1b[?6h\x1b[?5h\x1b[?3h\x1b[?40h\x1b[?8l\x1b[?45h",
    b"\x1b[4h\x1b[20h\x1b[2h\x1b[12l\x1b[34h",
    b"\x1b[?9h\x1b[?1000h\x1b[?1001h\x1b[?1002h\x1b[?1003h\x1b[?1005h\x1b[?1006h\x1b[?1015h\x1b[?1016h",
    b"\x1b[?2004l\x1b[?1004h\x1b[?1h\x1b[?66h\x1b[?1007h\x1b[?2031h\x1b[?2048h",
    b"\x1b[?2026h",
    b"\x1b[>4;2m\x1b[>1u\x1b[=15u\x1b[<9u\x1b[?1036h\x1b[?9001h",
    // Looks that stay.
    b"\x1b[1;3;4;5;7;8;9;31;42m",
    b"\x1b[38;5;196m\x1b[48;2;255;0;0m\x1b[4:3m\x1b[58:2::1:2:3m",
    b"\x1b[38;5m\x1b[38;2;999;-1m\x1b[;;;m\x1b[\xe2\x82\xacm",
    // What the terminal is asked, and would type.
    b"\x1b[c\x1b[>c\x1b[=c\x1b[5n\x1b[6n\x1b[?6n\x1b[?996n\x1bZ\x1b[x\x1b[>q",
    b"\x1b[21t\x1b[20t\x1b[18t\x1b[14t\x1b[19t\x1b[11t\x1b[13t",
    b"\x1bP$q\"p\x1b\\\x1bP+q544e\x1b\\\x1b[?u\x1b[?2026$p\x1b[1;1;1;1;1;1*y",
    b"\x1b]4;1;?\x07\x1b]10;?\x07\x1b]11;?\x1b\\\x1b]12;?\x07\x1b]52;c;?\x07\x1b]702;?\x07",
    // The window.
    b"\x1b[8;5;5t\x1b[4;9;9t\x1b[2t\x1b[1t\x1b[9;1t\x1b[3;9;9t\x1b[22t\x1b[23t\x1b[*|",
    b"\x1b]0;PWN\x07\x1b]1;PWN\x07\x1b]2;PWN\x1b\\\x1b]l;PWN\x1b\\\x1b]30;PWN\x07",
    // Colours, fonts, folders, pointers.
    b"\x1b]4;1;rgb:00/00/00\x07\x1b]10;red\x07\x1b]11;#fff\x07\x1b]104\x07\x1b]110\x07\x1b]50;x\x07",
    b"\x1b]7;file://pwn/\x07\x1b]22;wait\x07\x1b]66;s=7;x\x07\x1b]P0000000\x1b\\",
    // Clipboard, links, notices, progress, files, marks, programs.
    b"\x1b]52;c;UFdO\x07\x1b]52;;UFdO\x1b\\\x1b]5522;type=write\x07",
    b"\x1b]8;;http://pwn/\x1b\\\x1b]8;id=1;file:///pwn\x07",
    b"\x1b]9;PWN\x07\x1b]9;4;1;50\x07\x1b]777;notify;PWN;PWN\x07\x1b]99;i=1;PWN\x1b\\",
    b"\x1b]1337;File=name=cHdu;inline=1:UFdO\x07\x1b]1337;SetMark\x07\x1b]1337;RequestUpload=x\x07",
    b"\x1b]133;A\x07\x1b]633;E;rm -rf\x07\x1b]3008;start=1\x1b\\\x1b]6;1;bg;red;brightness;9\x07",
    b"\x1b]46;/tmp/pwn\x07\x1b]51;[\"call\",\"Tapi_x\",[]]\x07\x1b]7770\x07\x1b]i;x\x07",
    // Pictures, downloads, what is passed on.
    b"\x1bPq#0;2;0;0;0~~@@vv\x1b\\\x1bP0p\x1b\\\x1bP1;1|17/17\x1b\\\x1bP2$t\x1b\\",
    b"\x1b_Gf=24,t=f,a=T;L2V0Yy9wYXNzd2Q=\x1b\\\x1b_PWN\x1b\\\x1b^PWN\x1b\\\x1bXPWN\x1b\\",
    b"\x1bPtmux;\x1b\x1b]52;c;UFdO\x07\x1b\\",
    b"\x1b[5i\x1b[4i\x1b[?5i\x1b[?4i\x1b[i",
    // In pieces, one in the other, given up.
    b"\x1b[31\x1b[32m\x1b]0;a\x1b]0;b\x07\x1b\x1b[2J\x1b[\x1b[H",
    b"\x1b[31\x18\x1b]0;x\x18\x1b[3\x1a\x1bP\x1a",
    b"\x1b[99999999999999999999;4294967296;-1m\x1b[1;2;3;4;5;6;7;8;9;1;2;3;4;5;6;7;8;9;1;2;3;4m",
    b"\x1b[?;?;?h\x1b[!!!!p\x1b[    q\x1b((((0\x1b$$$$B",
];

/// And of these something.
const LEFT: &[(&[u8], &str)] = &[
    // Not UTF-8: a Latin 1 letter, overlong, surrogates, above the last, cut; C1 in one byte.
    (b"\xe9", "\u{fffd}"),
    (b"\xc0\xaf", "\u{fffd}\u{fffd}"),
    (b"\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}"),
    (b"\xf4\x90\x80\x80", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
    (b"\xe2\x82", "\u{fffd}"),
    (b"\x9b2J", "\u{fffd}2J"),
    (b"\x9d0;PWN\x9c", "\u{fffd}0;PWN\u{fffd}"),
    // A title, but for few terminals; elsewhere it is this.
    (b"\x1bkPWN\x1b\\", "PWN"),
    // Written over, as a terminal would show it.
    (b"PWN\x08\x08\x08ok ", "ok "),
    // Marks that pile up, wide ones, families, flags, ligatures, what is drawn like spaces.
    (
        "e\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}".as_bytes(),
        "e\u{301}\u{302}\u{303}\u{304}",
    ),
    ("字漢\u{1f980}".as_bytes(), "字漢\u{1f980}"),
    (
        "\u{1f469}\u{200d}\u{1f4bb}".as_bytes(),
        "\u{1f469}<200d>\u{1f4bb}",
    ),
    ("\u{fdfd}\u{12031}".as_bytes(), "\u{fdfd}\u{12031}"),
    (
        "\u{a0}\u{2003}\u{3000}".as_bytes(),
        "\u{a0}\u{2003}\u{3000}",
    ),
    // What is not seen, or turns what is, is seen.
    ("\u{80}\u{84}\u{85}\u{88}\u{8d}\u{8e}\u{8f}\u{9a}\u{9c}".as_bytes(), "<80><84><85><88><8d><8e><8f><9a><9c>"),
    ("\u{9b}\u{90}\u{9d}\u{9e}\u{9f}\u{98}".as_bytes(), "<9b><90><9d><9e><9f><98>"),
    ("\u{202a}\u{202b}\u{202d}\u{202e}\u{202c}\u{2066}\u{2067}\u{2068}\u{2069}\u{200e}\u{200f}\u{61c}".as_bytes(), "<202a><202b><202d><202e><202c><2066><2067><2068><2069><200e><200f><61c>"),
    ("\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{ad}\u{34f}\u{180e}\u{3164}\u{ffa0}\u{115f}".as_bytes(), "<200b><200c><200d><2060><feff><ad><34f><180e><3164><ffa0><115f>"),
    ("\u{2028}\u{2029}\u{fff9}\u{fffa}\u{fffb}\u{fe0f}\u{e0100}".as_bytes(), "<2028><2029><fff9><fffa><fffb><fe0f><e0100>"),
    ("\u{e0001}\u{e0052}\u{e004d}\u{e007f}\u{7f}".as_bytes(), "<e0001><e0052><e004d><e007f><7f>"),
    // These read no markup.
    (b"<b>&amp;{{x}}$(id)`id`%s%n", "<b>&amp;{{x}}$(id)`id`%s%n"),
];

/// The corpus as lines, or what is clean of it.
fn lines(hostile: bool) -> Vec<Vec<u8>> {
    let line = |(n, (said, left)): (usize, (Vec<u8>, &str))| {
        let said = if hostile { &said } else { left.as_bytes() };
        [format!("{n} <").as_bytes(), said, b">"].concat()
    };
    let mut all: Vec<_> = corpus().into_iter().enumerate().map(line).collect();
    // Those that end with their line at the latest, and a line that begins again.
    for open in [
        "\x1b",
        "\x1b[",
        "\x1b[?1",
        "\x1b]0;PWN",
        "\x1bPq",
        "\x1b_G",
        "\x1b^x",
        "\x1bXx",
    ] {
        let open = if hostile { open } else { "" };
        all.push([b"open <", open.as_bytes()].concat());
    }
    let over: &[u8] = if hostile { b"PWN PWN\r" } else { b"" };
    all.push([over, b"over"].concat());
    all
}

/// Said as the agent's events, in each field that is shown: all that is text, several in a line, for
/// no more than a hundred are kept.
fn events(hostile: bool) -> Vec<u8> {
    let pairs = lines(true).into_iter().zip(lines(false));
    let text = pairs.filter_map(|(said, left)| {
        let said = String::from_utf8(said).ok()?;
        // A megabyte is no event; what is never ended, or begins again, takes the others with it.
        let fits = said.len() < 4096 && !said.starts_with("open") && !said.contains('\r');
        let left = || String::from_utf8(left).ok();
        fits.then(|| if hostile { Some(said) } else { left() })?
    });
    let text: Vec<_> = text.collect();
    let mut out = Vec::new();
    let mut say = |body: Value| {
        let mut event = json!({"v": 1, "seq": 1, "at": "2026-01-30T10:00:00Z", "session": "s"});
        for (key, value) in body.as_object().unwrap() {
            event[key] = value.clone();
        }
        out.extend(event.to_string().into_bytes());
        out.push(b'\n');
    };
    say(
        json!({"type": "hello", "agent": "a", "version": "0", "pid": 1, "model": "m",
        "mode": "autonomous", "ledger": "x"}),
    );
    for (n, line) in text.chunks(9).map(|lines| lines.join(" ")).enumerate() {
        say(json!({"type": "session_start", "ticket": 1, "title": line}));
        say(json!({"type": "thinking", "delta": line, "end": true}));
        say(json!({"type": "text", "delta": line, "end": true}));
        say(
            json!({"type": "tool_call", "call": n.to_string(), "tool": "shell", "input": line,
            "reasoning": line}),
        );
        say(
            json!({"type": "decision", "call": n.to_string(), "approved": true, "by": line,
            "why": line}),
        );
        say(
            json!({"type": "tool_output", "call": n.to_string(), "stream": "stdout",
            "text": format!("{line}\n")}),
        );
        say(
            json!({"type": "tool_result", "call": n.to_string(), "exit_code": 0,
            "duration_ms": 1}),
        );
        say(json!({"type": "verify", "state": "waiting", "detail": line}));
        say(json!({"type": "notice", "level": "warn", "text": line}));
    }
    out.extend(b"that was all\n");
    out
}

/// What a terminal was asked to do beside showing text.
#[derive(Default)]
struct Asked(BTreeSet<String>);

impl Asked {
    fn to(&mut self, what: &str, how: &[&dyn Debug]) {
        self.0.insert(format!("{what} {how:?}"));
    }
}

impl vt100::Callbacks for Asked {
    fn audible_bell(&mut self, _: &mut vt100::Screen) {
        self.to("bell", &[]);
    }
    fn visual_bell(&mut self, _: &mut vt100::Screen) {
        self.to("flash", &[]);
    }
    fn resize(&mut self, _: &mut vt100::Screen, size: (u16, u16)) {
        self.to("size", &[&size]);
    }
    fn set_window_icon_name(&mut self, _: &mut vt100::Screen, name: &[u8]) {
        self.title(name);
    }
    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        self.title(title);
    }
    fn copy_to_clipboard(&mut self, _: &mut vt100::Screen, which: &[u8], what: &[u8]) {
        self.to("copy", &[&which, &what]);
    }
    fn paste_from_clipboard(&mut self, _: &mut vt100::Screen, which: &[u8]) {
        self.to("paste", &[&which]);
    }
    fn unhandled_char(&mut self, _: &mut vt100::Screen, c: char) {
        self.to("char", &[&c]);
    }
    fn unhandled_control(&mut self, _: &mut vt100::Screen, byte: u8) {
        self.to("control", &[&byte]);
    }
    fn unhandled_escape(&mut self, _: &mut vt100::Screen, a: Option<u8>, b: Option<u8>, c: u8) {
        self.to("escape", &[&a, &b, &c]);
    }
    fn unhandled_csi(
        &mut self,
        _: &mut vt100::Screen,
        a: Option<u8>,
        b: Option<u8>,
        params: &[&[u16]],
        c: char,
    ) {
        self.to("csi", &[&a, &b, &params, &c]);
    }
    fn unhandled_osc(&mut self, _: &mut vt100::Screen, params: &[&[u8]]) {
        self.to("osc", &[&params]);
    }
}

impl Asked {
    /// Ours come and go with what is the case; which, is not the point here.
    fn title(&mut self, title: &[u8]) {
        let title = String::from_utf8_lossy(title);
        if !title.starts_with("operator: ") || title.contains("PWN") {
            self.to("title", &[&title]);
        }
    }
}

/// What is left of a dashboard: what its agent said, as it looks; how the terminal is set meanwhile;
/// what else the terminal was asked; and the terminal when it was given back.
#[derive(Debug, PartialEq)]
struct Left {
    text: Vec<String>,
    pane: Vec<String>,
    meanwhile: String,
    asked: BTreeSet<String>,
    end: String,
}

const WIDTH: u16 = 130;
/// All lines that are kept are on the screen.
const HEIGHT: u16 = 400;

fn left_by(said: &[u8], redirected: &str) -> Left {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, said).unwrap();
    // The last line comes after all others are on the screen, on stdout as on stderr.
    let script = format!(
        "cat {} {redirected}; read x; echo END; cat",
        file.path().display()
    );
    let mut dash = Dashboard::new(WIDTH, HEIGHT, &["--no-monitor", "--agent-cmd", &script]);
    // What is typed before the terminal is the dashboard's, the terminal itself shows.
    dash.until(|s| s.contains("q quit"));
    dash.send("z");
    dash.until(|s| s.contains("that was all") && !s.contains("agent STARTING"));
    dash.send("mgo on\r");
    dash.until(|s| s.contains("END"));
    let (text, pane, meanwhile) = dash.with_screen(|screen| {
        let inside = 2..HEIGHT - 3;
        let rows = inside.clone().map(|row| looks(screen, row));
        let text = screen.rows(0, WIDTH).skip(2).take(inside.len());
        (
            text.collect(),
            rows.collect(),
            screen.input_mode_formatted(),
        )
    });
    dash.send("q");
    assert_eq!(dash.exit_code(), 0);
    dash.assert_terminal_as_found();
    let (rows, columns) = (HEIGHT.try_into().unwrap(), WIDTH.try_into().unwrap());
    let mut terminal = vt100::Parser::new_with_callbacks(rows, columns, 0, Asked::default());
    terminal.process(&dash.bytes());
    Left {
        text,
        pane,
        meanwhile,
        end: terminal.screen().state_formatted(),
        asked: std::mem::take(&mut terminal.callbacks_mut().0),
    }
}

/// A row, and how each cell of it looks that is not plain.
fn looks(screen: &vt100::Screen, row: u16) -> String {
    let cells = (0..WIDTH).filter_map(|column| screen.cell(row, column));
    let cell = |cell: &vt100::Cell| {
        let text = if cell.has_contents() {
            cell.contents()
        } else {
            " "
        };
        let blank = text == " ";
        let colours = (!blank).then(|| cell.fgcolor());
        let bits = [
            cell.inverse(),
            cell.underline(),
            !blank && cell.bold(),
            !blank && cell.dim(),
            !blank && cell.italic(),
        ];
        let plain = matches!(colours, None | Some(vt100::Color::Default))
            && cell.bgcolor() == vt100::Color::Default
            && bits == [false; 5];
        if plain {
            text.to_owned()
        } else {
            format!("{text}{colours:?}{:?}{bits:?}", cell.bgcolor())
        }
    };
    cells.map(cell).collect()
}

#[track_caller]
fn assert_nothing_left_of(hostile: &[u8], clean: &[u8], redirected: &str) {
    let (left, expected) = (left_by(hostile, redirected), left_by(clean, redirected));
    // What can be read tells most.
    assert_eq!(left.text, expected.text);
    assert_eq!(left, expected);
    assert!(expected.text.iter().any(|row| row.contains("END")));
}

fn joined(hostile: bool) -> Vec<u8> {
    let mut all = lines(hostile).join(&b'\n');
    all.extend(b"\nthat was all\n");
    all
}

#[test]
fn what_a_child_says_does_nothing_to_the_terminal() {
    assert_nothing_left_of(&joined(true), &joined(false), "");
}

#[test]
fn nor_does_what_it_says_on_stderr() {
    assert_nothing_left_of(&joined(true), &joined(false), ">&2");
}

#[test]
fn nor_do_its_events() {
    assert_nothing_left_of(&events(true), &events(false), "");
}

/// What may come from a terminal, or from somebody who types into it: answers that nobody asked for,
/// a mouse that is nowhere, keys that no keyboard has, what is cut, what is no text.
const TYPED: &[&[u8]] = &[
    b"\x1b[<0;0;0M\x1b[<0;0;0m\x1b[<64;0;65535M\x1b[<32;65535;65535M\x1b[<255;1;1M",
    b"\x1b[M\x20\x20\x20\x1b[M\x00\x00\x00\x1b[M\xff\xff\xff\x1b[32;0;0M",
    b"\x1b[0;0R\x1b[1;1R\x1b[65536;1R\x1b[;R",
    b"\x1b[?1;2c\x1b[?64;1;2;6c\x1b[?0u\x1b[?31u",
    b"\x1b[I\x1b[O\x1b[I",
    b"\x1b[99999999999999999999~\x1b[0~\x1b[;~\x1b[200;200~\x1b[1;99A\x1b[1;1;1;1A",
    b"\x1b[57358;1u\x1b[1114112;1u\x1b[0;0u\x1b[97;999;999u",
    b"\x1bO\x01\x1bOz\x1b[[\x01\x1b[[Z",
    b"\x00\x02\x05\x0e\x10\x14\x16\x1c\x1d\x1e\x1f\x7f",
    b"\xff\xfe\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80",
    b"\xe2\x82~\xc3~\xf0\x9f~",
    b"\x1b[200~PWN\x1b]0;PWN\x07\x1b[2J\xff\xfe\r\nPWN\x1b[201~",
];

#[test]
fn nor_does_what_is_typed_at_it() {
    let mut dash = Dashboard::new(100, 30, &["--no-monitor", "--agent-cmd", "echo up; cat"]);
    dash.until(|s| s.contains("up"));
    for mouse in ["Mouse on", "Mouse off"] {
        dash.send("M");
        dash.until(|s| s.contains(mouse));
        for typed in TYPED {
            dash.send_bytes(typed);
            // What was begun ends here, at the latest.
            dash.send("~\x1b[A");
        }
        dash.send("?");
        dash.until(|s| s.contains("Esc closes"));
        dash.send("q");
        dash.until(|s| !s.contains("Esc closes"));
    }
    // Pasted into a prompt, too, and far too much of it: nothing of that is taken.
    dash.send("/");
    dash.send_bytes(b"\x1b[200~PWN\x1b]0;PWN\x07\x1b[2J\xff\xfe\r\nPWN\x1b[201~");
    dash.until(|s| s.contains("PWN"));
    let paste = [
        b"\x1b[200~",
        &TYPED.concat()[..TYPED.concat().len() - 6],
        &b"PWN\x07\x1b[2J".repeat(50_000),
        b"end\x1b[201~",
    ];
    dash.send_bytes(&paste.concat());
    dash.until(|s| s.contains("Not pasted"));
    assert!(!dash.raw().contains("\x1b]0;PWN"));
    dash.send("\x03\x03");
    assert_eq!(dash.exit_code(), 0);
    dash.assert_terminal_as_found();
}
