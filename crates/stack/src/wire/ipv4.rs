//! IPv4 headers, RFC 791 3.1.
