/*
 * winsock_server: an echo server as one writes it for Winsock; serves one client until that one says "quit" or leaves.
 *
 *     winsock_server PORT
 */
#include <winsock2.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

static int fail(const char *what) {
    std::fprintf(stderr, "%s failed with %d\n", what, WSAGetLastError());
    return 1;
}

static int serve(u_short port) {
    SOCKET listener = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    if (listener == INVALID_SOCKET)
        return fail("socket");

    sockaddr_in own = {};
    own.sin_family = AF_INET;
    own.sin_port = htons(port);
    own.sin_addr.s_addr = htonl(INADDR_ANY);
    if (bind(listener, (sockaddr *)&own, sizeof own) == SOCKET_ERROR)
        return fail("bind");
    if (listen(listener, SOMAXCONN) == SOCKET_ERROR)
        return fail("listen");
    std::printf("listening on port %d\n", port);
    std::fflush(stdout);

    sockaddr_in peer = {};
    int len = sizeof peer;
    SOCKET client = accept(listener, (sockaddr *)&peer, &len);
    if (client == INVALID_SOCKET)
        return fail("accept");
    std::printf("client %s, host %d of network %d\n", inet_ntoa(peer.sin_addr), peer.sin_addr.s_impno,
                peer.sin_addr.s_net);

    char buffer[512];
    int got;
    while ((got = recv(client, buffer, sizeof buffer, 0)) > 0) {
        if (got >= 4 && std::memcmp(buffer, "quit", 4) == 0)
            break;
        if (send(client, buffer, got, 0) == SOCKET_ERROR)
            return fail("send");
    }
    if (got == SOCKET_ERROR)
        return fail("recv");
    closesocket(client);
    closesocket(listener);
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    WSADATA data;
    if (int why = WSAStartup(MAKEWORD(2, 2), &data)) {
        std::fprintf(stderr, "WSAStartup failed with %d\n", why);
        return 1;
    }
    std::printf("%s, version %d.%d\n", data.szDescription, LOBYTE(data.wVersion), HIBYTE(data.wVersion));
    int status = serve((u_short)std::atoi(argv[1]));
    WSACleanup();
    return status;
}
