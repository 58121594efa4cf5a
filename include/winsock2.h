/*
 * winsock2.h: the Winsock face of tunsock. Programs written for Winsock's sockets compile with it as C and as C++; link with -ltunsock.
 *
 * What is Winsock's: SOCKET handles, WSAStartup before anything else, errors from WSAGetLastError, closesocket, ioctlsocket, int lengths,
 * select without a first argument, a broken connection as an error and never a signal, and the views of struct in_addr and in6_addr. What is Linux's:
 * the numbers behind the names, handles that are descriptors, and sockets that stay open after WSACleanup until the process ends.
 *
 * It takes the place of the system's sys/socket.h and netinet/in.h, and can't be mixed with them in one file.
 */
#ifndef TUNSOCK_WINSOCK2_H
#define TUNSOCK_WINSOCK2_H

#if defined(_SYS_SOCKET_H) || defined(_NETINET_IN_H)
#error "winsock2.h takes the place of sys/socket.h and netinet/in.h: include only one of them"
#endif

/* 32 bits with a sign, as in Winsock; the system's has none. A macro, for the system's headers may have had the name before. */
#ifndef __socklen_t_defined
#define __socklen_t_defined
#endif
typedef int tunsock_ws_socklen;
#define socklen_t tunsock_ws_socklen

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/types.h>
#include <unistd.h>

/* Types */

#ifndef __u_char_defined
typedef unsigned char u_char;
typedef unsigned short u_short;
typedef unsigned int u_int;
#endif
/* 32 bits, as in Winsock; the system's is 64. A macro, for the system's headers have the name too. */
typedef uint32_t tunsock_ws_ulong;
#define u_long tunsock_ws_ulong

typedef char CHAR;
typedef unsigned char UCHAR;
typedef unsigned char BYTE;
typedef int16_t SHORT;
typedef uint16_t USHORT;
typedef uint16_t WORD;
typedef int INT;
typedef unsigned int UINT;
typedef int32_t LONG;
typedef uint32_t ULONG;
typedef uint32_t DWORD;
typedef int BOOL;
typedef void *PVOID, *LPVOID;
typedef char *PSTR, *LPSTR;
typedef const char *PCSTR, *LPCSTR;
typedef unsigned int GROUP;
/** A socket's handle. */
typedef uintptr_t SOCKET;

#define INVALID_SOCKET ((SOCKET)~(SOCKET)0)
#define SOCKET_ERROR (-1)

#ifndef TRUE
#define TRUE 1
#define FALSE 0
#endif
/* Words around declarations that mean nothing here. */
#define FAR
#define PASCAL
#define WSAAPI
#ifndef __cdecl
#define __cdecl
#endif
#ifndef ZeroMemory
#define ZeroMemory(to, len) memset((to), 0, (len))
#endif

#define MAKEWORD(low, high) ((WORD)(((BYTE)(low)) | ((WORD)((BYTE)(high))) << 8))
#define LOBYTE(word) ((BYTE)((word) & 0xff))
#define HIBYTE(word) ((BYTE)(((word) >> 8) & 0xff))

/** An IPv4 address in network byte order, and its views. */
struct in_addr {
    union {
        struct {
            u_char s_b1, s_b2, s_b3, s_b4;
        } S_un_b;
        struct {
            u_short s_w1, s_w2;
        } S_un_w;
        u_long S_addr;
    } S_un;
};
/** The address. */
#define s_addr S_un.S_addr
/** Host on imp. */
#define s_host S_un.S_un_b.s_b2
/** Network. */
#define s_net S_un.S_un_b.s_b1
/** Imp. */
#define s_imp S_un.S_un_w.s_w2
/** Imp number. */
#define s_impno S_un.S_un_b.s_b4
/** Logical host. */
#define s_lh S_un.S_un_b.s_b3

/** The generic address. */
struct sockaddr {
    u_short sa_family;
    char sa_data[14];
};

/** Address of an IPv4 socket. */
struct sockaddr_in {
    short sin_family;
    u_short sin_port;
    struct in_addr sin_addr;
    char sin_zero[8];
};

/** An IPv6 address in network byte order, and its views. */
struct in6_addr {
    union {
        u_char Byte[16];
        u_short Word[8];
    } u;
};
/** The address's octets. */
#define s6_addr u.Byte
/** The same. */
#define s6_bytes u.Byte
/** Its halves of four octets. */
#define s6_words u.Word

/** Address of an IPv6 socket. */
struct sockaddr_in6 {
    short sin6_family;
    u_short sin6_port;
    u_long sin6_flowinfo;
    struct in6_addr sin6_addr;
    u_long sin6_scope_id;
};

/** Room for an address of any family. */
struct sockaddr_storage {
    short ss_family;
    char __ss_pad1[6];
    int64_t __ss_align;
    char __ss_pad2[112];
};

