/* Programs for Winsock, as C and as C++: names to addresses, a server and a client in the manner that its tutorials have, datagrams, WSAPoll, and
 * what the calls say when they fail.
 *
 *     winsock_dialogue CASE
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(what)                                                                                        \
    do {                                                                                                   \
        if (!(what)) {                                                                                     \
            printf("line %d: %s (WSAGetLastError %d)\n", __LINE__, #what, WSAGetLastError());              \
            exit(1);                                                                                       \
        }                                                                                                  \
    } while (0)

#define SERVER_PORT "27015"

/* --- stream server and client ----------------------------------------------------------------------------------- */

static SOCKET passive(int family) {
    struct addrinfo hints, *result = NULL;
    ZeroMemory(&hints, sizeof(hints));
    hints.ai_family = family;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_protocol = IPPROTO_TCP;
    hints.ai_flags = AI_PASSIVE;
    CHECK(getaddrinfo(NULL, SERVER_PORT, &hints, &result) == 0);
    SOCKET s = socket(result->ai_family, result->ai_socktype, result->ai_protocol);
    CHECK(s != INVALID_SOCKET);
    BOOL alone = TRUE;
    CHECK(setsockopt(s, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (char *)&alone, sizeof(alone)) == 0);
    CHECK(bind(s, result->ai_addr, (int)result->ai_addrlen) != SOCKET_ERROR);
    freeaddrinfo(result);
    CHECK(listen(s, SOMAXCONN) != SOCKET_ERROR);
    return s;
}

/* Sends back what comes, until the peer sends no more. */
static void *serve(void *arg) {
    SOCKET listening = *(SOCKET *)arg, s = accept(listening, NULL, NULL);
    char data[16];
    int got;
    CHECK(s != INVALID_SOCKET);
    closesocket(listening);
    do {
        got = recv(s, data, sizeof(data), 0);
        CHECK(got != SOCKET_ERROR);
        if (got > 0)
            CHECK(send(s, data, got, 0) == got);
    } while (got > 0);
    CHECK(shutdown(s, SD_SEND) != SOCKET_ERROR);
    CHECK(closesocket(s) != SOCKET_ERROR);
    return NULL;
}

static SOCKET reach(const char *host) {
    struct addrinfo hints, *result = NULL, *ptr;
    SOCKET s = INVALID_SOCKET;
    ZeroMemory(&hints, sizeof(hints));
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_protocol = IPPROTO_TCP;
    CHECK(getaddrinfo(host, SERVER_PORT, &hints, &result) == 0);
    for (ptr = result; ptr != NULL; ptr = ptr->ai_next) {
        s = socket(ptr->ai_family, ptr->ai_socktype, ptr->ai_protocol);
        CHECK(s != INVALID_SOCKET);
        if (connect(s, ptr->ai_addr, (int)ptr->ai_addrlen) != SOCKET_ERROR)
            break;
        CHECK(WSAGetLastError() == WSAECONNREFUSED);
        closesocket(s);
        s = INVALID_SOCKET;
    }
    freeaddrinfo(result);
    return s;
}

static void stream(int family, const char *host) {
    const char *words = "what the client says to the server";
    char all[64];
    int want = (int)strlen(words), have = 0, got;
    pthread_t server;
    SOCKET listening = passive(family), s;
    CHECK(pthread_create(&server, NULL, serve, &listening) == 0);
    s = reach(host);
    CHECK(s != INVALID_SOCKET);
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    CHECK(getpeername(s, (SOCKADDR *)&peer, &len) == 0);
    CHECK(peer.ss_family == family);
    CHECK(len == (int)(family == AF_INET ? sizeof(SOCKADDR_IN) : sizeof(SOCKADDR_IN6)));
    char text[NI_MAXHOST], service[NI_MAXSERV];
    CHECK(getnameinfo((SOCKADDR *)&peer, len, text, sizeof(text), service, sizeof(service), NI_NUMERICHOST | NI_NUMERICSERV) == 0);
    CHECK(strcmp(text, host) == 0 && strcmp(service, SERVER_PORT) == 0);
    CHECK(send(s, words, want, 0) == want);
    CHECK(shutdown(s, SD_SEND) != SOCKET_ERROR);
    do {
        got = recv(s, all + have, (int)sizeof(all) - have, 0);
        CHECK(got != SOCKET_ERROR);
        have += got;
    } while (got > 0);
    CHECK(have == want && memcmp(all, words, (size_t)want) == 0);
    CHECK(closesocket(s) == 0);
    CHECK(closesocket(s) == SOCKET_ERROR && WSAGetLastError() == WSAENOTSOCK);
    pthread_join(server, NULL);
    CHECK(reach(host) == INVALID_SOCKET);
}

