//! IPv6 headers and extension headers, RFC 8200.