/** Value of SO_LINGER. */
struct linger {
    int l_onoff;
    int l_linger;
};

/** What gethostbyname knows of a host. */
struct hostent {
    char *h_name;
    char **h_aliases;
    int h_addrtype;
    int h_length;
    char **h_addr_list;
};
#define h_addr h_addr_list[0]

/** What getservbyname knows of a service. */
struct servent {
    char *s_name;
    char **s_aliases;
    int s_port;
    char *s_proto;
};

/** What getprotobyname knows of a protocol. */
struct protoent {
    char *p_name;
    char **p_aliases;
    int p_proto;
};

/** What WSAPoll waits for at one handle. */
typedef struct pollfd_of_winsock {
    SOCKET fd;
    SHORT events;
    SHORT revents;
} WSAPOLLFD, *PWSAPOLLFD, *LPWSAPOLLFD;

/** What WSAStartup tells. */
typedef struct WSAData {
    WORD wVersion;
    WORD wHighVersion;
    char szDescription[257];
    char szSystemStatus[129];
    unsigned short iMaxSockets;
    unsigned short iMaxUdpDg;
    char *lpVendorInfo;
} WSADATA, *LPWSADATA;

typedef struct in_addr IN_ADDR, *PIN_ADDR, *LPIN_ADDR;
typedef struct in6_addr IN6_ADDR, *PIN6_ADDR, *LPIN6_ADDR;
typedef struct sockaddr SOCKADDR, *PSOCKADDR, *LPSOCKADDR;
typedef struct sockaddr_in SOCKADDR_IN, *PSOCKADDR_IN, *LPSOCKADDR_IN;
typedef struct sockaddr_in6 SOCKADDR_IN6, *PSOCKADDR_IN6, *LPSOCKADDR_IN6;
typedef struct sockaddr_storage SOCKADDR_STORAGE, *PSOCKADDR_STORAGE, *LPSOCKADDR_STORAGE;
typedef struct hostent HOSTENT, *PHOSTENT, *LPHOSTENT;
typedef struct servent SERVENT, *PSERVENT, *LPSERVENT;
typedef struct protoent PROTOENT, *PPROTOENT, *LPPROTOENT;
typedef u_short ADDRESS_FAMILY;
typedef struct linger LINGER;
typedef struct timeval TIMEVAL;
#ifndef __cplusplus
/* Winsock's programs leave `struct` out, which C++ lets them. */
typedef struct in_addr in_addr;
typedef struct sockaddr sockaddr;
typedef struct sockaddr_in sockaddr_in;
typedef struct hostent hostent;
typedef struct in6_addr in6_addr;
typedef struct sockaddr_in6 sockaddr_in6;
typedef struct sockaddr_storage sockaddr_storage;
#endif

/** The value of IP_ADD_MEMBERSHIP and IP_DROP_MEMBERSHIP. */
struct ip_mreq {
    /** The group. */
    struct in_addr imr_multiaddr;
    /** An address of the interface. */
    struct in_addr imr_interface;
};

/* Numbers */

#define AF_UNSPEC 0
#define AF_INET 2
#define PF_UNSPEC AF_UNSPEC
#define AF_INET6 10
#define PF_INET AF_INET
#define PF_INET6 AF_INET6

#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3

#define IPPROTO_IP 0
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_IPV6 41
#define IPPROTO_ICMPV6 58
#define IPPROTO_RAW 255

#define INADDR_ANY ((u_long)0x00000000)
#define INADDR_LOOPBACK ((u_long)0x7f000001)
#define INADDR_BROADCAST ((u_long)0xffffffff)
#define INADDR_NONE ((u_long)0xffffffff)

#define IN6ADDR_ANY_INIT {{{0}}}
#define IN6ADDR_LOOPBACK_INIT {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}}