/* --- datagrams over IPv6, and WSAPoll --------------------------------------------------------------------------- */

static void datagrams(void) {
    SOCKET a = WSASocket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP, NULL, 0, WSA_FLAG_OVERLAPPED), b = socket(AF_INET6, SOCK_DGRAM, 0);
    SOCKADDR_IN6 at, from;
    int len = sizeof(at);
    DWORD only = 1;
    char data[8];
    u_long waiting = 0, nonblocking = 1;
    CHECK(a != INVALID_SOCKET && b != INVALID_SOCKET);
    CHECK(WSASocket(AF_INET6, SOCK_DGRAM, 0, data, 0, 0) == INVALID_SOCKET && WSAGetLastError() == WSAEINVAL);
    CHECK(setsockopt(a, IPPROTO_IPV6, IPV6_V6ONLY, (char *)&only, sizeof(only)) == 0);
    ZeroMemory(&at, sizeof(at));
    at.sin6_family = AF_INET6;
    at.sin6_addr = in6addr_loopback;
    CHECK(bind(a, (SOCKADDR *)&at, sizeof(at)) == 0);
    CHECK(getsockname(a, (SOCKADDR *)&at, &len) == 0 && len == sizeof(at) && at.sin6_port != 0);
    WSAPOLLFD fds[3] = {{a, POLLIN, 0}, {INVALID_SOCKET, POLLIN, -1}, {b, POLLOUT, 0}};
    CHECK(WSAPoll(fds, 3, 0) == 1 && fds[0].revents == 0 && fds[1].revents == 0 && fds[2].revents == POLLOUT);
    CHECK(sendto(b, "hello", 5, 0, (SOCKADDR *)&at, sizeof(at)) == 5);
    fds[2].fd = INVALID_SOCKET;
    CHECK(WSAPoll(fds, 3, 20000) == 1 && fds[0].revents == POLLIN);
    CHECK(ioctlsocket(a, FIONREAD, &waiting) == 0 && waiting == 5);
    len = sizeof(from);
    CHECK(recvfrom(a, data, sizeof(data), 0, (SOCKADDR *)&from, &len) == 5 && memcmp(data, "hello", 5) == 0);
    CHECK(IN6_IS_ADDR_LOOPBACK(&from.sin6_addr) && !IN6_IS_ADDR_MULTICAST(&from.sin6_addr));
    CHECK(ioctlsocket(a, FIONBIO, &nonblocking) == 0);
    CHECK(recv(a, data, sizeof(data), 0) == SOCKET_ERROR && WSAGetLastError() == WSAEWOULDBLOCK);
    CHECK(WSAPoll(fds, 0, 0) == SOCKET_ERROR && WSAGetLastError() == WSAEINVAL);
    CHECK(WSAPoll(NULL, 1, 0) == SOCKET_ERROR && WSAGetLastError() == WSAEFAULT);
    CHECK(closesocket(a) == 0 && closesocket(b) == 0);
}

static void groups(void) {
    SOCKET s = socket(AF_INET6, SOCK_DGRAM, 0), v4 = socket(AF_INET, SOCK_DGRAM, 0);
    IPV6_MREQ mreq;
    IP_MREQ_SOURCE from;
    GROUP_REQ any;
    DWORD hops = 3;
    ZeroMemory(&mreq, sizeof(mreq));
    CHECK(inet_pton(AF_INET6, "ff15::1234", &mreq.ipv6mr_multiaddr) == 1);
    CHECK(IN6_IS_ADDR_MULTICAST(&mreq.ipv6mr_multiaddr));
    CHECK(setsockopt(s, IPPROTO_IPV6, IPV6_JOIN_GROUP, (char *)&mreq, sizeof(mreq)) == 0);
    CHECK(setsockopt(s, IPPROTO_IPV6, IPV6_LEAVE_GROUP, (char *)&mreq, sizeof(mreq)) == 0);
    CHECK(setsockopt(s, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, (char *)&hops, sizeof(hops)) == 0);
    ZeroMemory(&from, sizeof(from));
    from.imr_multiaddr.s_addr = inet_addr("239.1.2.3");
    from.imr_sourceaddr.s_addr = inet_addr("10.83.0.9");
    CHECK(setsockopt(v4, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, (char *)&from, sizeof(from)) == 0);
    CHECK(setsockopt(v4, IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, (char *)&from, sizeof(from)) == 0);
    CHECK(setsockopt(v4, IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, (char *)&from, sizeof(from)) == SOCKET_ERROR);
    CHECK(WSAGetLastError() == WSAEINVAL);
    ZeroMemory(&any, sizeof(any));
    ((SOCKADDR_IN *)&any.gr_group)->sin_family = AF_INET;
    ((SOCKADDR_IN *)&any.gr_group)->sin_addr.s_addr = inet_addr("239.1.2.4");
    CHECK(setsockopt(v4, IPPROTO_IP, MCAST_JOIN_GROUP, (char *)&any, sizeof(any)) == 0);
    CHECK(setsockopt(v4, IPPROTO_IP, MCAST_LEAVE_GROUP, (char *)&any, sizeof(any)) == 0);
    closesocket(s);
    closesocket(v4);
}

