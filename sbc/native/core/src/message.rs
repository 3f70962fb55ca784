//! The head of a message: its start line, where each header line stands, and what every
//! transaction needs of them.

use crate::bytes::{SPACE, TOKEN, VISIBLE, all, before_line_end, is, run};
use crate::names::{Name, method};
use crate::numbers::{decimal, sequence};
use crate::{Span, Via, address, uri, via};

/// `MAX_MESSAGE_BYTES` of `sbc/sip/grammar.py`.
const MOST_BYTES: usize = 65_535;
/// `MAX_LINE_BYTES` there: a head that is no longer has no longer line.
const MOST_HEAD_BYTES: usize = 8_192;
/// Below `MAX_HEADERS` there: so many are not usual.
const MOST_LINES: usize = 128;
/// How many a message nearly always has at most.
const USUAL_LINES: usize = 20;

/// One header line, CRLF excluded.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// The first byte of its name.
    pub from: u16,
    /// One past the name: where its colon is.
    pub colon: u16,
    /// The value without white space around it.
    pub value: Span,
    /// One past its last byte: where its CR is.
    pub end: u16,
    /// Which header.
    pub name: Name,
}

impl Line {
    /// The line with its CRLF.
    #[must_use]
    pub fn whole(&self, data: &[u8]) -> Span {
        let end = usize::from(self.end) + 2;
        Span::new(usize::from(self.from), end.min(data.len())).unwrap_or_default()
    }

    /// Its name as received.
    #[must_use]
    pub fn spelling(&self) -> Span {
        Span { from: self.from, to: self.colon }
    }

    /// Whether a canonical name, whose number is `name`, is this line's.
    #[must_use]
    pub fn is(&self, data: &[u8], name: Name, text: &[u8]) -> bool {
        if name != Name::OTHER || self.name != Name::OTHER {
            return name == self.name;
        }
        let spelling = self.spelling().of(data);
        spelling.len() == text.len()
            && spelling.iter().zip(text).all(|(one, other)| one.to_ascii_lowercase() == *other)
    }
}

/// The first line.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// `method uri SIP/2.0`; the method is that of CSeq.
    Request {
        /// As received.
        uri: Span,
    },
    /// `SIP/2.0 status reason`.
    Response {
        /// 100 to 699.
        status: u16,
        /// As received; may be empty.
        reason: Span,
    },
}

/// A message that was recognised.
#[derive(Debug)]
pub struct Message {
    /// The first line.
    pub start: Start,
    /// The header lines, in order.
    pub lines: Box<[Line]>,
    /// Which known names it has, as bits.
    names: u128,
    /// Content-Length bytes, or all that follow the head.
    pub body: Span,
    /// The value of Call-ID.
    pub call_id: Span,
    /// The number of CSeq.
    pub cseq: u32,
    /// The method of CSeq, by its place in [`crate::METHODS`].
    pub method: u8,
    /// Empty where there is none.
    pub from_tag: Span,
    /// Empty where there is none.
    pub to_tag: Span,
    /// The topmost.
    pub via: Via,
}

impl Message {
    /// The lines of that canonical name.
    pub fn of<'a>(&'a self, data: &'a [u8], text: &'a [u8]) -> impl Iterator<Item = &'a Line> {
        let name = Name::canonical(text);
        let absent = name != Name::OTHER && self.names & name.bit() == 0;
        let lines = if absent { &[] } else { &*self.lines };
        lines.iter().filter(move |line| line.is(data, name, text))
    }
}

/// The first lines that the parser itself reads, by the place of each in the list.
#[derive(Default)]
struct First {
    via: Span,
    from: Span,
    to: Span,
    call_id: Span,
    cseq: Span,
    length: Option<Span>,
}