#define SOL_SOCKET 1
#define SO_REUSEADDR 2
#define SO_TYPE 3
#define SO_ERROR 4
#define SO_BROADCAST 6
#define SO_SNDBUF 7
#define SO_RCVBUF 8
#define SO_KEEPALIVE 9
#define SO_OOBINLINE 10
#define SO_LINGER 13
#define SO_SNDLOWAT 19
#define SO_RCVLOWAT 18
#define SO_RCVTIMEO 20
#define SO_SNDTIMEO 21
#define SO_ACCEPTCONN 30
/* That nobody else may have the address: the contrary of SO_REUSEADDR. */
#define SO_EXCLUSIVEADDRUSE ((int)(~SO_REUSEADDR))
#define SO_DONTLINGER ((int)(~SO_LINGER))
#define TCP_NODELAY 1
#define TCP_MAXSEG 2
#define TCP_KEEPIDLE 4
#define TCP_KEEPINTVL 5
#define TCP_KEEPCNT 6
#define TCP_FASTOPEN 23
#define IP_TOS 1
#define IP_TTL 2
#define IP_HDRINCL 3
#define IP_MULTICAST_IF 32
#define IP_MULTICAST_TTL 33
#define IP_MULTICAST_LOOP 34
#define IP_ADD_MEMBERSHIP 35
#define IP_DROP_MEMBERSHIP 36
#define IP_UNBLOCK_SOURCE 37
#define IP_BLOCK_SOURCE 38
#define IP_ADD_SOURCE_MEMBERSHIP 39
#define IP_DROP_SOURCE_MEMBERSHIP 40
#define IPV6_UNICAST_HOPS 16
#define IPV6_MULTICAST_IF 17
#define IPV6_MULTICAST_HOPS 18
#define IPV6_MULTICAST_LOOP 19
#define IPV6_JOIN_GROUP 20
#define IPV6_LEAVE_GROUP 21
#define IPV6_ADD_MEMBERSHIP IPV6_JOIN_GROUP
#define IPV6_DROP_MEMBERSHIP IPV6_LEAVE_GROUP
#define IPV6_V6ONLY 26

#define SOMAXCONN 0x7fffffff

#define MSG_OOB 0x1
#define MSG_PEEK 0x2
#define MSG_DONTROUTE 0x4
#define MSG_WAITALL 0x100

#define SD_RECEIVE 0
#define SD_SEND 1
#define SD_BOTH 2

#define FIONREAD 0x541B
#define FIONBIO 0x5421
#define SIOCATMARK 0x8905

#define POLLIN 0x0001
#define POLLPRI 0x0002
#define POLLOUT 0x0004
#define POLLERR 0x0008
#define POLLHUP 0x0010
#define POLLNVAL 0x0020
#define POLLRDNORM 0x0040
#define POLLRDBAND 0x0080
#define POLLWRNORM 0x0100
#define POLLWRBAND 0x0200

#define WSA_FLAG_OVERLAPPED 0x01
#define WSA_FLAG_NO_HANDLE_INHERIT 0x80

/* Errors */

#define WSA_INVALID_HANDLE 6
#define WSA_NOT_ENOUGH_MEMORY 8
#define WSA_INVALID_PARAMETER 87

#define WSAEINTR 10004
#define WSAEBADF 10009
#define WSAEACCES 10013
#define WSAEFAULT 10014
#define WSAEINVAL 10022
#define WSAEMFILE 10024
#define WSAEWOULDBLOCK 10035
#define WSAEINPROGRESS 10036
#define WSAEALREADY 10037
#define WSAENOTSOCK 10038
#define WSAEDESTADDRREQ 10039
#define WSAEMSGSIZE 10040
#define WSAEPROTOTYPE 10041
#define WSAENOPROTOOPT 10042
#define WSAEPROTONOSUPPORT 10043
#define WSAESOCKTNOSUPPORT 10044
#define WSAEOPNOTSUPP 10045
#define WSAEPFNOSUPPORT 10046
#define WSAEAFNOSUPPORT 10047
#define WSAEADDRINUSE 10048
#define WSAEADDRNOTAVAIL 10049
#define WSAENETDOWN 10050
#define WSAENETUNREACH 10051
#define WSAENETRESET 10052
#define WSAECONNABORTED 10053
#define WSAECONNRESET 10054
#define WSAENOBUFS 10055
#define WSAEISCONN 10056
#define WSAENOTCONN 10057
#define WSAESHUTDOWN 10058
#define WSAETOOMANYREFS 10059
#define WSAETIMEDOUT 10060
#define WSAECONNREFUSED 10061
#define WSAELOOP 10062
#define WSAENAMETOOLONG 10063
#define WSAEHOSTDOWN 10064
#define WSAEHOSTUNREACH 10065
#define WSAENOTEMPTY 10066
#define WSAEPROCLIM 10067
#define WSAEUSERS 10068
#define WSAEDQUOT 10069
#define WSAESTALE 10070
#define WSAEREMOTE 10071
#define WSASYSNOTREADY 10091
#define WSAVERNOTSUPPORTED 10092
#define WSANOTINITIALISED 10093
#define WSAEDISCON 10101
#define WSASYSCALLFAILURE 10107
#define WSATYPE_NOT_FOUND 10109
#define WSAHOST_NOT_FOUND 11001
#define WSATRY_AGAIN 11002
#define WSANO_RECOVERY 11003
#define WSANO_DATA 11004

/* Calls. Each has its symbol in the library; the plain symbols are the POSIX calls. */