/* --- options that say the contrary of others -------------------------------------------------------------------- */

static void options(void) {
    SOCKET s = socket(AF_INET, SOCK_STREAM, 0);
    int value = -1, len = sizeof(value);
    LINGER linger = {1, 5};
    DWORD milliseconds = 1500;
    CHECK(getsockopt(s, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (char *)&value, &len) == 0 && value == 1 && len == 4);
    value = 0;
    CHECK(setsockopt(s, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (char *)&value, 4) == 0);
    CHECK(getsockopt(s, SOL_SOCKET, SO_REUSEADDR, (char *)&value, &len) == 0 && value == 1);
    CHECK(setsockopt(s, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (char *)&value, 4) == 0);
    CHECK(getsockopt(s, SOL_SOCKET, SO_REUSEADDR, (char *)&value, &len) == 0 && value == 0);
    CHECK(setsockopt(s, SOL_SOCKET, SO_LINGER, (char *)&linger, sizeof(linger)) == 0);
    CHECK(getsockopt(s, SOL_SOCKET, SO_DONTLINGER, (char *)&value, &len) == 0 && value == 0);
    value = 1;
    CHECK(setsockopt(s, SOL_SOCKET, SO_DONTLINGER, (char *)&value, 4) == 0);
    value = 0;
    CHECK(getsockopt(s, SOL_SOCKET, SO_DONTLINGER, (char *)&value, &len) == 0 && value == 1);
    CHECK(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&milliseconds, sizeof(milliseconds)) == 0);
    CHECK(getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (char *)&value, &len) == 0 && value == 1500);
    CHECK(setsockopt(s, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, NULL, 4) == SOCKET_ERROR && WSAGetLastError() == WSAEFAULT);
    CHECK(setsockopt(s, SOL_SOCKET, 12345, (char *)&value, 4) == SOCKET_ERROR && WSAGetLastError() == WSAENOPROTOOPT);
    closesocket(s);
}

/* --- names and texts -------------------------------------------------------------------------------------------- */

