//! TCP segments, RFC 9293 3.1.