#ifdef __cplusplus
extern "C" {
#endif

#define TUNSOCK_WS_(name) __asm__("tunsock_ws_" #name)

/** Begins the use of Winsock. Returns 0, WSAVERNOTSUPPORTED or WSAEFAULT. */
int WSAStartup(WORD version, WSADATA *data) __asm__("tunsock_WSAStartup");
/** Undoes one WSAStartup. Returns 0 or SOCKET_ERROR. */
int WSACleanup(void) __asm__("tunsock_WSACleanup");
/** Why this thread's last call failed. */
int WSAGetLastError(void) __asm__("tunsock_WSAGetLastError");
/** Sets what WSAGetLastError returns. */
void WSASetLastError(int error) __asm__("tunsock_WSASetLastError");

/** Makes a socket. Returns INVALID_SOCKET on failure. */
SOCKET socket(int family, int type, int protocol) TUNSOCK_WS_(socket);
/** Takes the next waiting connection. Returns INVALID_SOCKET on failure. */
SOCKET accept(SOCKET s, struct sockaddr *addr, int *len) TUNSOCK_WS_(accept);
/* The others return SOCKET_ERROR on failure. */
int bind(SOCKET s, const struct sockaddr *addr, int len) TUNSOCK_WS_(bind);
int listen(SOCKET s, int backlog) TUNSOCK_WS_(listen);
int connect(SOCKET s, const struct sockaddr *addr, int len) TUNSOCK_WS_(connect);
int shutdown(SOCKET s, int how) TUNSOCK_WS_(shutdown);
int closesocket(SOCKET s) TUNSOCK_WS_(closesocket);
int ioctlsocket(SOCKET s, long request, u_long *value) TUNSOCK_WS_(ioctlsocket);
int send(SOCKET s, const char *data, int len, int flags) TUNSOCK_WS_(send);
int sendto(SOCKET s, const char *data, int len, int flags, const struct sockaddr *addr, int addr_len) TUNSOCK_WS_(sendto);
int recv(SOCKET s, char *data, int len, int flags) TUNSOCK_WS_(recv);
int recvfrom(SOCKET s, char *data, int len, int flags, struct sockaddr *addr, int *addr_len) TUNSOCK_WS_(recvfrom);
int getsockname(SOCKET s, struct sockaddr *addr, int *len) TUNSOCK_WS_(getsockname);
int getpeername(SOCKET s, struct sockaddr *addr, int *len) TUNSOCK_WS_(getpeername);
int getsockopt(SOCKET s, int level, int name, char *value, int *len) TUNSOCK_WS_(getsockopt);
int setsockopt(SOCKET s, int level, int name, const char *value, int len) TUNSOCK_WS_(setsockopt);
/** The wider socket(): without a protocol's description (NULL) and a group (0). */
SOCKET WSASocketA(int family, int type, int protocol, void *description, GROUP group, DWORD flags) TUNSOCK_WS_(WSASocketA);
#define WSASocket WSASocketA
/** Waits for events at handles, as poll does; milliseconds, negative for ever. */
int WSAPoll(WSAPOLLFD *fds, u_long count, int timeout) TUNSOCK_WS_(WSAPoll);
struct hostent *gethostbyname(const char *name) TUNSOCK_WS_(gethostbyname);
struct hostent *gethostbyaddr(const char *addr, int len, int family) TUNSOCK_WS_(gethostbyaddr);
struct servent *getservbyname(const char *name, const char *protocol) TUNSOCK_WS_(getservbyname);
struct servent *getservbyport(int port, const char *protocol) TUNSOCK_WS_(getservbyport);
struct protoent *getprotobyname(const char *name) TUNSOCK_WS_(getprotobyname);
struct protoent *getprotobynumber(int number) TUNSOCK_WS_(getprotobynumber);

/* The system's sys/select.h declares this name with a first argument that means something. */
int tunsock_ws_select(int ignored, fd_set *readfds, fd_set *writefds, fd_set *exceptfds, const struct timeval *timeout);
#define select(ignored, readfds, writefds, exceptfds, timeout) \
    tunsock_ws_select(ignored, readfds, writefds, exceptfds, timeout)

/* As unistd.h does this one. */
int tunsock_ws_gethostname(char *name, int len);
#define gethostname(name, len) tunsock_ws_gethostname(name, len)

/** The address of no host, and of this one. */
extern const struct in6_addr in6addr_any, in6addr_loopback;

/** An IPv4 address from text, in network byte order; INADDR_NONE when it is none. */
uint32_t inet_addr(const char *text);
/** An IPv4 address as text, valid until the next call. */
char *inet_ntoa(struct in_addr addr);

#ifdef __cplusplus
}
#endif

/* Byte order */

static inline u_short htons(u_short number) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return number;
#else
    return __builtin_bswap16(number);
#endif
}

static inline u_long htonl(u_long number) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return number;
#else
    return __builtin_bswap32(number);
#endif
}

static inline u_short ntohs(u_short number) {
    return htons(number);
}

static inline u_long ntohl(u_long number) {
    return htonl(number);
}

#endif /* TUNSOCK_WINSOCK2_H */