static void names(void) {
    struct addrinfo hints, *result = NULL;
    char text[INET6_ADDRSTRLEN], name[256];
    IN6_ADDR v6;
    IN_ADDR v4;
    ZeroMemory(&hints, sizeof(hints));
    CHECK(getaddrinfo(NULL, NULL, NULL, &result) == EAI_NONAME && WSAGetLastError() == WSAHOST_NOT_FOUND);
    hints.ai_flags = AI_NUMERICHOST;
    CHECK(getaddrinfo("no number", "80", &hints, &result) == EAI_NONAME);
    hints.ai_family = 4711;
    CHECK(getaddrinfo("127.0.0.1", "80", &hints, &result) == EAI_FAMILY && WSAGetLastError() == WSAEAFNOSUPPORT);
    hints.ai_family = AF_INET;
    hints.ai_flags = -1;
    CHECK(getaddrinfo("127.0.0.1", "80", &hints, &result) == EAI_BADFLAGS && WSAGetLastError() == WSAEINVAL);
    hints.ai_flags = AI_NUMERICHOST | AI_CANONNAME;
    hints.ai_socktype = SOCK_DGRAM;
    CHECK(getaddrinfo("127.0.0.1", "53", &hints, &result) == 0 && result->ai_next == NULL);
    CHECK(strcmp(result->ai_canonname, "127.0.0.1") == 0);
    CHECK(((SOCKADDR_IN *)result->ai_addr)->sin_port == htons(53));
    freeaddrinfo(result);
    CHECK(strlen(gai_strerror(EAI_NONAME)) > 4 && strcmp(gai_strerrorA(EAI_AGAIN), gai_strerror(EAI_FAIL)) != 0);

    CHECK(inet_pton(AF_INET6, "fd83::ffff:1", &v6) == 1 && v6.s6_bytes[0] == 0xfd && v6.s6_words[6] == 0xffff);
    CHECK(inet_ntop(AF_INET6, &v6, text, sizeof(text)) == text && strcmp(text, "fd83::ffff:1") == 0);
    CHECK(inet_ntop(AF_INET6, &v6, text, 5) == NULL && WSAGetLastError() == WSAEINVAL);
    CHECK(inet_pton(AF_INET, "10.83.0.300", &v4) == 0);
    CHECK(inet_pton(AF_INET, "10.83.0.3", &v4) == 1 && v4.S_un.S_un_b.s_b4 == 3);
    CHECK(inet_pton(4711, "10.83.0.3", &v4) == -1 && WSAGetLastError() == WSAEAFNOSUPPORT);
    CHECK(inet_pton(AF_INET, "10.83.0.3", NULL) == -1 && WSAGetLastError() == WSAEFAULT);
    IN6_ADDR any = IN6ADDR_ANY_INIT, loopback = IN6ADDR_LOOPBACK_INIT;
    CHECK(IN6_IS_ADDR_UNSPECIFIED(&any) && IN6_ADDR_EQUAL(&loopback, &in6addr_loopback) && !IN6_IS_ADDR_V4MAPPED(&any));

    CHECK(gethostname(name, sizeof(name)) == 0 && strlen(name) > 0);
    CHECK(gethostname(name, 0) == SOCKET_ERROR && WSAGetLastError() == WSAEFAULT);
    CHECK(getservbyname("no such service", "tcp") == NULL && WSAGetLastError() == WSANO_DATA);
    CHECK(getprotobyname("no such protocol") == NULL && WSAGetLastError() == WSANO_DATA);
    /* Where the files are there at all. */
    SERVENT *service = getservbyname("domain", "tcp");
    PROTOENT *protocol = getprotobyname("tcp");
    CHECK(service == NULL || ((u_short)service->s_port == htons(53) && getservbyport(htons(53), "tcp") != NULL));
    CHECK(protocol == NULL || (protocol->p_proto == IPPROTO_TCP && getprotobynumber(IPPROTO_TCP) != NULL));
}

static void not_started(void) {
    struct addrinfo *result;
    WSAPOLLFD fd = {0, POLLIN, 0};
    char name[8];
    CHECK(getaddrinfo("127.0.0.1", "80", NULL, &result) == WSANOTINITIALISED && WSAGetLastError() == WSANOTINITIALISED);
    CHECK(WSAPoll(&fd, 1, 0) == SOCKET_ERROR && WSAGetLastError() == WSANOTINITIALISED);
    CHECK(WSASocketA(AF_INET, SOCK_STREAM, 0, NULL, 0, 0) == INVALID_SOCKET && WSAGetLastError() == WSANOTINITIALISED);
    CHECK(gethostname(name, sizeof(name)) == SOCKET_ERROR && WSAGetLastError() == WSANOTINITIALISED);
    CHECK(getservbyname("domain", "tcp") == NULL && WSAGetLastError() == WSANOTINITIALISED);
}

int __cdecl main(int argc, char **argv) {
    const char *which = argc > 1 ? argv[1] : "";
    WSADATA data;
    if (strcmp(which, "not_started") == 0) {
        not_started();
        return 0;
    }
    if (WSAStartup(MAKEWORD(2, 2), &data) != 0)
        return 2;
    if (strcmp(which, "stream_v4") == 0)
        stream(AF_INET, "127.0.0.1");
    else if (strcmp(which, "stream_v6") == 0)
        stream(AF_INET6, "::1");
    else if (strcmp(which, "datagrams") == 0)
        datagrams();
    else if (strcmp(which, "groups") == 0)
        groups();
    else if (strcmp(which, "options") == 0)
        options();
    else if (strcmp(which, "names") == 0)
        names();
    else
        return 3;
    return WSACleanup();
}
