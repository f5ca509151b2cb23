use jiff::Timestamp;
use operator_tui::{
    app::{self, *},
    supervisor::{Fact, Item},
    ui,
};
use ratatui::Terminal;
use std::time::Instant;
fn main() {
    let config = Config {
        subject: "tikv".into(),
        place: "http://127.0.0.1:1".into(),
        pd: "http://127.0.0.1:1".into(),
        ledger: "/tmp/x.db".into(),
        agent: Role::Run(Default::default()),
        monitor: Role::Off("x".into()),
        demo: None,
    };
    let mut state = State::new(&config, None, Timestamp::now());
    app::update(
        &mut state,
        Event::Child(Child::Agent, vec![Item::Fact(Fact::Started { pid: 1 })]),
        Timestamp::now(),
        Instant::now(),
    );
    let mut t = Terminal::with_options(
        operator_tui::terminal::Backend::default(),
        ratatui::TerminalOptions {
            viewport: ratatui::Viewport::Fixed(ratatui::layout::Rect::new(0, 0, 160, 40)),
        },
    )
    .unwrap();
    let mut n = 0;
    let (mut up, mut dr, mut tk) = (0u128, 0, 0);
    let mut bytes = 0;
    let rounds = 2000;
    for _ in 0..rounds {
        n += 1;
        let a = Instant::now();
        let line = format!("tick {n:06} 00000004906784467725");
        let items = vec![Item::Plain {
            line: line.into_bytes(),
            stderr: false,
            omitted: 0,
        }];
        app::update(
            &mut state,
            Event::Child(Child::Agent, items),
            Timestamp::now(),
            Instant::now(),
        );
        let b = Instant::now();
        let mut render = 0;
        t.draw(|f| {
            let r = Instant::now();
            ui::draw(f, &state, ui::Theme::from_env());
            render = r.elapsed().as_nanos();
        })
        .unwrap();
        let c = Instant::now();
        bytes += t.backend_mut().take().unwrap().len();
        up += (b - a).as_nanos();
        dr += (c - b).as_nanos();
        tk += render;
    }
    println!(
        "update {} ns, draw {} ns of which render {} ns; {} bytes",
        up / rounds,
        dr / rounds,
        tk / rounds,
        bytes / rounds as usize
    );
}
