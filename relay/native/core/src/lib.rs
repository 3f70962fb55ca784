//! The media plane without sockets and without Python: what one packet is, whether it may pass, and
//! what it looks like on the other side.
//!
//! Everything here is a function of its arguments and of the value it is called on. Time comes in
//! as monotonic seconds, nothing is logged, nothing blocks, and no bytes of a peer make it panic.
//! The modules are twins of Python's and are held to the same decisions by tests:
//!
//! | here | Python | what |
//! |---|---|---|
//! | [`packet`] | `relay/rtp/packet.py` | the RTP header, and what else arrives on a media port |
//! | [`rtcp`] | `relay/rtp/rtcp.py` | the packets of an RTCP compound |
//! | [`policer`] | `relay/policer.py` | a token bucket |
//! | [`stats`] | `relay/stats.py` | loss, jitter and gaps of one direction |
//! | [`g711`] | `relay/rtp/g711.py` | µ-law and A-law |
//! | [`srtp`] | `relay/rtp/context.py` | SRTP and SRTCP: RFC 3711, 6188 and 7714 |

#![forbid(unsafe_code)]

pub mod g711;
pub mod packet;
pub mod policer;
pub mod rtcp;
pub mod srtp;
pub mod stats;
