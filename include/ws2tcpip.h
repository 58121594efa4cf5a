/*
 * ws2tcpip.h: what Winsock has of names, of text for addresses and of groups, for IPv4 and IPv6. It brings winsock2.h along.
 *
 * Errors of getaddrinfo and getnameinfo are Winsock's numbers, and WSAGetLastError returns them too.
 */
#ifndef TUNSOCK_WS2TCPIP_H
#define TUNSOCK_WS2TCPIP_H

#ifdef _NETDB_H
#error "ws2tcpip.h takes the place of netdb.h: include only one of them"
#endif

#include <winsock2.h>

/* Types */

/** One answer of getaddrinfo, and what it is asked for. */
typedef struct addrinfo {
    int ai_flags;
    int ai_family;
    int ai_socktype;
    int ai_protocol;
    socklen_t ai_addrlen;
    struct sockaddr *ai_addr;
    char *ai_canonname;
    struct addrinfo *ai_next;
} ADDRINFO, ADDRINFOA, *PADDRINFOA, *LPADDRINFO;

/** The value of IP_ADD_SOURCE_MEMBERSHIP and its kin. */
struct ip_mreq_source {
    /** The group. */
    struct in_addr imr_multiaddr;
    /** An address of the interface. */
    struct in_addr imr_interface;
    /** The sender. */
    struct in_addr imr_sourceaddr;
};

/** The value of IPV6_JOIN_GROUP and IPV6_LEAVE_GROUP. */
struct ipv6_mreq {
    /** The group. */
    struct in6_addr ipv6mr_multiaddr;
    /** The interface's number. */
    u_int ipv6mr_interface;
};

/** The value of MCAST_JOIN_GROUP and MCAST_LEAVE_GROUP. */
struct group_req {
    /** The interface's number. */
    u_long gr_interface;
    /** The group. */
    struct sockaddr_storage gr_group;
};

/** The value of MCAST_JOIN_SOURCE_GROUP and its kin. */
struct group_source_req {
    /** The interface's number. */
    u_long gsr_interface;
    /** The group. */
    struct sockaddr_storage gsr_group;
    /** The sender. */
    struct sockaddr_storage gsr_source;
};

typedef struct ip_mreq IP_MREQ, *PIP_MREQ;
typedef struct ip_mreq_source IP_MREQ_SOURCE, *PIP_MREQ_SOURCE;
typedef struct ipv6_mreq IPV6_MREQ, *PIPV6_MREQ;
typedef struct group_req GROUP_REQ, *PGROUP_REQ;
typedef struct group_source_req GROUP_SOURCE_REQ, *PGROUP_SOURCE_REQ;

/* Numbers */

#define MCAST_JOIN_GROUP 42
#define MCAST_BLOCK_SOURCE 43
#define MCAST_UNBLOCK_SOURCE 44
#define MCAST_LEAVE_GROUP 45
#define MCAST_JOIN_SOURCE_GROUP 46
#define MCAST_LEAVE_SOURCE_GROUP 47

#define AI_PASSIVE 0x0001
#define AI_CANONNAME 0x0002
#define AI_NUMERICHOST 0x0004
#define AI_V4MAPPED 0x0008
#define AI_ALL 0x0010
#define AI_ADDRCONFIG 0x0020
#define AI_NUMERICSERV 0x0400

#define NI_NUMERICHOST 0x01
#define NI_NUMERICSERV 0x02
#define NI_NOFQDN 0x04
#define NI_NAMEREQD 0x08
#define NI_DGRAM 0x10
#define NI_MAXHOST 1025
#define NI_MAXSERV 32

#define INET_ADDRSTRLEN 22
#define INET6_ADDRSTRLEN 65

#define EAI_AGAIN WSATRY_AGAIN
#define EAI_BADFLAGS WSAEINVAL
#define EAI_FAIL WSANO_RECOVERY
#define EAI_FAMILY WSAEAFNOSUPPORT
#define EAI_MEMORY WSA_NOT_ENOUGH_MEMORY
#define EAI_NODATA WSANO_DATA
#define EAI_NONAME WSAHOST_NOT_FOUND
#define EAI_SERVICE WSATYPE_NOT_FOUND
#define EAI_SOCKTYPE WSAESOCKTNOSUPPORT

/* Calls */

#ifdef __cplusplus
extern "C" {
#endif

/** The addresses of a name and a service. Returns 0 or an error (EAI_*); the list goes back by freeaddrinfo. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **answers)
    TUNSOCK_WS_(getaddrinfo);
/** Gives a list of getaddrinfo back. */
void freeaddrinfo(struct addrinfo *answers) TUNSOCK_WS_(freeaddrinfo);
/** The name and the service of an address. Returns 0 or an error (EAI_*). */
int getnameinfo(const struct sockaddr *addr, socklen_t len, char *host, DWORD host_len, char *service, DWORD service_len, int flags)
    TUNSOCK_WS_(getnameinfo);
/** What an error of these means. */
const char *gai_strerror(int error) TUNSOCK_WS_(gai_strerror);
#define gai_strerrorA gai_strerror
/** An address from text: 1, 0 when it is none, -1 for a family that there is not. */
int inet_pton(int family, const char *text, void *addr) TUNSOCK_WS_(inet_pton);
/** An address as text; NULL when it finds no room. */
const char *inet_ntop(int family, const void *addr, char *text, size_t room) TUNSOCK_WS_(inet_ntop);
#define InetPtonA inet_pton
#define InetNtopA inet_ntop

#ifdef __cplusplus
}
#endif

/* What an IPv6 address is */

static inline int IN6_ADDR_EQUAL(const struct in6_addr *a, const struct in6_addr *b) {
    return memcmp(a, b, sizeof(*a)) == 0;
}

static inline int IN6_IS_ADDR_UNSPECIFIED(const struct in6_addr *a) {
    return IN6_ADDR_EQUAL(a, &in6addr_any);
}

static inline int IN6_IS_ADDR_LOOPBACK(const struct in6_addr *a) {
    return IN6_ADDR_EQUAL(a, &in6addr_loopback);
}

static inline int IN6_IS_ADDR_MULTICAST(const struct in6_addr *a) {
    return a->s6_bytes[0] == 0xff;
}

static inline int IN6_IS_ADDR_LINKLOCAL(const struct in6_addr *a) {
    return a->s6_bytes[0] == 0xfe && (a->s6_bytes[1] & 0xc0) == 0x80;
}

static inline int IN6_IS_ADDR_SITELOCAL(const struct in6_addr *a) {
    return a->s6_bytes[0] == 0xfe && (a->s6_bytes[1] & 0xc0) == 0xc0;
}

static inline int IN6_IS_ADDR_V4MAPPED(const struct in6_addr *a) {
    static const u_char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(a, mapped, sizeof(mapped)) == 0;
}

#endif /* TUNSOCK_WS2TCPIP_H */
