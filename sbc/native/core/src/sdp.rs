//! A session description cut into its sections (RFC 8866 §5), as `sbc/sdp/parser.py` does it.
//!
//! What the lines say is read there; most of it was seen before, and is found again by its bytes.

use crate::Span;
use crate::bytes::before_line_end;
use crate::numbers::decimal;

/// `MAX_SIZE_BYTES` there.
const MOST_BYTES: usize = 32_768;
/// `MAX_LINES` there.
const MOST_LINES: usize = 1_024;
/// Far below `MAX_MEDIA` there.
const MOST_MEDIA: usize = 8;

/// One media description.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// The `m=` line.
    pub line: Span,
    /// `audio`, `video`, …
    pub kind: Span,
    /// 0 to 65535; there is one.
    pub port: u16,
    /// What follows the port.
    pub rest: Span,
    /// The lines behind, each with CRLF before it.
    pub text: Span,
}

/// One session description that begins with `v=0`; all its line ends are CRLF.
#[derive(Debug)]
pub struct Description {
    /// The `o=` line.
    pub origin: Span,
    /// The session's other lines, each with CRLF before it.
    pub text: Span,
    /// In order.
    pub media: Vec<Media>,
}

/// Cuts a description in usual spelling; None: Python decides.
#[must_use]
pub fn cut(data: &[u8]) -> Option<Description> {
    let rest = data.strip_prefix(b"v=0\r\n")?;
    if data.len() > MOST_BYTES || !data.ends_with(b"\r\n") {
        return None;
    }
    let from = data.len() - rest.len();
    let mut end = line_end(data, from)?;
    let origin = Span::new(from, end)?;
    if !is_origin(origin.of(data)) {
        return None;
    }
    let mut found = Description { origin, text: Span::new(end, end)?, media: Vec::new() };
    for _ in 2..=MOST_LINES {
        let from = end + 2;
        if from == data.len() {
            return Some(found);
        }
        end = line_end(data, from)?;
        let line = Span::new(from, end)?;
        if line.of(data).starts_with(b"m=") {
            if found.media.len() == MOST_MEDIA {
                return None;
            }
            found.media.push(media(data, line)?);
        } else {
            let text = found.media.last_mut().map_or(&mut found.text, |media| &mut media.text);
            text.to = line.to;
        }
    }
    None
}

/// Where the CRLF of the line at `from` is; None where it has another end.
fn line_end(data: &[u8], from: usize) -> Option<usize> {
    let end = from + before_line_end(data.get(from..)?)?;
    data[end..].starts_with(b"\r\n").then_some(end)
}

/// Whether this is `o=` and six words with one space between.
fn is_origin(line: &[u8]) -> bool {
    let Some(words) = line.strip_prefix(b"o=") else { return false };
    let mut count = 0;
    words.split(|&byte| byte == b' ').all(|word| {
        count += 1;
        !word.is_empty() && !word.contains(&0)
    }) && count == 6
}

/// `m=kind port rest`, with one space between.
fn media(data: &[u8], line: Span) -> Option<Media> {
    let text = &line.of(data)[2..];
    let from = usize::from(line.from) + 2;
    let end = text.iter().position(|&byte| byte == b' ')?;
    let digits = &text[end + 1..];
    let size = digits.iter().position(|&byte| byte == b' ')?;
    let rest = &digits[size + 1..];
    if end == 0 || size > 5 || matches!(rest.first(), None | Some(b' ')) || text.contains(&0) {
        return None;
    }
    Some(Media {
        line,
        kind: Span::new(from, from + end)?,
        port: u16::try_from(decimal(&digits[..size])?).ok()?,
        rest: Span::new(from + end + size + 2, usize::from(line.to))?,
        text: Span { from: line.to, to: line.to },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: &[u8] = b"v=0\r\no=a 1 2 IN IP4 h\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8\r\n\
        a=ptime:20\r\n\r\nm=video 0 RTP/AVP 31\r\n";

    #[test]
    fn a_usual_one() {
        let found = cut(USUAL).unwrap();
        let [audio, video] = found.media[..] else { panic!("{found:?}") };
        assert_eq!(found.origin.of(USUAL), b"o=a 1 2 IN IP4 h");
        assert_eq!(found.text.of(USUAL), b"\r\ns=-\r\nt=0 0");
        assert_eq!(audio.line.of(USUAL), b"m=audio 4000 RTP/AVP 0 8");
        assert_eq!((audio.kind.of(USUAL), audio.port), (b"audio".as_slice(), 4000));
        assert_eq!(audio.rest.of(USUAL), b"RTP/AVP 0 8");
        assert_eq!(audio.text.of(USUAL), b"\r\na=ptime:20\r\n");
        assert_eq!((video.kind.of(USUAL), video.port), (b"video".as_slice(), 0));
        assert_eq!(video.text.of(USUAL), b"");
    }

    #[test]
    fn others() {
        for (from, to) in [
            ("v=0", "v=1"),
            ("v=0\r\n", "v=0 \r\n"),
            ("IN IP4 h", "IN IP4"),
            ("IN IP4", "IN  IP4"),
            ("s=-\r\n", "s=-\n"),
            ("s=-\r\n", "s=-\r"),
            ("audio 4000", "audio  4000"),
            ("audio 4000", "audio 4000/1"),
            ("audio 4000", "audio 65536"),
            ("audio 4000", "audio 004000"),
            ("audio 4000", "au\0io 4000"),
            ("m=audio", "m="),
            (" RTP/AVP 31\r\n", "\r\n"),
            (" RTP/AVP 31\r\n", " \r\n"),
            (" RTP/AVP 31\r\n", " RTP/AVP 31"),
        ] {
            let text = str::from_utf8(USUAL).unwrap();
            assert!(text.contains(from));
            assert!(cut(text.replace(from, to).as_bytes()).is_none(), "{to:?}");
        }
    }
}