/// What `parse` of `sbc/sip/parser.py` would make of this; None: ask it.
#[must_use]
pub fn read(data: &[u8]) -> Option<Message> {
    if data.len() > MOST_BYTES {
        return None;
    }
    let start_end = line_end(data, 0)?;
    let (start, named) = start(data, start_end)?;
    let mut lines = Vec::with_capacity(USUAL_LINES);
    let mut names = 0;
    let mut first = First::default();
    let mut at = start_end + 2;
    while data.get(at)? != &b'\r' {
        let line = line(data, at)?;
        if names & line.name.bit() == 0 {
            names |= line.name.bit();
            first.keep(&line);
        } else if line.name.is_single() {
            return None;
        }
        if lines.len() == MOST_LINES {
            return None;
        }
        at = usize::from(line.end) + 2;
        lines.push(line);
    }
    if data.get(at + 1)? != &b'\n' || at > MOST_HEAD_BYTES {
        return None;
    }
    let call_id = first.call_id;
    let (cseq, word) = sequence(first.cseq.of(data))?;
    let method = method(word)?;
    if !all(call_id.of(data), VISIBLE) || named.is_some_and(|named| named != method) {
        return None;
    }
    Some(Message {
        start,
        lines: lines.into_boxed_slice(),
        names,
        body: body(data, at + 2, first.length)?,
        call_id,
        cseq,
        method,
        from_tag: address::tag(data, first.from)?,
        to_tag: address::tag(data, first.to)?,
        via: via::read(data, first.via)?,
    })
}

impl First {
    fn keep(&mut self, line: &Line) {
        match line.name {
            Name::VIA => self.via = line.value,
            Name::FROM => self.from = line.value,
            Name::TO => self.to = line.value,
            Name::CALL_ID => self.call_id = line.value,
            Name::CSEQ => self.cseq = line.value,
            Name::CONTENT_LENGTH => self.length = Some(line.value),
            _ => {}
        }
    }
}

/// Where the CRLF of the line at `from` is; None where it has another end.
fn line_end(data: &[u8], from: usize) -> Option<usize> {
    let end = from + before_line_end(data.get(from..)?)?;
    (data[end..].starts_with(b"\r\n")).then_some(end)
}

/// The first line, and the method that it names.
fn start(data: &[u8], end: usize) -> Option<(Start, Option<u8>)> {
    let line = &data[..end];
    if let Some(rest) = line.strip_prefix(b"SIP/2.0 ") {
        let status = u16::try_from(decimal(rest.get(..3)?)?).ok()?;
        let reason = match rest.get(3) {
            None => Span::default(),
            Some(b' ') => Span::new(12, end)?,
            Some(_) => return None,
        };
        return (100..700).contains(&status).then_some((Start::Response { status, reason }, None));
    }
    let line = line.strip_suffix(b" SIP/2.0")?;
    let space = line.iter().position(|&byte| byte == b' ')?;
    let uri = Span::new(space + 1, line.len())?;
    let method = method(&line[..space])?;
    uri::is_usual(uri.of(data)).then_some((Start::Request { uri }, Some(method)))
}

/// The header line at `from`.
fn line(data: &[u8], from: usize) -> Option<Line> {
    let rest = data.get(from..)?;
    let size = run(rest, TOKEN);
    if size == 0 || rest.get(size) != Some(&b':') {
        return None;
    }
    let colon = from + size;
    let end = line_end(data, colon + 1)?;
    let text = &data[colon + 1..end];
    let before = run(text, SPACE);
    let after = text[before..].iter().rev().take_while(|&&byte| is(byte, SPACE)).count();
    Some(Line {
        from: u16::try_from(from).ok()?,
        colon: u16::try_from(colon).ok()?,
        value: Span::new(colon + 1 + before, end - after)?,
        end: u16::try_from(end).ok()?,
        name: Name::received(&rest[..size]),
    })
}

/// §18.3: what is behind Content-Length is dropped, what lacks is an error.
fn body(data: &[u8], from: usize, length: Option<Span>) -> Option<Span> {
    let declared = match length {
        Some(span) => usize::try_from(decimal(span.of(data))?).ok()?,
        None => data.len() - from,
    };
    (declared <= data.len() - from).then(|| Span::new(from, from + declared))?
}
